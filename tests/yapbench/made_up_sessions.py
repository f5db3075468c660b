"""Made-up trials of streams with a plausible spread, from a seed: more wait longer, some fail. For tests only."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

import numpy as np

from tests.yapbench import made_up
from tests.yapbench import made_up_streams as streams
from yapbench import store
from yapbench.pacing.streaming import StreamOptions
from yapbench.schema import MACHINE, UTTERANCES

MS: Final = streams.MS
SENTENCES: Final = (
    "the train to the coast leaves at seven",
    "please bring two cups of coffee",
    "my number ends in forty two",
    "she asked whether the shop was open",
    "nobody knew where the key had gone",
    "turn left after the old bridge",
    "we counted every boat in the harbour",
    "that was not what I had ordered",
)
CERTIFICATE: Final[dict[str, Any]] = {
    "certificate_version": 1,
    "verdict": "VALID",
    "reasons": [],
    "made_at": "2026-11-20T09:30:00+00:00",
    "seconds": 20.0,
    "quick": False,
    "machine_class": "Made-up CPU | 2 cores | 8 GiB",
    "code_sha256": "d" * 64,
    "versions": {"python": "3.11.7"},
    "cpus": {"target": [0], "load": [1]},
    "bars": [
        {
            "bar": "H1",
            "what": "frame lateness p99, 256 streams x 80 ms, random phases",
            "unit": "ms",
            "value": 0.212,
            "floor": 0.5,
            "goal": 0.1,
            "verdict": "floor",
            "n": 192000,
            "note": "",
        },
        {
            "bar": "H2",
            "what": "frames sent early",
            "unit": "frames",
            "value": 0.0,
            "floor": 0.0,
            "goal": None,
            "verdict": "goal",
            "n": 192000,
            "note": "",
        },
        {
            "bar": "H9",
            "what": "own maximum at 20 ms frames",
            "unit": "streams",
            "value": None,
            "floor": 64.0,
            "goal": None,
            "verdict": "not measured",
            "n": 0,
            "note": "left out of a quick run",
        },
    ],
    "most_streams": {"20": 160, "80": 700},
}


def trial(
    folder: Path,
    *,
    client: str = "echo_pcm",
    levels: Iterable[float] = (1, 8, 32),
    count: int = 40,
    repeats: int = 1,
    options: StreamOptions | None = None,
    kind: str = "closed",
    slow: float = 1.0,
    base_ms: float = 90.0,
    failing_from: float = 1e9,
    failing: float = 0.125,
    server: str = "echo",
    lateness_ms: float = 0.08,
    partials: int = 4,
    seed: int = 1,
    slo_ms: float = 300.0,
    certificate: Mapping[str, Any] | str | None = "absent",
    settings: Mapping[str, Any] | None = None,
    wrong: float = 0.1,
    behind_ms: float = 0.0,
    obtained: Mapping[str, Any] | None = None,
) -> store.TrialData:
    """Write one finished trial of streams into `folder` and read it back.

    EOS is log-normal around `base_ms` x `slow`, growing with the level. From `failing_from` streams on a share of
    `failing` fails. `certificate`: "absent" leaves the key out. `wrong`: share of the utterances with every "the" heard
    wrongly; `behind_ms`: how far the partials are behind what was said.
    """
    options = options or StreamOptions()
    rng = np.random.default_rng(seed)
    rows: list[dict[str, Any]] = []
    points, now_ns = [], made_up.START_NS
    for repeat in range(repeats):
        for level in levels:
            failing_share = failing if level >= failing_from else 0.0
            made = _level(
                rng,
                level,
                repeat,
                count,
                now_ns,
                options,
                slow * base_ms,
                failing_share,
                lateness_ms,
                partials,
                wrong,
                behind_ms,
            )
            steady = [row for row in made if row["phase"] == "steady"]
            end_ns = max(row["ended_ns"] for row in steady)
            start_ns = min(row["intended_ns"] for row in steady)
            points.append({"level": level, "repeat": repeat, "start_ns": start_ns, "end_ns": end_ns})
            rows += made
            now_ns = end_ns + 500 * MS
    machine = made_up._samples(made_up.START_NS, now_ns, 1.0, 10.0, 0.2 * (now_ns - made_up.START_NS) / 1e9, 0.02, 0.4)
    chosen = {"delay_ms": 60.0, "model": "none"} | dict(settings or {})
    load = {"kind": kind, "levels": list(levels), "requests": count, "warmup": 2, "repeats": repeats, "seed": 1}
    info = made_up.info(folder, chosen) | {
        "server": server,
        "client": client,
        "notebook": "05_echo",
        "load": {**load, "stream": asdict(options), "workers": 1},
        "slo_ms": slo_ms,
        "points": points,
        "obtained": {"server": server, **(obtained or {})},
        "corpus": {"name": "sentences", "sha256": "c" * 64, "utterances": len(SENTENCES), "audio_s": 24.0},
        "model": {},
    }
    if certificate != "absent":
        info["certificate"] = certificate
    folder.mkdir(parents=True, exist_ok=True)
    store.write_table(folder / store.UTTERANCES_FILE, rows, UTTERANCES)
    store.write_table(folder / store.MACHINE_FILE, machine, MACHINE)
    store.write_json(folder / store.TRIAL, info)
    (folder / "notebook.ipynb").write_text(made_up.NOTEBOOK, encoding="utf-8")
    return store.read_trial(folder)


def sweep(folder: Path, *, count: int = 140, **more: Any) -> Path:
    """Three wires x 1, 8, 32 streams; the JSON wire is slower and fails under load."""
    for number, (client, slow, failing) in enumerate(
        (("echo_pcm", 1.0, 1e9), ("echo_json", 1.5, 32), ("echo_msgpack", 1.05, 1e9))
    ):
        path = folder / f"{number:02d}a1b2c3d4e5"
        trial(path, client=client, slow=slow, failing_from=failing, count=count, seed=number, **more)
    return folder


def look_aheads(folder: Path, *, decoders: Iterable[str] = ("rnnt",), model: str = "stt", **more: Any) -> Path:
    """0, 80, 480 and 1040 ms of look-ahead: the more, the later the words and the fewer wrong."""
    for decoder in decoders:
        for ahead_ms, wrong in ((0, 0.5), (80, 0.3), (480, 0.2), (1040, 0.1)):
            setting = {"model": model, "decoder": decoder, "look_ahead_ms": None, "att_ctx": f"70,{ahead_ms // 80}"}
            trial(
                folder / f"{decoder}{ahead_ms:05d}",
                server="fastconformer",
                client="fastconformer",
                base_ms=40 + 0.06 * ahead_ms,
                behind_ms=60 + ahead_ms,
                wrong=min(1.0, wrong * (1.6 if decoder == "ctc" else 1.0)),
                settings=setting,
                obtained={"look_ahead_ms": ahead_ms},
                **{"count": 140, "slo_ms": 500.0, **more},
            )
    return folder


def delays(folder: Path, *, model: str = "stt", **more: Any) -> Path:
    """80 to 960 ms of delay: the more, the later the words and the fewer wrong."""
    for delay_ms, wrong in ((80, 0.5), (240, 0.3), (480, 0.2), (960, 0.1)):
        trial(
            folder / f"delay{delay_ms:07d}",
            server="voxtral",
            client="voxtral",
            base_ms=40 + 0.06 * delay_ms,
            behind_ms=60 + delay_ms,
            wrong=wrong,
            settings={"model": model, "transcription_delay_ms": delay_ms},
            **{"count": 140, "slo_ms": 500.0, **more},
        )
    return folder


def _level(
    rng: np.random.Generator,
    level: float,
    repeat: int,
    count: int,
    start_ns: int,
    options: StreamOptions,
    base_ms: float,
    failing: float,
    lateness_ms: float,
    partials: int,
    wrong: float,
    behind_ms: float,
) -> list[dict[str, Any]]:
    """A closed loop of `level` streams: each begins its next utterance when the last one ended."""
    users, warmup = int(level), 2
    free_ns = [start_ns + int(rng.uniform(50, 130) * MS) for _ in range(users)]
    rows: list[dict[str, Any]] = []
    for index in range(count + warmup):
        user = min(range(users), key=free_ns.__getitem__)
        phase = "warmup" if index < warmup else "steady"
        outcome = "ok"
        if failing and index >= warmup and rng.random() < failing:
            outcome = str(rng.choice(["timeout", "rejected_at_capacity", "no_final"], p=[0.5, 0.3, 0.2]))
        eos_ms = base_ms * (1 + level / 20) * math.exp(rng.normal(0, 0.25))
        row = _utterance(rng, free_ns[user], options, eos_ms, outcome, lateness_ms, partials, index, wrong, behind_ms)
        rows.append(row | {"level": float(level), "repeat": repeat, "phase": phase, "index": index, "stream": user})
        free_ns[user] = row["ended_ns"] + int(rng.uniform(60, 140) * MS)
    return rows


def _utterance(
    rng: np.random.Generator,
    t0_ns: int,
    options: StreamOptions,
    eos_ms: float,
    outcome: str,
    lateness_ms: float,
    partials: int,
    index: int,
    wrong: float,
    behind_ms: float,
) -> dict[str, Any]:
    """One utterance; words every 0.3 s from 0.2 s on. A server that is slower than the audio is not made up."""
    said = SENTENCES[index % len(SENTENCES)]
    spoken = [(word, 0.2 + 0.3 * k, 0.45 + 0.3 * k) for k, word in enumerate(said.split())]
    end_s = spoken[-1][2]
    frames = math.ceil(1e3 * end_s / options.frame_ms)
    heard = said.replace("the", "a") if rng.random() < wrong else said
    pace = options.pace or 50.0
    end_ms = 1e3 * end_s / pace
    final_ms = end_ms + eos_ms
    words = heard.split()
    script: list[tuple[float, str, str | None]] = [(-20.0, "ready", None)]
    for k in range(partials):
        shown = 1 + k * (len(words) - 1) // max(1, partials)
        at_ms = 1e3 * spoken[min(shown, len(spoken)) - 1][2] / pace + 0.7 * eos_ms + rng.uniform(0, 40) / pace
        at_ms = min(at_ms + behind_ms / pace, final_ms) if behind_ms else at_ms
        script.append((at_ms, "partial", " ".join(words[:shown])))
    script.append((final_ms, "final", heard))
    script.sort(key=lambda event: event[0])
    ended_ms = final_ms
    if outcome != "ok":
        ended_ms = {"timeout": end_ms + 1500, "rejected_at_capacity": -10.0, "no_final": end_ms + 900}[outcome]
        script = [event for event in script if event[0] < ended_ms and event[1] != "final"]
        if outcome == "rejected_at_capacity":
            script = [(-12.0, "at_capacity", None)]
    row = streams.row(script, t0_ns=t0_ns, words=spoken, late_ms=0.1)
    late_ns = [int(abs(rng.normal(0, lateness_ms)) * MS) for _ in range(frames)]
    silent = outcome == "rejected_at_capacity"
    step_ms = options.frame_ms / pace
    return row | {
        "utterance_id": f"sentence-{index % len(SENTENCES)}",
        "request_id": f"r-{t0_ns}",
        "audio_s": end_s + 0.2,
        "reference": said,
        "speech_end_s": end_s,
        "sent_ns": None if silent else t0_ns + int(step_ms * MS) + late_ns[0],
        "sent_end_ns": None if silent else t0_ns + int(frames * step_ms * MS) + late_ns[-1],
        "ended_ns": t0_ns + int(ended_ms * MS),
        "lateness_ns": [] if silent or not options.pace else late_ns,
        "connect_start_ns": t0_ns - 45 * MS,
        "connected_ns": t0_ns - 30 * MS,
        "frame_ms": options.frame_ms,
        "pace": options.pace,
        "outcome": outcome,
        "error": None if outcome == "ok" else f"made-up {outcome}",
    }
