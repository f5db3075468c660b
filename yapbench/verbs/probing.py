"""The verb `probe`: one utterance with everything that is said in both directions, as it happens, then its times."""

from __future__ import annotations

from yapbench import clients
from yapbench.corpus import Utterance
from yapbench.errors import ExitCode, UsageError
from yapbench.schema import Outcome
from yapbench.verbs import leaving, posting, speaking, spoken, target, watching
from yapbench.verbs.options import Options
from yapbench.verbs.target import Target


def probe(server: str, options: Options) -> int:
    """0: the server did what it owed. 6: it did not, and how is said."""
    for flag, value in (("--concurrency", options.concurrency), ("--duration", options.duration)):
        if value:
            raise UsageError(f"probe makes one session: {flag} is for bench")
    if options.requests not in (None, 1):
        raise UsageError(f"--n={options.requests}: probe makes one session; `convo` makes several on one connection")
    place = target.of_options(server, options)
    if place.streams:
        options.stream(place.client)  # refuses what the wire does not have before anything is dialled
    else:
        options.refuse_streaming(place.client)
    utterance = next(iter(options.corpus(streams=place.streams, usual=place.usual)))
    print(f"probe {place.client} at {place.url}: {utterance.id}, {utterance.duration_s:.2f} s of audio")
    if utterance.text:
        print(f"said: {utterance.text!r}")
    whole = clients.uploads(place.client) or not place.streams
    return posting.probe(place, options, utterance) if whole else _stream(place, options, utterance)


def _stream(place: Target, options: Options, utterance: Utterance) -> int:
    stream = options.stream(place.client)
    print(f"frames of {stream.frame_ms:g} ms, {pace_words(stream.pace)}, end of speech by {stream.eos}")
    print(watching.HEAD)
    watch = watching.Watch(verbose=options.verbose, say=lambda line: print(line, flush=True))
    with speaking.speaker(place, options, watch) as speak:
        one = speak(utterance)
    watch.finish()
    record = one.record(full_text=options.full_text)
    print(f"{one.exchange.outcome}{f': {spoken.printable(one.exchange.error)}' if one.exchange.error else ''}")
    print(f"text: {spoken.shortened(spoken.text_of(one.stream), full=options.full_text)}")
    if one.stream.ok:
        print("\n".join(spoken.table_of(record)))
    else:
        print(f"times: {spoken.DASH} (only an utterance that ended well has any)")
    leaving.leave("probe", place, [record], options)
    return ExitCode.OK if one.exchange.outcome is Outcome.OK else ExitCode.SERVER_FAILED


def pace_words(pace: float) -> str:
    """The pace of the audio in words."""
    if not pace:
        return "as fast as accepted (not real time)"
    return "at live pace" if pace == 1 else f"{pace:g} times faster than live"
