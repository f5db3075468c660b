"""The verb `convo`: several utterances on one connection, with a pause between, as a conversation has them."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Final

from yapbench.clients.session import Session
from yapbench.corpus import Utterance
from yapbench.errors import ExitCode, UsageError
from yapbench.schema import Outcome
from yapbench.verbs import idle, leaving, speaking, spoken, target, watching
from yapbench.verbs.options import Options
from yapbench.verbs.speaking import Spoken

USUAL: Final = 2
"""Utterances, where the user does not say."""


def convo(server: str, options: Options, *, pause_s: float) -> int:
    """0: every utterance got its result. 6: one did not, or the server hung up between."""
    if not 0 <= pause_s <= 3600:
        raise UsageError(f"--pause-s={pause_s:g}: expected a number from 0 to 3600")
    count = USUAL if options.requests is None else options.requests
    if not 1 <= count <= 1000:
        raise UsageError(f"--n={count}: expected a number of utterances from 1 to 1000")
    if options.concurrency or options.duration:
        raise UsageError("convo is one connection: --concurrency and --duration are for bench")
    place = target.of_options(server, options)
    idle.require_sessions("convo", place)
    options.stream(place.client)  # refuses what cannot be run before anything is dialled
    corpus = options.corpus(streams=True, usual=place.usual)
    chosen = [corpus.utterances[number % len(corpus)] for number in range(count)]
    print(f"convo {place.client} at {place.url}: {count} utterances, {pause_s:g} s between them", flush=True)
    watch = watching.Watch(verbose=False, say=lambda line: print(line, flush=True)) if options.verbose else None
    found, missing = speaking.in_session(
        place, options, lambda session: _talk(session, chosen, options, pause_s=pause_s), watch
    )
    rows = [one.record(full_text=options.full_text) for one in found]
    if missing:
        print(missing)
    leaving.leave("convo", place, rows, options)
    well = not missing and all(one.exchange.outcome is Outcome.OK for one in found)
    return ExitCode.OK if well else ExitCode.SERVER_FAILED


async def _talk(
    session: Session, chosen: Sequence[Utterance], options: Options, *, pause_s: float
) -> tuple[list[Spoken], str]:
    """The utterances that were begun, and why others were not."""
    payloads = {one.id: session.prepare(one, one.audio(session.sample_rate_hz)) for one in chosen}
    found: list[Spoken] = []
    failed = await session.open()
    if failed is not None:
        one = Spoken.of(chosen[0], session.request_id, failed, options.stream(), time.monotonic_ns())
        _tell(one, options)
        return [one], f"1 of {len(chosen)} utterances was tried: there was no session"
    for number, utterance in enumerate(chosen, start=1):
        if number > 1 and (closing := await session.wait_closed(pause_s)) is not None:
            how = "without a close frame" if closing.code is None else f"with {closing.code} {closing.reason!r}"
            return found, f"the server hung up {how} before utterance {number} of {len(chosen)}"
        began_ns = time.monotonic_ns()
        exchange = await session.say(payloads[utterance.id], intended_ns=began_ns)
        found.append(Spoken.of(utterance, session.request_id, exchange, options.stream(), began_ns))
        _tell(found[-1], options)
        if exchange.outcome is not Outcome.OK:  # its result may still come, and would be taken for the next one's
            break
    left = len(chosen) - len(found)
    return found, f"{left} of {len(chosen)} utterances were not said: the one before failed" if left else ""


def _tell(one: Spoken, options: Options) -> None:
    record = one.record(full_text=False)
    print(spoken.in_words(record), flush=True)
    print(f"    {spoken.shortened(spoken.text_of(one.stream), full=options.full_text)}", flush=True)
