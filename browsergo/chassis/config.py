"""Typed configuration of a process: flags > BROWSERGO_<SECTION>_* > TOML file > defaults.

An unknown key is an error, wherever it stands. The TOML file is named by `--config` or
BROWSERGO_CONFIG and has one table per process: `[edge]`, `[registry]`, ...
"""

import os
import sys
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, ClassVar, NoReturn, Self, TypeVar

from pydantic import AfterValidator, Field, ValidationError
from pydantic_settings import (
    BaseSettings,
    CliSettingsSource,
    EnvSettingsSource,
    InitSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    SettingsError,
)

from browsergo.core.addresses import BROWSER_URL_FORM, is_browser_url

EXIT_USAGE = 2


class ConfigError(Exception):
    """The configuration cannot be used; the text says which key and why."""


class ProcessConfig(BaseSettings):
    """What every process has in common. Subclasses name their `section` and add their own keys."""

    section: ClassVar[str]
    model_config = SettingsConfigDict(extra="forbid", frozen=True)

    log_format: str = Field(
        default="auto", pattern="^(auto|json|human)$", description="auto: human on a terminal, else json"
    )
    log_level: str = Field(
        default="info", pattern="^(debug|info|warning|error)$", description="least level that is logged"
    )

    @classmethod
    def load(cls, argv: Sequence[str], environ: Mapping[str, str] | None = None) -> Self:
        """Read the configuration. Raises ConfigError; `--help` prints and exits 0."""
        environ = os.environ if environ is None else environ
        prefix = f"BROWSERGO_{cls.section.upper()}_"
        flags, file = _take_config_flag(argv)
        file = file or environ.get("BROWSERGO_CONFIG")
        _refuse_unknown_environment(cls, prefix, environ)
        layers = _Layers(flags=flags, prefix=prefix, environ=environ, table=_read_table(file, cls.section))
        _LAYERS.append(layers)
        try:
            return cls()
        except (ValidationError, SettingsError) as error:
            raise ConfigError(_explain(error)) from error
        finally:
            _LAYERS.pop()

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        if not _LAYERS:
            return (init_settings,)
        layers = _LAYERS[-1]
        return (
            init_settings,
            CliSettingsSource[Any](
                settings_cls,
                cli_parse_args=list(layers.flags),
                cli_prog_name=cls.section,
                cli_kebab_case=True,
                cli_implicit_flags=True,
                cli_hide_none_type=True,
                cli_avoid_json=True,
            ),
            _Environment(settings_cls, env_prefix=layers.prefix, environ=layers.environ),
            InitSettingsSource(settings_cls, init_kwargs=layers.table),
        )


def _browser_url(url: str) -> str:
    if not is_browser_url(url):
        raise ValueError(f"this is {BROWSER_URL_FORM}")
    return url


BrowserUrl = Annotated[str, AfterValidator(_browser_url)]


class _Environment(EnvSettingsSource):
    """pydantic's own source, over a mapping that is given instead of the process's environment."""

    def __init__(self, settings_cls: type[BaseSettings], env_prefix: str, environ: Mapping[str, str]) -> None:
        self._environ = {key.lower(): value for key, value in environ.items()}
        super().__init__(settings_cls, env_prefix=env_prefix)

    def _load_env_vars(self) -> Mapping[str, str | None]:
        return self._environ


class _Layers:
    def __init__(self, flags: Sequence[str], prefix: str, environ: Mapping[str, str], table: dict[str, Any]) -> None:
        self.flags, self.prefix, self.environ, self.table = flags, prefix, environ, table


# pydantic builds its sources in a class method without arguments of ours; load() is not re-entered across threads.
_LAYERS: list[_Layers] = []


def _take_config_flag(argv: Sequence[str]) -> tuple[list[str], str | None]:
    rest, file, words = [], None, iter(argv)
    for word in words:
        if word == "--config":
            file = next(words, None)
            if file is None:
                raise ConfigError("--config: names no file")
        elif word.startswith("--config="):
            file = word.partition("=")[2]
        else:
            rest.append(word)
    return rest, file


def _read_table(file: str | None, section: str) -> dict[str, Any]:
    if not file:
        return {}
    try:
        document = tomllib.loads(Path(file).read_text())
    except (OSError, ValueError) as error:
        raise ConfigError(f"{file}: {error}") from error
    table = document.get(section, {})
    if not isinstance(table, dict):
        raise ConfigError(f"{file}: [{section}] is not a table")
    return table


def _refuse_unknown_environment(cls: type[ProcessConfig], prefix: str, environ: Mapping[str, str]) -> None:
    known = {prefix + name.upper() for name in cls.model_fields}
    for key in sorted(environ):
        if key.startswith(prefix) and key not in known:
            raise ConfigError(f"{key}: no such setting; known are {', '.join(sorted(known))}")


def _explain(error: ValidationError | SettingsError) -> str:
    if isinstance(error, SettingsError):
        return str(error)
    first = error.errors(include_input=False, include_url=False)[0]
    words = first["msg"].removeprefix("Value error, ")  # pydantic's own prefix of what our validators say
    key = ".".join(str(part) for part in first["loc"])
    return f"{key.replace('_', '-')}: {words}" if key else words


C = TypeVar("C", bound=ProcessConfig)


def load_or_exit(cls: type[C], argv: Sequence[str] | None = None) -> C:
    """`cls.load`, for a `__main__`: an error is one line on stderr and exit code 2."""
    try:
        return cls.load(sys.argv[1:] if argv is None else argv)
    except ConfigError as error:
        refuse(cls.section, str(error))


def refuse(process: str, why: str) -> NoReturn:
    """One clear line, exit code 2: this configuration cannot be run."""
    print(f"{process}: {why}", file=sys.stderr)
    raise SystemExit(EXIT_USAGE)
