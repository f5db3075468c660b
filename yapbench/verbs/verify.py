"""The verb `verify`: is a server on this machine what it should be? Checks it and packs one bundle for a bug report.

Uses the server that is `up`, the one at --url, or starts one for as long as it takes.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from servers.common.errors import StartupRefused
from yapbench import catalog, doctor, envs, keys, machine, process, provenance, service
from yapbench.catalog import CatalogEntry
from yapbench.corpus import Corpus, Utterance
from yapbench.errors import ExitCode, UsageError, YapbenchError
from yapbench.process import Server
from yapbench.schema import Outcome
from yapbench.trial import CHECKOUT
from yapbench.verbs import asking, bundle, environment, expected, fetch, serving, target, transcribing
from yapbench.verbs.asking import Answer
from yapbench.verbs.options import Options
from yapbench.verbs.transcribing import Check

CLIPS: Final = 4
"""Of each label, where nothing is known of what the weights should answer."""

LEAST_RIGHT: Final = 0.5
"""Share of labelled clips that a turn model must get right: chance, for clips of two kinds."""


def verify(name: str, words: Sequence[str], *, runs: Path = CHECKOUT / "runs") -> int:
    """Check, print and pack. `words`: --url, --output and, for a server that is started, its flags. 0 or 6."""
    own, flags = serving.split(words, switches=set(), values={"url", "output", "timeout"})
    entry = catalog.lookup(name)
    environment.adopt(fetch.HUB_VARIABLES)
    stamp = datetime.now(UTC).strftime("%Y%m%d-%H%M%S")
    path = Path(own["output"]) if "output" in own else runs / "verify" / f"{name}-{stamp}.tar.gz"
    if not path.name.endswith(".tar.gz"):
        raise UsageError(f"--output={path}: the bundle is a .tar.gz")
    options = Options(url=own.get("url"), timeout=serving.seconds(own, "timeout", 30.0))
    with _server(entry, service.flag_values(flags), options) as (server, place):
        status = server.status()
        found = checks(entry, server, status, place, timeout_s=options.timeout)
        log = server.log_tail(400)
    for check in found:
        mark = {True: "ok  ", False: "FAIL", None: "note"}[check.ok]
        print(f"{mark}  {check.what}: {check.said}")
    texts = {
        "checks.json": _json([asdict(check) for check in found]),
        "status.json": _json(status),
        "machine.json": _json(machine.fingerprint()),
        "environment.json": _json(_environment(entry, status)),
        "git.json": _json({"git": provenance.git_state(CHECKOUT), "versions": provenance.versions()}),
        "doctor.txt": "".join(f"{'ok  ' if one.ok else 'lack'}  {one.what}\n" for one in doctor.findings()),
        "server.log": log,
    }
    print(f"bundle for a bug report: {bundle.pack(path, texts, secrets=place.secrets.values())}")
    return ExitCode.OK if all(check.ok is not False for check in found) else ExitCode.SERVER_FAILED


def checks(
    entry: CatalogEntry, server: Server, status: dict[str, Any], place: target.Target, *, timeout_s: float
) -> list[Check]:
    """Everything that is looked at, in the order in which it is said."""
    named = status.get("server")
    found = [
        Check("server", named == entry.name, f"{named} at {server.url}"),
        Check("ready", server.ready(), "yes" if server.ready() else "/ready does not answer 200"),
        *_weights(entry, status),
    ]
    if place.streams:
        heard = transcribing.speak(place, status, timeout_s=timeout_s)
        return [*found, *transcribing.checks(place.client, status, heard)]
    model = status.get("model") or {}
    known = expected.PROBABILITIES.get(str(model.get("sha256")), {})
    with asking.asker(place, timeout_s=timeout_s) as ask:
        answers = [ask(utterance) for utterance in _clips(known)]
    trained = bool(model.get("sha256")) and model.get("model_id") != "random"
    return [*found, *_answers(answers, known, trained=trained)]


def _weights(entry: CatalogEntry, status: dict[str, Any]) -> list[Check]:
    """Revision and hash in /status against the files on this machine."""
    served = status.get("model") or {}
    weights = fetch.weights_of(entry)
    if weights is None:
        return [Check("weights", None, f"{entry.name} has none")]
    try:
        here = asdict(weights.identify(catalog.parsed_settings(entry, _served_with(status))))
    except (StartupRefused, YapbenchError) as refused:
        return [Check("weights", None, f"not here to compare with: {refused}")]
    if not here["sha256"] and not served.get("sha256"):
        return [Check("weights", None, f"{served.get('model_id')}: the server does not have them itself")]
    return [
        Check(name, served.get(name) == here[name], _compared(served.get(name), here[name]))
        for name in ("model_id", "revision", "sha256")
    ]


def _served_with(status: dict[str, Any]) -> dict[str, Any]:
    """The settings that decide which weights are served, and in which environment."""
    settings = status.get("settings") or {}
    return {name: settings[name] for name in ("model", "model_revision", "device", "engine_url") if name in settings}


def _environment(entry: CatalogEntry, status: dict[str, Any]) -> dict[str, Any]:
    """What is installed for the server on this machine; why not, where it is not."""
    settings = _served_with(status)
    try:
        others = envs.beside(entry, catalog.parsed_settings(entry, settings))
        return envs.fingerprint(entry.name, catalog.environment_of(entry, settings), others=others)
    except UsageError as missing:
        return {"missing": str(missing)}


def _compared(served: object, here: object) -> str:
    return str(served) if served == here else f"the server says {served}, the file here is {here}"


def _clips(known: Mapping[str, float]) -> list[Utterance]:
    """The clips whose answers are known, else a few of each label."""
    corpus = list(Corpus.load(kind="turn"))
    if known:
        return [one for one in corpus if one.id in known]
    return [one for label in ("complete", "cut") for one in [c for c in corpus if c.label == label][:CLIPS]]


def _answers(answers: Sequence[Answer], known: Mapping[str, float], *, trained: bool) -> list[Check]:
    """Were the clips answered, and as they should be?"""
    failed = [f"{a.utterance.id} {a.outcome}: {a.error}" for a in answers if a.outcome is not Outcome.OK]
    said = f"{len(answers) - len(failed)} of {len(answers)} clips answered"
    found = [Check("answers", not failed, "; ".join([said, *failed[:3]]))]
    right = sum(a.label == a.utterance.label for a in answers)
    share = f"{right} of {len(answers)} clips decided as labelled"
    if known:
        off = [(abs((a.probability or 0) - known[a.utterance.id]), a.utterance.id) for a in answers if a.label]
        worst, clip = max(off, default=(1.0, "no clip"))
        words = f"at most {worst:.4f} from the reference ({clip}); {expected.TOLERANCE:g} is allowed"
        found.append(Check("probabilities", worst <= expected.TOLERANCE, words))
    elif trained:
        found.append(Check("decisions", right > LEAST_RIGHT * len(answers), share))
    else:
        found.append(Check("decisions", None, f"{share}; there is no trained model to judge"))
    return found


@contextmanager
def _server(entry: CatalogEntry, settings: dict[str, str], options: Options) -> Iterator[tuple[Server, target.Target]]:
    """The server to check, with its address and keys; one that is started here ends with the check."""
    running = service.status(entry.name)
    if options.url or running.state != "down":
        if settings:
            raise UsageError(f"{entry.name} runs already: flags ({', '.join(settings)}) are for one that is started")
        place = target.of_options(entry.name, options)
        server = process.attach(place.url, status_key=place.secrets.get("STATUS_KEY", ""))
        server.log_path = None if options.url else running.log_path
        yield server, place
        return
    with tempfile.TemporaryDirectory(prefix="yapbench-") as folder:
        known = keys.for_start(catalog.parsed_settings(entry, settings))
        print(f"starting {entry.name} for the check ...", flush=True)
        with process.launch(
            entry.name,
            settings=settings,
            log_path=Path(folder) / "log",
            secrets=known.all,
            ready_timeout_s=serving.ready_timeout_s(entry),
        ) as server:
            place = target.of_options(entry.name, replace(options, url=server.url))
            yield server, replace(place, secrets={**place.secrets, **known.all})


def _json(value: object) -> str:
    return json.dumps(value, indent=1, sort_keys=True, default=str) + "\n"
