"""The verb `client`: clip after clip, its words, the truth and the answer. On a terminal it waits for Enter between."""

from __future__ import annotations

import random
import shutil
import sys
from collections.abc import Callable, Iterator
from typing import TextIO

from yapbench.clients.line import Sight
from yapbench.corpus import Corpus, Utterance
from yapbench.errors import ExitCode, UsageError
from yapbench.schema import Outcome
from yapbench.verbs import asking, leaving, speaking, spoken, target
from yapbench.verbs.asking import Answer
from yapbench.verbs.options import Options
from yapbench.verbs.target import Target

PROMPT = "Enter: another clip, a file or sample's name: that one, q: the end > "


def client(server: str, options: Options, *, read: Callable[[str], str] | None = None) -> int:
    """Ask until the reader says q. `read` (default: the terminal) prompts and gives a line; EOFError ends.

    Without a terminal: `--n` clips, or all of them. 0 when every clip was answered, else 6.
    """
    if options.concurrency or options.duration:
        raise UsageError("client asks one clip after another: --concurrency and --duration are for bench")
    place = target.of_options(server, options)
    if place.streams:
        options.stream(place.client)  # refuses what cannot be run before anything is dialled
    else:
        options.refuse_streaming(place.client)
    place.attached()  # says so when nobody is there
    corpus = options.corpus(streams=place.streams, usual=place.usual)
    if read is None and sys.stdin.isatty():
        read = input
    clips = _conversation(corpus, options, read, streams=place.streams) if read else _in_order(corpus, options)
    return _speak(place, options, clips) if place.streams else _ask(place, options, clips)


def _ask(place: Target, options: Options, clips: Iterator[Utterance]) -> int:
    failed = 0
    with asking.asker(place, timeout_s=options.timeout) as ask:
        for utterance in clips:
            answer = ask(utterance)
            failed += answer.outcome is not Outcome.OK
            print(in_words(answer, verbose=options.verbose), flush=True)
    return ExitCode.SERVER_FAILED if failed else ExitCode.OK


def _speak(place: Target, options: Options, clips: Iterator[Utterance]) -> int:
    rows = []
    partials = Partials(sys.stdout) if options.print_partials else None
    try:
        with speaking.speaker(place, options, partials) as speak:
            for utterance in clips:
                said = f" {spoken.shortened(utterance.text, full=options.full_text)}" if utterance.text else ""
                print(f"{utterance.id} ({utterance.duration_s:.1f} s){said}", flush=True)
                one = speak(utterance)
                if partials is not None:
                    partials.end()
                rows.append(one.record(full_text=options.full_text))
                if one.exchange.outcome is Outcome.OK:
                    print(f"    {spoken.shortened(spoken.text_of(one.stream), full=options.full_text)}")
                lines = spoken.table_of(rows[-1]) if options.verbose else [spoken.times_in_words(rows[-1])]
                print("".join(f"    {line}\n" for line in lines), end="", flush=True)
    finally:
        if rows:
            leaving.leave("client", place, rows, options)
    return ExitCode.OK if all(row["outcome"] == Outcome.OK for row in rows) else ExitCode.SERVER_FAILED


class Partials:
    """An observer that shows the transcript as it grows: on a terminal in one line, else in a line each."""

    def __init__(self, output: TextIO) -> None:
        self._output = output
        self._redraws = output.isatty()
        self._open = False

    def __call__(self, sight: Sight) -> None:
        """Take one sight; only partials with a text count."""
        if sight.kind != "partial" or not sight.text:
            return
        text = spoken.printable(sight.text)
        if not self._redraws:
            self._output.write(f"  ~ {text}\n")
            return
        width = shutil.get_terminal_size().columns - 5
        self._open = True
        self._output.write(f"\r\x1b[K  ~ {text[-width:]}")
        self._output.flush()

    def end(self) -> None:
        """The utterance is over: what comes now begins a new line."""
        if self._open:
            self._open = False
            self._output.write("\r\x1b[K")


def in_words(answer: Answer, *, verbose: bool = False) -> str:
    """The clip and its answer on one line; with `verbose` also the server's own message."""
    utterance = answer.utterance
    what = f"{utterance.id} ({utterance.duration_s:.1f} s) {utterance.text!r}" if utterance.text else utterance.id
    if answer.probability is None:
        return f"{what}: {answer.outcome}: {answer.error}"
    truth = f", truth {utterance.label}" if utterance.label else ""
    said = f"{answer.label} ({answer.probability:.3f}){truth}, {answer.latency_ms:.0f} ms"
    return f"{what}: {said}" + (f"\n    {dict(answer.message)}" if verbose else "")


def _in_order(corpus: Corpus, options: Options) -> Iterator[Utterance]:
    """As many as asked for, from the beginning again when the corpus is shorter."""
    count = len(corpus) if options.requests is None else options.requests
    for number in range(count):
        yield corpus.utterances[number % len(corpus)]


def _conversation(
    corpus: Corpus, options: Options, read: Callable[[str], str], *, streams: bool
) -> Iterator[Utterance]:
    """The clips in an order by chance, or those that are named; a wrong name is said and asked again."""
    waiting = list(corpus)
    random.Random(0).shuffle(waiting)
    for number in range(options.requests or sys.maxsize):
        yield waiting[number % len(waiting)]
        while True:
            try:
                line = read(PROMPT).strip()
            except (EOFError, KeyboardInterrupt):
                return
            if line.lower() in ("q", "quit", "exit"):
                return
            if not line:
                break
            try:
                yield from options.with_file(line).corpus(streams=streams)
            except UsageError as mistake:
                print(mistake)
