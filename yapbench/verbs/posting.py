"""`probe` for a server of requests and answers: the request, the answer with its headers, and when each part came."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from typing import Any, Final
from uuid import uuid4

import aiohttp

from servers.common.auth import redact
from yapbench import clients
from yapbench.clients.interface import Exchange, storable
from yapbench.clients.smart_turn import SmartTurnClient
from yapbench.corpus import Utterance
from yapbench.errors import ExitCode, UsageError
from yapbench.schema import Outcome
from yapbench.verbs import leaving, spoken
from yapbench.verbs.options import Options
from yapbench.verbs.target import Target

_SECRET: Final = frozenset({"authorization", "x-api-key", "cookie", "set-cookie"})
_LONGEST: Final = 300


class Witness:
    """Prints what happens to one request, and keeps when it happened first, in ms from its start."""

    def __init__(self, *, verbose: bool) -> None:
        self._verbose, self._start_ns = verbose, time.monotonic_ns()
        self.at_ms: dict[str, float] = {}
        trace = aiohttp.TraceConfig()
        trace.on_connection_create_start.append(self._dialling)
        trace.on_connection_create_end.append(self._connected)
        trace.on_request_headers_sent.append(self._headers_sent)
        trace.on_request_chunk_sent.append(self._body_sent)
        trace.on_request_end.append(self._answered)
        trace.on_response_chunk_received.append(self._body_received)
        trace.freeze()
        self.trace = trace

    def note(self, what: str, words: str = "") -> None:
        """It happened now."""
        since_ms = (time.monotonic_ns() - self._start_ns) / 1e6
        self.at_ms.setdefault(what, round(since_ms, 3))
        print(f"{since_ms:>10.1f}  {what}{'  ' if words else ''}{words}", flush=True)

    async def _dialling(self, *_: object) -> None:
        self.note("-- dial")

    async def _connected(self, *_: object) -> None:
        self.note("-- connected")

    async def _headers_sent(self, _s: object, _c: object, sent: aiohttp.TraceRequestHeadersSentParams) -> None:
        self.note("-> request", f"{sent.method} {redact(str(sent.url))}")
        _show(sent.headers)

    async def _body_sent(self, _s: object, _c: object, sent: aiohttp.TraceRequestChunkSentParams) -> None:
        if sent.chunk:
            self.note("-> body", f"{len(sent.chunk)} bytes")

    async def _answered(self, _s: object, _c: object, got: aiohttp.TraceRequestEndParams) -> None:
        self.note("<- status", f"{got.response.status} {got.response.reason or ''}")
        _show(got.response.headers)

    async def _body_received(self, _s: object, _c: object, got: aiohttp.TraceResponseChunkReceivedParams) -> None:
        words = spoken.printable(redact(got.chunk.decode(errors="replace")))
        self.note("<- answer", words if self._verbose or len(words) <= _LONGEST else f"{words[:_LONGEST]}...")


def _show(headers: Mapping[str, str]) -> None:
    for name, value in headers.items():
        print(f"{'':>10}    {name}: {'***' if name.lower() in _SECRET else redact(value)}")


def probe(place: Target, options: Options, utterance: Utterance) -> int:
    """Ask once. 0: an answer as the wire has it; 6: anything else."""
    client = clients.build(place.client, place.url, timeout_s=options.timeout, environment=place.secrets)
    if not isinstance(client, SmartTurnClient):
        raise UsageError(f"client {place.client!r}: probe knows streams, and requests of one body")
    witness, request_id = Witness(verbose=options.verbose), uuid4().hex
    exchange = asyncio.run(_ask(client, utterance, witness, request_id))
    print(f"{exchange.outcome}{f': {spoken.printable(exchange.error)}' if exchange.error else ''}")
    record: dict[str, Any] = {
        "phase": "steady",
        "utterance_id": utterance.id,
        "request_id": request_id,
        "audio_s": utterance.duration_s,
        "outcome": str(exchange.outcome),
        "status": exchange.status,
        "error": exchange.error and storable(exchange.error),
        **{f"{what[3:].replace(' ', '_')}_at_ms": at_ms for what, at_ms in witness.at_ms.items()},
        "answer": exchange.events[-1].data if exchange.events else None,
    }
    leaving.leave("probe", place, [record], options)
    return ExitCode.OK if exchange.outcome is Outcome.OK else ExitCode.SERVER_FAILED


async def _ask(client: SmartTurnClient, utterance: Utterance, witness: Witness, request_id: str) -> Exchange:
    try:
        body = client.prepare(utterance, utterance.audio(client.sample_rate_hz))
        # The client's own session, so that what is watched is what is measured elsewhere.
        client._open().trace_configs.append(witness.trace)
        return await client.exchange(body, request_id, intended_ns=time.monotonic_ns())
    finally:
        await client.close()
