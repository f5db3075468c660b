"""In which order a client is told what there is to tell."""

from __future__ import annotations

import asyncio
from typing import Any, cast

import pytest
from starlette.websockets import WebSocket, WebSocketDisconnect

from servers.common.errors import Draining
from servers.parakeet.live.speaker import LINES, Speaker


class Line:
    """The server's end of a connection; `gate` holds it back."""

    def __init__(self) -> None:
        self.heard: list[str] = []
        self.gate = asyncio.Event()
        self.gate.set()
        self.code = 0
        self.is_gone = False

    async def send_text(self, text: str) -> None:
        await self.gate.wait()
        if self.is_gone:
            raise WebSocketDisconnect(1006)
        self.heard.append(text)

    async def close(self, code: int, reason: str = "") -> None:
        self.code = code


def speaker_on(line: Line, **options: Any) -> Speaker:
    given = {"chunks": 2, "patience_s": 0, "on_sent": lambda: None, **options}
    return Speaker(cast(WebSocket, line), **given)


async def settle() -> None:
    for _ in range(20):
        await asyncio.sleep(0)


@pytest.fixture
async def line() -> Line:
    return Line()


QUEUED, FLUSHED = '{"status":"queued"}', '{"status":"flushed"}'


async def test_answers_keep_the_order_of_their_chunks(line: Line) -> None:
    speaker = speaker_on(line)
    running = asyncio.create_task(speaker.run())
    first, second = speaker.queue(), speaker.queue()
    speaker.tell_flushed()
    speaker.answer(second, "b")
    await settle()
    speaker.say("error")
    await settle()
    assert line.heard == [QUEUED, QUEUED, "error"]
    speaker.answer(first, "a")
    await settle()
    assert line.heard[3:] == ["a", "b", FLUSHED]
    running.cancel()


async def test_the_end_comes_after_all_that_is_owed(line: Line) -> None:
    speaker = speaker_on(line)
    running = asyncio.create_task(speaker.run())
    owed = speaker.queue()
    speaker.end(Draining("the server is shutting down"))
    await settle()
    assert line.heard == [QUEUED] and not running.done()
    speaker.answer(owed, "a")
    await running
    assert line.heard[1] == "a" and '"draining"' in line.heard[2]
    assert line.code == 1012


async def test_only_the_newest_partial_is_sent_and_none_after_it_was_withdrawn(line: Line) -> None:
    speaker = speaker_on(line)
    speaker.show("one")
    speaker.show("one two")
    running = asyncio.create_task(speaker.run())
    await settle()
    line.gate.clear()
    speaker.say("x")
    await settle()
    speaker.show("three")
    speaker.show(None)
    line.gate.set()
    await settle()
    assert line.heard == ["one two", "x"]
    running.cancel()


async def test_a_place_is_free_when_its_answer_has_left(line: Line) -> None:
    speaker = speaker_on(line, chunks=1)
    running = asyncio.create_task(speaker.run())
    owed = speaker.queue()
    waiting = asyncio.create_task(speaker.has_room_for_a_chunk())
    await settle()
    line.gate.clear()
    speaker.answer(owed, "a")
    await settle()
    assert not waiting.done()
    line.gate.set()
    await asyncio.wait_for(waiting, 5)
    running.cancel()


async def test_a_client_that_reads_nothing_fills_no_memory_and_is_given_up(
    line: Line, caplog: pytest.LogCaptureFixture
) -> None:
    speaker = speaker_on(line, patience_s=0.05)
    line.gate.clear()
    running = asyncio.create_task(speaker.run())
    for _ in range(LINES + 2):
        speaker.say("x")
    assert speaker.is_full
    await asyncio.wait_for(running, 5)
    assert line.heard == [] and "reads nothing" in caplog.text


async def test_a_client_that_is_gone_ends_it(line: Line) -> None:
    speaker = speaker_on(line)
    line.is_gone = True
    speaker.say("x")
    await asyncio.wait_for(speaker.run(), 5)
