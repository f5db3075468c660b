"""One line per event, with ids and without keys."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator

import pytest

from servers.common import logs


@pytest.fixture(autouse=True)
def keep_root_logger() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    yield
    root.handlers[:], root.level = handlers, level


def test_a_json_line_has_ids_and_facts() -> None:
    stream = io.StringIO()
    logs.configure(server="demo", level="info", style="json", stream=stream)
    token = logs.REQUEST_ID.set("r1")
    logging.getLogger("x").info("done %d", 3, extra={"facts": {"status": 200}})
    logs.REQUEST_ID.reset(token)
    row = json.loads(stream.getvalue())
    assert (row["server"], row["request_id"], row["message"], row["status"]) == ("demo", "r1", "done 3", 200)


def test_a_console_line_has_ids_and_facts() -> None:
    stream = io.StringIO()
    logs.configure(server="demo", level="info", style="console", stream=stream)
    token = logs.REQUEST_ID.set("r1")
    logging.getLogger("x").info("done", extra={"facts": {"status": 200}})
    logs.REQUEST_ID.reset(token)
    assert stream.getvalue().endswith("INFO demo [r1] done status=200\n")


@pytest.mark.parametrize("style", ["console", "json"])
def test_keys_are_cut_from_messages_and_tracebacks(style: str) -> None:
    stream = io.StringIO()
    logs.configure(server="demo", level="info", style="json" if style == "json" else "console", stream=stream)
    try:
        raise ValueError("ws://host/?api_key=s3cret")
    except ValueError:
        logging.getLogger("x").exception("GET /?api_key=s3cret")
    assert "s3cret" not in stream.getvalue()
    assert "ValueError" in stream.getvalue()


def test_less_severe_lines_are_left_out() -> None:
    stream = io.StringIO()
    logs.configure(server="demo", level="warning", style="console", stream=stream)
    logging.getLogger("x").info("quiet")
    assert stream.getvalue() == ""
