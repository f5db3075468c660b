"""The verb `client`: clip after clip, its words, the truth and the answer. On a terminal it waits for Enter between."""

from __future__ import annotations

import random
import sys
from collections.abc import Callable, Iterator

from yapbench.corpus import Corpus, Utterance
from yapbench.errors import ExitCode, UsageError
from yapbench.schema import Outcome
from yapbench.verbs import asking, target
from yapbench.verbs.asking import Answer
from yapbench.verbs.options import Options

PROMPT = "Enter: another clip, a file or sample's name: that one, q: the end > "


def client(server: str, options: Options, *, read: Callable[[str], str] | None = None) -> int:
    """Ask until the reader says q. `read` (default: the terminal) prompts and gives a line; EOFError ends.

    Without a terminal: `--n` clips, or all of them. 0 when every clip was answered, else 6.
    """
    if options.concurrency or options.duration:
        raise UsageError("client asks one clip after another: --concurrency and --duration are for bench")
    place = target.of_options(server, options)
    place.attached()  # says so when nobody is there
    corpus = options.corpus()
    if read is None and sys.stdin.isatty():
        read = input
    failed = 0
    with asking.asker(place, timeout_s=options.timeout) as ask:
        for utterance in _conversation(corpus, options, read) if read else _in_order(corpus, options):
            answer = ask(utterance)
            failed += answer.outcome is not Outcome.OK
            print(in_words(answer, verbose=options.verbose), flush=True)
    return ExitCode.SERVER_FAILED if failed else ExitCode.OK


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


def _conversation(corpus: Corpus, options: Options, read: Callable[[str], str]) -> Iterator[Utterance]:
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
                yield from options.with_file(line).corpus()
            except UsageError as mistake:
                print(mistake)
