"""One line per event, as text or JSON, with server, request id and session id; keys never reach it."""

from __future__ import annotations

import json
import logging
import sys
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import IO, Literal

from servers.common.auth import redact

REQUEST_ID: ContextVar[str] = ContextVar("request_id", default="")
SESSION_ID: ContextVar[str] = ContextVar("session_id", default="")


def configure(*, server: str, level: str, style: Literal["console", "json"], stream: IO[str] | None = None) -> None:
    """Send the root logger to `stream` (stderr), in place of whatever handled it before."""
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(JsonLines(server) if style == "json" else ConsoleLines(server))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    # uvicorn announces each accepted WebSocket with its whole URL; the access line in edge.py replaces it.
    logging.getLogger("uvicorn.error").setLevel(max(root.level, logging.WARNING))


class ConsoleLines(logging.Formatter):
    """`2026-01-31T12:00:00.123Z INFO echo [request id] message key=value`."""

    def __init__(self, server: str) -> None:
        super().__init__()
        self._server = server

    def format(self, record: logging.LogRecord) -> str:
        ids = "/".join(name for name in (SESSION_ID.get(), REQUEST_ID.get()) if name)
        words = [_when(record), record.levelname, self._server]
        words += [f"[{ids}]"] if ids else []
        words.append(record.getMessage())
        words += [f"{name}={value}" for name, value in _facts(record).items()]
        line = printable(" ".join(words))
        if record.exc_info:
            # Its lines are indented, so that none can pass for one of ours.
            trace = self.formatException(record.exc_info).splitlines()
            line += "".join(f"\n  {printable(row)}" for row in trace)
        return redact(line)


class JsonLines(logging.Formatter):
    """One JSON object a line; facts given as `extra={"facts": {...}}` become its keys."""

    def __init__(self, server: str) -> None:
        super().__init__()
        self._server = server

    def format(self, record: logging.LogRecord) -> str:
        row: dict[str, object] = {
            "time": _when(record),
            "level": record.levelname.lower(),
            "server": self._server,
            "logger": record.name,
            "message": record.getMessage(),
        }
        if request_id := REQUEST_ID.get():
            row["request_id"] = request_id
        if session_id := SESSION_ID.get():
            row["session_id"] = session_id
        row.update(_facts(record))
        if record.exc_info:
            row["exception"] = self.formatException(record.exc_info)
        return redact(json.dumps(row, default=str))


def printable(text: str) -> str:
    """Without line ends, escape sequences and the like: a client's path, say, cannot write lines into our log."""
    if text.isprintable():
        return text
    return "".join(letter if letter.isprintable() else _escaped(letter) for letter in text)


def _escaped(letter: str) -> str:
    return letter.encode("unicode_escape").decode("ascii")


def _when(record: logging.LogRecord) -> str:
    moment = datetime.fromtimestamp(record.created, tz=UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _facts(record: logging.LogRecord) -> dict[str, object]:
    facts = getattr(record, "facts", None)
    return dict(facts) if isinstance(facts, dict) else {}
