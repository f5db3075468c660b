"""Made-up trials with plausible smart_turn rows: a small queueing model run from a seed. For tests only."""

from __future__ import annotations

import heapq
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from yapbench import store
from yapbench.schema import MACHINE, SCHEMA_VERSION, UTTERANCES

CLIPS = 40
MS = 1_000_000
START_NS = 5_000_000_000_000


def clip_probability(clip: int) -> float:
    """The model's answer for a clip: the same in every trial, mostly right."""
    rng = np.random.default_rng(1000 + clip)
    right = rng.beta(6, 1)
    return float(round(right if clip % 2 == 0 else 1 - right, 6))


def trial(
    folder: Path,
    *,
    settings: Mapping[str, Any] | None = None,
    levels: Iterable[float] = (1, 4, 8),
    repeats: int = 1,
    requests: int = 130,
    service_ms: float = 27.0,
    outcomes: Mapping[str, float] | None = None,
    lateness_ms: float = 0.3,
    loop_lag_ms: float = 0.4,
    others_cpu: float = 0.02,
    cpu_rows: bool = True,
    shift: float = 0.0,
    seed: int = 1,
) -> store.TrialData:
    """Write one finished trial into `folder` and read it back.

    `outcomes`: share of requests not ending ok. `shift` moves every probability. `others_cpu`: share
    of the two cores that something else uses.
    """
    chosen = {"window_ms": 5.0, "sessions": 1, "batch_buckets": "1,2,4", "threshold": 0.5} | dict(settings or {})
    rng = np.random.default_rng(seed)
    rows: list[dict[str, Any]] = []
    machine: list[dict[str, Any]] = []
    points = []
    now_ns, cpu_s, busy_s = START_NS, 1.0, 10.0
    for repeat in range(repeats):
        for level in levels:
            slow = service_ms * float(np.exp(rng.normal(0, 0.02)))
            made = _level(rng, chosen, level, repeat, requests, slow, now_ns, outcomes or {}, lateness_ms, shift)
            end_ns = max(row["ended_ns"] for row in made)
            if cpu_rows:
                machine += _samples(now_ns, end_ns, cpu_s, busy_s, len(made) * slow / 1e3, others_cpu, loop_lag_ms)
            cpu_s += len(made) * slow / 1e3
            busy_s += len(made) * slow / 1e3 + others_cpu * 2 * (end_ns - now_ns) / 1e9 + 0.01
            points.append({"level": level, "repeat": repeat, "start_ns": now_ns, "end_ns": end_ns})
            rows += made
            now_ns = end_ns + 300 * MS
    folder.mkdir(parents=True, exist_ok=True)
    store.write_table(folder / store.UTTERANCES_FILE, rows, UTTERANCES)
    store.write_table(folder / store.MACHINE_FILE, machine, MACHINE)
    store.write_json(folder / store.TRIAL, info(folder, chosen) | {"points": points})
    (folder / "notebook.ipynb").write_text(NOTEBOOK, encoding="utf-8")
    return store.read_trial(folder)


def failed(folder: Path, *, settings: Mapping[str, Any] | None = None) -> store.TrialData:
    """Write a trial whose server did not start."""
    folder.mkdir(parents=True, exist_ok=True)
    tail = "loading model\nFatal: not enough memory for <9> sessions"
    failure = {"code": "server_died", "message": "exit status 1 before it was ready", "log_tail": tail}
    store.write_json(
        folder / store.TRIAL,
        info(folder, dict(settings or {"window_ms": 5.0, "sessions": 9})) | {"status": "failed", "failure": failure},
    )
    return store.read_trial(folder)


def sweep(folder: Path, *, requests: int = 130, repeats: int = 1, levels: Iterable[float] = (1, 4, 8)) -> Path:
    """Write eight trials: sessions x window x buckets."""
    levels = tuple(levels)
    grid = [(s, w, b) for s in (1, 2) for w in (0.0, 5.0) for b in ("1", "1,2,4")]
    for number, (sessions, window_ms, buckets) in enumerate(grid):
        trial(
            folder / f"{number:02d}a1b2c3d4e5",
            settings={"sessions": sessions, "window_ms": window_ms, "batch_buckets": buckets},
            levels=levels,
            requests=requests,
            repeats=repeats,
            seed=number,
        )
    return folder


ENGINES = (
    ("v3-onnx", None, None, 27.0),
    ("tiny", "torch.float32", "off", 12.0),
    ("tiny", "torch.float32", "ready", 10.0),
    ("tiny", "torch.bfloat16", "off", 15.0),
    ("tiny", "torch.bfloat16", "failed", 15.0),
)
"""(model, dtype, how compiling ended, ms a clip) of the trials of `models`."""


def models(folder: Path, *, requests: int = 130, levels: Iterable[float] = (1, 8)) -> Path:
    """Write twenty trials: five engines x window x buckets. The tiny ones decide a little worse."""
    levels = tuple(levels)
    grid = [(engine, w, b) for engine in ENGINES for w in (0.0, 5.0) for b in ("1", "1,2,4")]
    for number, ((model, dtype, state, service_ms), window_ms, buckets) in enumerate(grid):
        chosen: dict[str, Any] = {"window_ms": window_ms, "batch_buckets": buckets, "model": model, "dtype": dtype}
        if state is not None:
            chosen |= {"torch_compile": state != "off", "compile_state": state}
        shift = 0.0 if model == "v3-onnx" else 0.2
        folder_of_trial = folder / f"{number:02d}a1b2c3d4e5"
        trial(
            folder_of_trial,
            settings=chosen,
            levels=levels,
            requests=requests,
            service_ms=service_ms,
            shift=shift,
            seed=number,
        )
    return folder


def info(folder: Path, settings: Mapping[str, Any]) -> dict[str, Any]:
    """A whole trial.json, status done."""
    return {
        "schema_version": SCHEMA_VERSION,
        "method_version": 1,
        "trial_id": folder.name,
        "sweep": folder.parent.name,
        "server": "smart_turn",
        "notebook": "10_smart_turn",
        "status": "done",
        "failure": None,
        "asked": dict(settings),
        "settings": {"deadline_ms": 2500.0, "model": "v3-onnx"}
        | {k: v for k, v in settings.items() if k != "compile_state"},
        "obtained": {
            "device": "cpu",
            "dtype": settings.get("dtype") or "int8",
            "versions": {"onnxruntime": "1.31.1"},
            "compile": {"state": settings.get("compile_state", "off"), "seconds": 2.5, "shapes_ready": 4, "shapes": 4},
        },
        "load": {
            "kind": "closed",
            "levels": [1, 4, 8],
            "requests": 130,
            "warmup": 8,
            "repeats": 1,
            "seed": 1,
        },
        "slo_ms": 100.0,
        "points": [],
        "corpus": {"name": "turns", "sha256": "c" * 64, "utterances": CLIPS, "audio_s": 180.0},
        "model": {"model_id": "smart-turn-v3.2", "revision": "3.2", "sha256": "a" * 64},
        "code_sha256": "b" * 64,
        "environment": {"python": "3.11.7", "packages": {"onnxruntime": "1.31.1"}, "sha256": "e" * 64},
        "machine": {
            "cpu_model": "Made-up CPU",
            "cores": 2,
            "memory_bytes": 8 << 30,
            "os": "Debian 12",
            "gpus": [],
        },
        "versions": {"python": "3.11.7", "numpy": "2.4.6"},
        "git": {"commit": "0123456789abcdef0123456789abcdef01234567", "dirty": False},
        "clock": {"boot_id": "b", "wall_ns": 0, "monotonic_ns": 0},
        "server_command": "python -m servers.smart_turn --port=8001",
        "reproduce": ".venv/bin/papermill notebooks/10_smart_turn.ipynb out.ipynb -p sessions 1",
        "started_at": "2026-11-20T12:00:00+00:00",
        "duration_s": 21.5,
        "server_ready_s": 1.25,
        "pinning": {"server_cpus": [0], "worker_cpus": [1], "reason": ""},
    }


def _level(
    rng: np.random.Generator,
    settings: Mapping[str, Any],
    level: float,
    repeat: int,
    requests: int,
    service_ms: float,
    start_ns: int,
    outcomes: Mapping[str, float],
    lateness_ms: float,
    shift: float,
) -> list[dict[str, Any]]:
    """A closed loop of `level` clients against sessions that take batches in turn."""
    clients = int(level)
    largest = max(int(b) for b in str(settings["batch_buckets"]).split(","))
    window_ns = float(settings["window_ms"]) * MS if largest > 1 else 0.0
    free = [float(start_ns)] * int(settings["sessions"])
    waiting = [(float(start_ns), stream, 0) for stream in range(clients)]
    heapq.heapify(waiting)
    rows: list[dict[str, Any]] = []
    warmup, index = 8, 0
    while index < requests + warmup + clients and waiting:
        ready_ns, *_ = waiting[0]
        heapq.heapify(free)
        begin_ns = max(heapq.heappop(free), ready_ns + window_ns)
        batch: list[tuple[float, int, int]] = []
        while waiting and len(batch) < largest and waiting[0][0] <= begin_ns:
            batch.append(heapq.heappop(waiting))
        took_ns = service_ms * len(batch) * float(np.exp(rng.normal(0, 0.06))) * MS
        ended_ns = begin_ns + took_ns
        heapq.heappush(free, ended_ns)
        for sent_ns, stream, turn in batch:
            phase = "warmup" if index < warmup else "steady" if index < requests + warmup else "drain"
            outcome = _outcome(rng, outcomes)
            metrics = {
                "inference_time": took_ns / 1e9,
                "total_time": (ended_ns - sent_ns) / 1e9,
                "queue_time": (begin_ns - sent_ns) / 1e9,
                "batch_size": len(batch),
            }
            late_ns = int(abs(rng.normal(0, lateness_ms / 2.6)) * MS)
            rows.append(
                _row(
                    level,
                    repeat,
                    phase,
                    index,
                    stream,
                    sent_ns,
                    late_ns,
                    ended_ns + 0.8 * MS,
                    outcome,
                    metrics,
                    shift,
                )
            )
            heapq.heappush(waiting, (ended_ns + 1.2 * MS + late_ns, stream, turn + 1))
            index += 1
    return rows


def _outcome(rng: np.random.Generator, outcomes: Mapping[str, float]) -> str:
    at, drawn = 0.0, rng.random()
    for name, share in outcomes.items():
        at += share
        if drawn < at:
            return name
    return "ok"


def _row(
    level: float,
    repeat: int,
    phase: str,
    index: int,
    stream: int,
    sent_ns: float,
    late_ns: int,
    ended_ns: float,
    outcome: str,
    metrics: Mapping[str, float],
    shift: float,
) -> dict[str, Any]:
    clip = (index * 7 + stream) % CLIPS
    probability = min(1.0, max(0.0, clip_probability(clip) + shift))
    answer = {"prediction": int(probability >= 0.5), "probability": probability, "metrics": dict(metrics)}
    event = {"at_ns": int(ended_ns), "kind": "answer", "text": None, "data": json.dumps(answer)}
    return {
        "schema_version": SCHEMA_VERSION,
        "level": float(level),
        "repeat": repeat,
        "phase": phase,
        "index": index,
        "worker": 0,
        "stream": stream,
        "utterance_id": f"clip-{clip:02d}",
        "request_id": f"{level}-{repeat}-{index}",
        "audio_s": 4.5,
        "label": "complete" if clip % 2 == 0 else "cut",
        "intended_ns": int(sent_ns) - late_ns,
        "sent_ns": int(sent_ns),
        "sent_end_ns": int(sent_ns) + MS // 5,
        "ended_ns": int(ended_ns),
        "lateness_ns": [late_ns],
        "events": [event] if outcome == "ok" else [],
        "outcome": outcome,
        "status": 200 if outcome == "ok" else None,
        "error": None if outcome == "ok" else f"made-up {outcome}",
    }


def _samples(
    start_ns: int, end_ns: int, cpu_s: float, busy_s: float, work_s: float, others: float, loop_lag_ms: float
) -> list[dict[str, Any]]:
    """Machine rows every 200 ms, one more at each end."""
    rows = []
    for at_ns in [*range(start_ns, end_ns, 200 * MS), end_ns]:
        share = (at_ns - start_ns) / max(1, end_ns - start_ns)
        passed_s = (at_ns - start_ns) / 1e9
        values = {
            ("server", "cpu_s"): cpu_s + work_s * share,
            ("server", "rss_bytes"): 300e6 + 4e6 * cpu_s + 2e6 * share,
            ("machine", "busy_s"): busy_s + work_s * share + others * 2 * passed_s + 0.01 * share,
            ("machine", "steal_s"): 0.0,
            ("worker0", "cpu_s"): start_ns / 1e12 + 0.01 * share,
            ("worker0", "loop_lag_ns"): loop_lag_ms * MS,
        }
        rows += [
            {
                "schema_version": SCHEMA_VERSION,
                "at_ns": at_ns,
                "source": source,
                "metric": metric,
                "value": value,
            }
            for (source, metric), value in values.items()
        ]
    return rows


NOTEBOOK = json.dumps(
    {
        "cells": [
            {"cell_type": "markdown", "id": "a", "metadata": {}, "source": "# A made-up notebook"},
            {
                "cell_type": "code",
                "execution_count": 1,
                "id": "b",
                "metadata": {},
                "outputs": [{"name": "stdout", "output_type": "stream", "text": "ready <now>\n"}],
                "source": "print('ready <now>')",
            },
        ],
        "metadata": {"kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"}},
        "nbformat": 4,
        "nbformat_minor": 5,
    }
)
