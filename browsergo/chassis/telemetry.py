"""Spans out over OTLP, through the OpenTelemetry SDK.

Spans of CDP messages are recorded where the message passes (SpanRecord) and become SDK spans here;
ordinary operations use `tracer`. Without OTEL_EXPORTER_OTLP_ENDPOINT nothing is recorded.
"""

import logging
import os
import random
from collections.abc import Iterable, Sequence

from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import SpanContext, SpanKind, Status, StatusCode, TraceFlags

import browsergo
from browsergo.core import semconv
from browsergo.core.tracing import SpanRecord

ENDPOINT_VARIABLES = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
MAX_QUEUED_SPANS = 65_536
EXPORT_EVERY_MS = 500
EXPORT_TIMEOUT_S = 2  # a collector that is away must not delay the end of a process
_SCOPE = InstrumentationScope("browsergo", browsergo.__version__)
_SAMPLED = TraceFlags(TraceFlags.SAMPLED)


def resource_of(service: str, instance: str, pid: int) -> Resource:
    """The Resource that tells one process of one service from all others."""
    return Resource.create(
        {
            "service.name": service,
            "service.instance.id": instance,
            "service.version": browsergo.__version__,
            "process.pid": pid,
        }
    )


class _SteadyExporter(SpanExporter):
    """The OTLP exporter, with one log line when the collector stops taking spans and one when it takes them again.

    The exporter's own lines, several a second, say no more than that.
    """

    def __init__(self, exporter: SpanExporter) -> None:
        self._exporter = exporter
        self._failing = False
        self._log = logging.getLogger("browsergo.telemetry")
        logging.getLogger("opentelemetry.exporter.otlp.proto.grpc.exporter").setLevel(logging.CRITICAL)

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        result = self._exporter.export(spans)
        failing = result is not SpanExportResult.SUCCESS
        if failing and not self._failing:
            self._log.warning("the OTLP collector takes no traces; spans are lost until it does")
        elif self._failing and not failing:
            self._log.info("the OTLP collector takes traces again")
        self._failing = failing
        return result

    def shutdown(self) -> None:
        self._exporter.shutdown()


class Telemetry:
    """This process's exporter; `enabled` is False when there is nowhere to send to."""

    def __init__(self, service: str, instance: str) -> None:
        self.enabled = _wanted()
        self.resource = resource_of(service, instance, os.getpid())
        self._processor: BatchSpanProcessor | None = None
        self._provider: TracerProvider | None = None
        if self.enabled:
            self._processor = BatchSpanProcessor(
                _SteadyExporter(OTLPSpanExporter(timeout=EXPORT_TIMEOUT_S)),
                max_queue_size=MAX_QUEUED_SPANS,
                schedule_delay_millis=EXPORT_EVERY_MS,
            )
            self._provider = TracerProvider(resource=self.resource)
            self._provider.add_span_processor(self._processor)

    @property
    def tracer(self) -> trace.Tracer:
        """For ordinary operations: registrations, commands of operators."""
        if self._provider is None:
            return trace.NoOpTracer()
        return self._provider.get_tracer(_SCOPE.name, _SCOPE.version)

    def new_span_id(self) -> bytes:
        """Eight random bytes, not all zero."""
        return (random.getrandbits(64) or 1).to_bytes(8)

    def record(self, record: SpanRecord) -> None:
        """Export one span of a message under this process's Resource."""
        if self._processor is not None:
            self._processor.on_end(_sdk_span(record, self.resource))

    def record_for(self, resource: Resource, records: Iterable[SpanRecord]) -> None:
        """Export spans that another process (an agent) recorded, under its own Resource."""
        if self._processor is not None:
            for record in records:
                self._processor.on_end(_sdk_span(record, resource))

    def shutdown(self) -> None:
        """Send what is queued (bounded by the exporter's own timeout) and stop."""
        if self._provider is not None:
            self._provider.shutdown()


def _wanted() -> bool:
    disabled = os.environ.get("OTEL_SDK_DISABLED", "").lower() == "true"
    return not disabled and any(os.environ.get(name) for name in ENDPOINT_VARIABLES)


def _context(trace_id: bytes, span_id: bytes) -> SpanContext:
    return SpanContext(int.from_bytes(trace_id), int.from_bytes(span_id), is_remote=False, trace_flags=_SAMPLED)


def _sdk_span(record: SpanRecord, resource: Resource) -> ReadableSpan:
    is_root = record.name.startswith(semconv.SPAN_COMMAND)
    return ReadableSpan(
        name=record.name,
        context=_context(record.trace_id, record.span_id),
        parent=_context(record.trace_id, record.parent_id) if record.parent_id else None,
        resource=resource,
        attributes=dict(record.attributes),
        kind=SpanKind.SERVER if is_root else SpanKind.INTERNAL,
        status=Status(StatusCode.ERROR, record.error) if record.error else Status(StatusCode.UNSET),
        start_time=record.start_ns,
        end_time=record.end_ns,
        instrumentation_scope=_SCOPE,
    )
