"""Structured logs on stderr: JSON lines, or columns for people on a terminal.

One line per change of state, never per message. Tokens are masked here once more, whatever the
caller wrote: a line that leaves the process cannot carry one (design/observability.md, "Secrets").
"""

import logging
import re
import sys
from typing import Any

import structlog
from structlog.typing import EventDict, FilteringBoundLogger, WrappedLogger

# A JWT (three base64url parts, the first a JSON object) or anything after token= / ticket= / Bearer.
_SECRET = re.compile(
    r"eyJ[\w-]{8,}\.[\w-]+\.[\w-]+|(?i:(?<=token=)|(?<=ticket=)|(?<=bearer )|(?<=bearer\.))[\w.~+/=-]{8,}"
)
MASK = "[secret]"

Logger = FilteringBoundLogger


def mask_secrets(text: str) -> str:
    """`text` with everything that looks like a credential replaced."""
    return _SECRET.sub(MASK, text)


def _mask_event(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    for key, value in event.items():
        if isinstance(value, str):
            event[key] = mask_secrets(value)
    return event


def configure_logs(service: str, instance: str, level: str = "info", form: str = "auto") -> Logger:
    """Set up this process's logging, that of libraries too, and return its logger."""
    human = form == "human" or (form == "auto" and sys.stderr.isatty())
    shared: list[Any] = [
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True, key="time"),
        structlog.processors.format_exc_info,
        _mask_event,
    ]
    renderer: Any = structlog.dev.ConsoleRenderer() if human else structlog.processors.JSONRenderer()
    formatter = structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=shared,
        processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, _mask_event, renderer],
    )
    stream = logging.StreamHandler(sys.stderr)
    stream.setFormatter(formatter)
    root = logging.getLogger()
    root.handlers[:] = [stream]
    root.setLevel(logging.WARNING)
    logging.getLogger("browsergo").setLevel(getattr(logging, level.upper()))
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    logger: Logger = structlog.get_logger("browsergo").bind(service=service, instance=instance)
    return logger
