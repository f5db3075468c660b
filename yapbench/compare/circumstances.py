"""What else differs between two sides, and what weakens a comparison of them: machines, versions, rounds.

Knows the facts that trials stored; knows no number of theirs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, Protocol

from yapbench import obtained
from yapbench.compare.sides import Side
from yapbench.obtained import model_name, streamed
from yapbench.streams import captions
from yapbench.words import capital


class Compared(Protocol):
    """A line of a comparison, as far as its rounds go."""

    @property
    def rounds(self) -> tuple[int, int]:
        """Before and after."""

    @property
    def paired(self) -> bool:
        """Round k of one side belongs to round k of the other."""


_FACTS: Final = (
    ("Server", ("server",)),
    ("Commit", ("git", "commit")),
    ("Uncommitted changes", ("git", "dirty")),
    ("Harness commit", ("harness_git", "commit")),
    ("Processor", ("machine", "cpu_model")),
    ("Cores", ("machine", "cores")),
    ("Memory, bytes", ("machine", "memory_bytes")),
    ("System", ("machine", "os")),
    ("Kernel", ("machine", "kernel")),
    ("Python", ("versions", "python")),
    ("Device", ("obtained", "device")),
    ("Model", ("model", "model_id")),
    ("Weights sha256", ("model", "sha256")),
    ("Corpus", ("corpus", "name")),
    ("Corpus sha256", ("corpus", "sha256")),
    ("Server code sha256", ("code_sha256",)),
    ("Environment sha256", ("environment", "sha256")),
    ("Method version", ("method_version",)),
    ("Certificate", ("certificate", "verdict")),
    ("Certificate made", ("certificate", "made_at")),
)
_SAID: Final = {
    "Processor": "The sides ran on different processors ({}): a difference may be theirs.",
    "Cores": "The sides had different numbers of cores ({}): a difference may be theirs.",
    "Memory, bytes": "The sides had different amounts of memory ({} bytes).",
    "Kernel": "The machines ran different kernels ({}).",
    "Device": "The servers ran on different devices ({}).",
    "Weights sha256": "The weights differ.",
    "Environment sha256": "The servers ran on different packages.",
    "Method version": "The load was made by different versions of the method ({}).",
    "Certificate": "The load generator's certificates differ ({}).",
    "Server": "Different servers were measured ({}).",
}
"""Facts whose difference is said in a sentence."""


def facts(side: Side) -> dict[str, Any]:
    """Where a side comes from: each fact with all its values, and the packages of its servers."""
    packages: dict[str, set[str]] = {}
    for trial in side.done:
        for name, version in ((trial.info.get("environment") or {}).get("packages") or {}).items():
            packages.setdefault(str(name), set()).add(str(version))
    gpus = {str(_gpu(gpu)) for trial in side.done for gpu in (trial.info.get("machine") or {}).get("gpus") or []}
    started = sorted(side.all_of("started_at"))
    return {
        "name": side.name,
        "trials": len(side.done),
        "failed": len(side.failed),
        **{title: side.all_of(*path) for title, path in _FACTS},
        "GPUs": sorted(gpus),
        "Packages": {name: sorted(versions) for name, versions in sorted(packages.items())},
        "Measured": [started[0], started[-1]] if started else [],
    }


def _gpu(gpu: Any) -> Any:
    return gpu.get("name", gpu) if isinstance(gpu, Mapping) else gpu


def notes(before: Side, after: Side, lines: Sequence[Compared], disturbed: Sequence[str] = ()) -> tuple[str, ...]:
    """Sentences, the gravest first. `disturbed`: the points that were, with their reasons."""
    found = [*_same_trials(before, after), *_rounds(lines), *_between(facts(before), facts(after))]
    if disturbed:
        more = f", and {len(disturbed) - 1} more" if len(disturbed) > 1 else ""
        found.append(f"Disturbed while it was measured: {disturbed[0]}{more}.")
    for side in (before, after):
        if "on" in side.all_of("git", "dirty"):
            found.append(f"{side.name} was measured with uncommitted changes.")
        if side.failed:
            found.append(f"{len(side.failed)} of {len(side.failed) + len(side.done)} trials of {side.name} failed.")
        if side.unread:
            found.append(f"{len(side.unread)} folders of {side.name} hold no readable, finished trial.")
    return (*found, *_stand_ins(before, after))


def _stand_ins(before: Side, after: Side) -> list[str]:
    """What must be said of servers and models that are measured in place of others."""
    said: dict[str, None] = {}
    for trial in (*before.done, *after.done):
        streams = streamed(trial.info)
        of_model = (captions.STAND_INS if streams else obtained.STAND_INS).get(model_name(trial.info))
        of_server = captions.SCRIPTED.get(str(trial.info.get("server"))) if streams else None
        said |= {f"{capital(text)}.": None for text in (of_server, of_model) if text}
    return list(said)


def _same_trials(before: Side, after: Side) -> list[str]:
    """Of one trial nothing can be learnt by comparing it with itself."""
    runs = [{_run(trial.info) for trial in side.done} for side in (before, after)]
    both = len(runs[0] & runs[1])
    return [f"The same measurement is on both sides, for {both} of {len(after.done)} trials."] if both else []


def _run(info: Mapping[str, Any]) -> tuple[str, str, str]:
    """What no two measurements have in common: the clock's stamps are of nanoseconds."""
    return str(info["trial_id"]), str(info.get("started_at")), str(info.get("points"))


def _rounds(lines: Sequence[Compared]) -> list[str]:
    if not lines:
        return []
    fewest = min(min(line.rounds) for line in lines)
    if fewest < 2:
        return [
            "There is one round a side: how much two runs of the same differ is in no interval, so that times and "
            "rates get no verdict. Three interleaved rounds or more give one."
        ]
    if not all(line.paired for line in lines):
        return ["Rounds are not paired: the sides did not send the same utterances in the same order."]
    return []


def _between(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[str]:
    found = []
    for title, sentence in _SAID.items():
        values = [" and ".join(each[title]) or "none" for each in (before, after)]
        if values[0] != values[1]:
            found.append(sentence.format(f"{values[0]} before, {values[1]} after"))
    if before["GPUs"] != after["GPUs"]:
        names = [", ".join(each["GPUs"]) or "none" for each in (before, after)]
        found.append(f"The sides had different GPUs ({names[0]} before, {names[1]} after).")
    return found
