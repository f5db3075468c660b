"""A server's settings: where each value comes from, and what is said when one is wrong.

Precedence: flag, environment variable, `.env`, default. Only names that a knob declares are read, so an
ambient HOST or PORT changes nothing. Knows no server; imports no model runtime.
"""

from __future__ import annotations

import difflib
import os
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, NoReturn, TypeVar

from dotenv import dotenv_values
from pydantic import BeforeValidator, PlainSerializer, SecretStr, ValidationError
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from servers.common.knobs import Knob, env_example, help_text, knob, table

__all__ = [
    "BaseServerSettings",
    "IntList",
    "Knob",
    "SettingsError",
    "effective",
    "env_example",
    "help_text",
    "knob",
    "load",
    "misspelt",
    "parse",
    "table",
]

DOTENV = ".env"
MASK = "***"


def _split(value: object) -> object:
    return tuple(part.strip() for part in value.split(",")) if isinstance(value, str) else value


def _lower(value: object) -> object:
    return value.lower() if isinstance(value, str) else value


IntList = Annotated[
    tuple[int, ...],
    BeforeValidator(_split),
    PlainSerializer(lambda value: ",".join(map(str, value)), return_type=str),
]
"""Whole numbers written "1,2,4,6", in flags, in the environment, in notebooks and in /status alike."""

LogLevel = Annotated[Literal["debug", "info", "warning", "error"], BeforeValidator(_lower)]


class SettingsError(ValueError):
    """A flag or value that cannot be used. Its text is one line per mistake, fit to be printed."""


class BaseServerSettings(BaseSettings):
    """The knobs every server has. A server subclasses it, names itself and adds its own with `knob`."""

    model_config = SettingsConfigDict(
        frozen=True, extra="forbid", env_file=DOTENV, case_sensitive=True, allow_inf_nan=False
    )

    server: ClassVar[str] = "server"
    """The server's name: in logs, metrics, traces and /status."""
    required_secrets: ClassVar[tuple[str, ...]] = ()
    """Names of secret knobs without which it does not start: a harness that starts it makes what is missing."""

    host: str = knob("0.0.0.0", help="Address to listen on.", min_length=1)
    port: int = knob(8000, help="TCP port; 0 takes a free one and logs it.", ge=0, le=65535)
    model: str = knob("auto", help="Which model to serve.", min_length=1)
    log_level: LogLevel = knob("info", env="LOG_LEVEL", help="Least severe level that is logged.")
    log_format: Literal["console", "json"] = knob(
        "console", env="LOG_FORMAT", help="One line per event, as text or JSON."
    )
    status_key: SecretStr | None = knob(
        None, env="STATUS_KEY", secret=True, help="When set, /status and /metrics ask for this key."
    )
    trace_path: Path | None = knob(
        None, env="TRACE_PATH", help="Append the spans of every request to this file (JSON lines)."
    )
    drain_timeout_s: float = knob(
        10.0,
        env="DRAIN_TIMEOUT_S",
        help="Seconds that running requests get to finish after SIGTERM.",
        ge=0,
        le=3600,
    )
    head_timeout_s: float = knob(
        15.0,
        env="HEAD_TIMEOUT_S",
        help="Seconds from a connection, or from the first byte of a later request on it, to the end of the request's "
        "head. Keep-alive between requests and open WebSockets are not meant.",
        gt=0,
        le=3600,
    )
    connection_limit: int = knob(
        1000,
        env="CONNECTION_LIMIT",
        help="TCP connections at once, WebSockets among them; one more gets 503 and is closed. Seats and queues have "
        "limits of their own.",
        ge=1,
        le=1_000_000,
    )

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Replace pydantic's own reading of the environment, which takes any variable named like a field."""
        env_file = getattr(dotenv_settings, "env_file", None)
        return (
            init_settings,
            _Declared(settings_cls, os.environ),
            _Declared(settings_cls, _read_dotenv(env_file)),
        )


class _Declared(PydanticBaseSettingsSource):
    """Values of the declared environment names that occur in a mapping; an empty value counts as unset."""

    def __init__(self, settings_cls: type[BaseSettings], values: Mapping[str, str]) -> None:
        super().__init__(settings_cls)
        self._found: dict[str, str] = {
            row.name: value for row in table(settings_cls) if (value := _first(row.env, values))
        }

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[Any, str, bool]:
        return self._found.get(field_name), field_name, False

    def __call__(self) -> dict[str, Any]:
        return dict(self._found)


SettingsT = TypeVar("SettingsT", bound=BaseServerSettings)


def parse(cls: type[SettingsT], argv: Sequence[str]) -> SettingsT:
    """Settings of a command line. Prints help and exits 0, or prints the mistake and exits 2, where due."""
    program = f"python -m servers.{cls.server}"
    if "--help" in argv or "-h" in argv:
        sys.stdout.write(help_text(cls, program=program))
        raise SystemExit(0)
    try:
        return load(cls, argv)
    except SettingsError as error:
        _exit_usage(f"{program}: {error}")


def load(cls: type[SettingsT], argv: Sequence[str] = ()) -> SettingsT:
    """Settings from flags, environment and `.env`; raises SettingsError and prints nothing."""
    flags: dict[str, Any] = _read_flags(cls, argv)
    try:
        return cls(**flags)
    except ValidationError as error:
        rows = {row.name: row for row in table(cls)}
        raise SettingsError("\n".join(_explain(item, rows, flags) for item in error.errors())) from error
    except UnicodeDecodeError as error:
        raise SettingsError(f"{DOTENV} is not UTF-8 text: {error}") from error


def effective(settings: BaseServerSettings) -> dict[str, Any]:
    """Every setting as it is in force, fit for JSON; a secret is `"***"` when set, None when not."""
    values = settings.model_dump(mode="json")
    for row in table(type(settings)):
        if row.secret:
            values[row.name] = MASK if getattr(settings, row.name) else None
    return values


def misspelt(cls: type[BaseServerSettings], environ: Mapping[str, str]) -> list[tuple[str, str]]:
    """Environment names that nearly are one of the server's own, each with the nearest declared name.

    `VLLM_*` belongs to vLLM and passes through. Values are never looked at.
    """
    declared = {name for row in table(cls) for name in row.env}
    strangers = (name for name in environ if name not in declared and not name.startswith("VLLM_"))
    return [(name, near) for name in sorted(strangers) if (near := _nearest_env(name, declared))]


def _nearest_env(name: str, declared: Iterable[str]) -> str | None:
    """Same family (first word) and clearly alike, or different by a letter or two wherever it is."""
    for near in difflib.get_close_matches(name, sorted(declared), n=3, cutoff=0.75):
        same_family = name.split("_")[0] == near.split("_")[0] and "_" in near
        slips = sum(block.size for block in difflib.SequenceMatcher(None, name, near).get_matching_blocks())
        if same_family or max(len(name), len(near)) - slips <= (2 if len(near) >= 8 else 1):
            return near
    return None


def _read_flags(cls: type[BaseServerSettings], argv: Sequence[str]) -> dict[str, Any]:
    """`--window-ms=2`, `--window_ms=2`, `--window-ms 2`; `--switch` alone for a boolean. The last wins."""
    rows = {row.name: row for row in table(cls)}
    found: dict[str, Any] = {}
    words = list(argv)
    while words:
        word = words.pop(0)
        if not word.startswith("--"):
            raise SettingsError(f"unexpected argument {word!r}: settings are given as --flag=value")
        name, has_value, value = word.removeprefix("--").partition("=")
        row = rows.get(name.replace("-", "_"))
        if row is None:
            raise SettingsError(_unknown_flag(name, rows.values()))
        if row.secret:
            raise SettingsError(f"{row.flag} is a secret and not taken from a command line: set {row.env[0]} instead")
        if not has_value:
            if words and not words[0].startswith("--"):
                value = words.pop(0)
            elif row.is_switch:
                value = "true"
        if not value:
            raise SettingsError(f"{row.flag} needs a value")
        found[row.name] = value
    return found


def _unknown_flag(name: str, rows: Iterable[Knob]) -> str:
    flags = [row.flag for row in rows if not row.secret]
    near = difflib.get_close_matches("--" + name.replace("_", "-"), flags, n=1, cutoff=0.5)
    return f"unknown flag --{name}" + (f"; did you mean {near[0]}?" if near else "; --help lists them")


def _explain(item: Any, rows: Mapping[str, Knob], flags: Mapping[str, str]) -> str:
    """One line for one of pydantic's errors: knob, what is wrong, limit, value and where that came from."""
    message = str(item["msg"]).removeprefix("Value error, ")
    row = rows.get(str(item["loc"][0])) if item["loc"] else None
    if row is None:
        return message
    allowed = f"; allowed: {row.limits}" if row.limits else ""
    got = "" if row.secret else f"; got {item['input']!r}"
    return f"{row.flag}: {message[:1].lower()}{message[1:]}{allowed}{got} ({_origin(row, flags)})"


def _origin(row: Knob, flags: Mapping[str, str]) -> str:
    if row.name in flags:
        return f"from the flag {row.flag}"
    for name in row.env:
        if os.environ.get(name):
            return f"from the environment variable {name}"
    return f"from {' or '.join(row.env)} in {DOTENV}" if row.env else "its default"


def _first(names: Iterable[str], values: Mapping[str, str]) -> str:
    return next((values[name] for name in names if values.get(name)), "")


def _read_dotenv(env_file: object) -> dict[str, str]:
    """The pairs of a `.env` file, taken literally: a `$` in a key stays a `$`."""
    if not isinstance(env_file, str | Path):
        return {}
    return {name: value for name, value in dotenv_values(env_file, interpolate=False).items() if value}


def _exit_usage(message: str) -> NoReturn:
    sys.stderr.write(message.rstrip() + "\n")
    raise SystemExit(2)
