"""The verb `idle`: a connection on which nothing is said, until the server ends it. After how long, and how?"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Final

from yapbench import clients
from yapbench.clients.session import Closing, Session
from yapbench.corpus import Utterance
from yapbench.errors import ExitCode, UsageError
from yapbench.process import Server
from yapbench.schema import Outcome
from yapbench.verbs import leaving, speaking, target, watching
from yapbench.verbs.options import Options
from yapbench.verbs.speaking import Spoken
from yapbench.verbs.target import Target

ALLOWED_S: Final = 2.0
"""How far the closing may be from what is expected, beside the server's own tick."""


@dataclass(frozen=True)
class Silence:
    """What was found."""

    first: Spoken | None
    """The utterance before the silence, where one was asked for, or how the session failed to begin."""
    since_ns: int
    """When we last sent something."""
    closing: Closing | None
    """None: not ended within the time allowed."""

    @property
    def lasted_s(self) -> float | None:
        """From there until the server ended it."""
        return None if self.closing is None else (self.closing.at_ns - self.since_ns) / 1e9


def idle(server: str, options: Options, *, after: bool, expect_s: float | None, tick_s: float | None) -> int:
    """0: it is said. 6: the server failed, or ended it at another time than `expect_s`, or never."""
    for flag, value in (("--expect-s", expect_s), ("--tick-s", tick_s)):
        if value is not None and not 0 <= value <= 86_400:
            raise UsageError(f"{flag}={value:g}: expected a number from 0 to 86400")
    if options.requests is not None or options.concurrency or options.duration:
        raise UsageError("idle is one session: --n, --concurrency and --duration are for bench")
    place = target.of_options(server, options)
    if after or not place.streams:
        require_sessions("idle --after" if after else "idle", place)
    options.stream(place.client)  # refuses what cannot be run before anything is dialled
    tick = tick_s if tick_s is not None else _tick_s(place.attached())
    allowed_s = ALLOWED_S + tick
    wait_s = options.timeout if expect_s is None else max(options.timeout, expect_s + allowed_s + 1)
    utterance = next(iter(options.corpus(streams=True, usual=place.usual))) if after else None
    what = "one utterance, then silence" if after else "nothing is said"
    print(f"idle {place.client} at {place.url}: {what}, for {wait_s:g} s at most", flush=True)
    watch = watching.Watch(verbose=False, say=lambda line: print(line, flush=True)) if options.verbose else None
    found = speaking.in_session(place, options, lambda session: _wait(session, utterance, options, wait_s), watch)
    code, words = _judge(found, expect_s=expect_s, allowed_s=allowed_s, wait_s=wait_s)
    print(words)
    closing = found.closing
    row = {
        "phase": "steady",
        "utterance_id": utterance.id if utterance else None,
        "request_id": found.first.request_id if found.first else None,
        "outcome": str(Outcome.OK if code == ExitCode.OK else Outcome.SERVER_ERROR),
        "status": closing.code if closing else None,
        "error": None if code == ExitCode.OK else words,
        "closed_after_s": None if found.lasted_s is None else round(found.lasted_s, 4),
        "close_code": closing.code if closing else None,
        "close_reason": closing.reason if closing else None,
        "expected_s": expect_s,
        "allowed_s": allowed_s,
    }
    if found.first is not None and found.first.exchange.outcome is not Outcome.OK:
        row["outcome"] = str(found.first.exchange.outcome)
    leaving.leave("idle", place, [row], options)
    return code


def require_sessions(verb: str, place: Target) -> None:
    """Raise UsageError unless the wire keeps a connection open for more than one utterance."""
    able = [name for name, codec in clients.CODECS.items() if codec.keeps_open]
    if place.client not in able:
        what = "opens a connection for each utterance" if place.streams else "does not stream"
        raise UsageError(f"{verb}: client {place.client!r} {what}; those that can: {', '.join(able)}")


async def _wait(session: Session, utterance: Utterance | None, options: Options, wait_s: float) -> Silence:
    failed = await session.open()
    silent = utterance or Utterance(id="", duration_s=0.0)
    if failed is None and utterance is not None:
        payload = session.prepare(utterance, utterance.audio(session.sample_rate_hz))
        began_ns = time.monotonic_ns()
        exchange = await session.say(payload, intended_ns=began_ns)
        spoken = Spoken.of(utterance, session.request_id, exchange, options.stream(), began_ns)
        if exchange.outcome is not Outcome.OK:
            return Silence(spoken, session.last_sent_ns, None)
        return Silence(spoken, session.last_sent_ns, await session.wait_closed(wait_s))
    if failed is not None:
        first = Spoken.of(silent, session.request_id, failed, options.stream(), time.monotonic_ns())
        return Silence(first, session.last_sent_ns, None)
    return Silence(None, session.last_sent_ns, await session.wait_closed(wait_s))


def _judge(found: Silence, *, expect_s: float | None, allowed_s: float, wait_s: float) -> tuple[ExitCode, str]:
    first, closing = found.first, found.closing
    if first is not None and first.exchange.outcome is not Outcome.OK:
        return ExitCode.SERVER_FAILED, f"{first.exchange.outcome}: {first.exchange.error}"
    if closing is None or found.lasted_s is None:
        words = f"still open after {wait_s:g} s of silence"
        if expect_s is None:
            return ExitCode.OK, words
        return ExitCode.SERVER_FAILED, f"{words}, expected to be closed after {expect_s:g} s"
    how = "without a close frame" if closing.code is None else f"with {closing.code} {closing.reason!r}"
    words = f"closed after {found.lasted_s:.2f} s of silence, {how}"
    if expect_s is None:
        return ExitCode.OK, words
    off_s = found.lasted_s - expect_s
    said = f"{words}; expected {expect_s:g} s, {abs(off_s):.2f} s {'later' if off_s > 0 else 'earlier'}"
    if abs(off_s) <= allowed_s:
        return ExitCode.OK, f"{said}, within the {allowed_s:g} s allowed"
    return ExitCode.SERVER_FAILED, f"{said}, more than the {allowed_s:g} s allowed"


def _tick_s(server: Server | None) -> float:
    """How often the server looks for idle sessions, as its own settings say; 0 where they do not."""
    settings = (server.status().get("settings") or {}) if server else {}
    ticks = [value for name, value in settings.items() if name.endswith("tick_s") and isinstance(value, int | float)]
    return float(max(ticks, default=0.0))
