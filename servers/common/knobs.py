"""What a knob says about itself: environment names, limits, meaning, secrecy.

Flags, help, `.env.example` and the docs table are computed from here. Knows nothing of where values come
from.
"""

from __future__ import annotations

import types
import typing
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal, cast, get_args, get_origin

from pydantic import BaseModel, Field
from pydantic.fields import FieldInfo

_BOUNDS = {"gt": "more than {}", "ge": "at least {}", "lt": "less than {}", "le": "at most {}"}


@dataclass(frozen=True, kw_only=True)
class Knob:
    """One row of a server's settings table."""

    name: str
    """Field name; also the notebook parameter."""
    flag: str
    env: tuple[str, ...]
    """Environment variable names, the first wins."""
    default: str
    """As it would be written in `.env`; empty where there is none."""
    limits: str
    help: str
    secret: bool
    is_switch: bool
    """A bare `--flag` means true."""


def knob(default: Any, *, help: str, env: str | Iterable[str] = (), secret: bool = False, **limits: Any) -> Any:
    """Declare a setting: the only place where its default, names, limits and meaning are written.

    `limits` are pydantic's own (`ge`, `le`, `gt`, `lt`, `min_length`, `pattern` ...). Without `env` no
    environment variable sets it. A `secret` is masked everywhere and refused as a flag; its type is
    `SecretStr | None`.
    """
    names = [env] if isinstance(env, str) else list(env)
    extra: dict[str, Any] = {"env": names, "secret": secret}
    return Field(default, description=help, json_schema_extra=extra, repr=not secret, **limits)


def table(cls: type[BaseModel]) -> list[Knob]:
    """Every knob of a settings class, in the order of declaration."""
    return [_row(name, field) for name, field in cls.model_fields.items()]


def env_example(cls: type[BaseModel]) -> str:
    """The text of a `.env.example`: every knob that the environment can set, commented out at its default."""
    blocks = []
    for row in table(cls):
        if not row.env:
            continue
        notes = [row.help]
        if row.limits:
            notes.append(f"Allowed: {row.limits}.")
        if row.env[1:]:
            notes.append(f"Also read: {', '.join(row.env[1:])}.")
        blocks.append("".join(f"# {note}\n" for note in notes) + f"#{row.env[0]}={row.default}\n")
    return "\n".join(blocks)


def help_text(cls: type[BaseModel], *, program: str) -> str:
    """What `--help` prints: flag, environment variable, default, limits, meaning of each knob."""
    lines = [
        f"usage: {program} [--flag=value ...]",
        "",
        "Precedence: flag, environment variable, .env in the working directory, default.",
        "",
    ]
    for row in table(cls):
        facts = [f"env {' or '.join(row.env)}"] if row.env else []
        facts += [f"default {row.default}"] if row.default else []
        facts += [f"allowed {row.limits}"] if row.limits else []
        lines.append(f"  {row.name} (environment only)" if row.secret else f"  {row.flag}")
        lines.append(f"      {row.help}")
        if facts:
            lines.append(f"      [{'; '.join(facts)}]")
    return "\n".join(lines) + "\n"


def _row(name: str, field: FieldInfo) -> Knob:
    extra = cast(dict[str, Any], field.json_schema_extra or {})
    return Knob(
        name=name,
        flag="--" + name.replace("_", "-"),
        env=tuple(extra.get("env", ())),
        default=_written(field.get_default(call_default_factory=False)),
        limits=_limits(field),
        help=field.description or "",
        secret=bool(extra.get("secret")),
        is_switch=bool in _members(field.annotation),
    )


def _written(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "1" if value else "0"
    if isinstance(value, tuple | list):
        return ",".join(str(item) for item in value)
    return str(value)


def _limits(field: FieldInfo) -> str:
    choices = [
        str(choice) for part in _members(field.annotation) for choice in get_args(part) if get_origin(part) is Literal
    ]
    if choices:
        return "|".join(choices)
    bounds = {key: getattr(item, key) for item in field.metadata for key in _BOUNDS if hasattr(item, key)}
    if "ge" in bounds and "le" in bounds:
        return f"{bounds['ge']}..{bounds['le']}"
    return ", ".join(_BOUNDS[key].format(bound) for key, bound in bounds.items())


def _members(annotation: object) -> tuple[object, ...]:
    """The parts of a union, or the type itself."""
    if get_origin(annotation) in (typing.Union, types.UnionType):
        return get_args(annotation)
    return (annotation,)
