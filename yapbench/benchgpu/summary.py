"""summary.md of a bench: the bars, the pairs, every setting, the bare model, and what was not run.

Reads the stored trials and rounds; every number stands with its n. Runs nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from yapbench import devices, measures, store
from yapbench.benchgpu import bars
from yapbench.benchgpu.bars import BareSize, Level, Verdict
from yapbench.benchgpu.cells import Cell
from yapbench.benchgpu.declared import Bench
from yapbench.obtained import compile_words, setting_of

BARE: Final = "bare"
"""Folder of the bare model's rounds, one file for each setting they stood beside."""

GPUS: Final = "gpus.json"
"""In a trial's folder: what its GPUs did, by load level."""

UNVERIFIED: Final = "Unverified until run on CUDA: these numbers come from the device named below."


@dataclass(frozen=True)
class Standing:
    """How far a grid came."""

    cells: Sequence[Cell]
    infos: Mapping[str, Mapping[str, Any]]
    """trial.json by trial id, of what ended."""
    cuts: Mapping[str, float]
    """Seconds by trial id of what was cut short and has not ended since."""


def levels_of(folder: Path, standing: Standing) -> list[Level]:
    """Every measured load level of every finished setting."""
    found = []
    for cell in standing.cells:
        info = standing.infos.get(cell.trial_id)
        if info is None or info["status"] != "done":
            continue
        points, gpus = read_summary(folder / cell.trial_id)["points"], read_gpus(folder / cell.trial_id)
        found += [_level(cell, info, point, gpus.get(f"{point['level']:g}", {})) for point in points]
    return found


def read_summary(trial: Path) -> dict[str, Any]:
    """A trial's summary.json, made from its rows where it is not there yet."""
    path = trial / "summary.json"
    if not path.exists():
        store.write_json(path, measures.summary(store.read_trial(trial)))
    value: dict[str, Any] = store.read_json(path)
    return value


def read_gpus(trial: Path) -> dict[str, dict[str, float | None]]:
    """By load level, {"util_percent": mean, "vram_mib": peak} of a trial's GPUs, from its rows where not yet kept."""
    path = trial / GPUS
    if not path.exists():
        found = store.read_trial(trial)
        levels = [float(point["level"]) for point in read_summary(trial)["points"]]
        watched = zip(levels, devices.during(found, levels), strict=True)
        rows = {f"{at:g}": {"util_percent": d.util_mean.value, "vram_mib": d.vram_peak_mib.value} for at, d in watched}
        store.write_json(path, rows)
    value: dict[str, dict[str, float | None]] = store.read_json(path)
    return value


def mode_of(bench: Bench, info: Mapping[str, Any]) -> str:
    """What computed in a trial: the dtype obtained, how compiling ended, and what else the bare model has, too."""
    setting, obtained = setting_of(info), info.get("obtained") or {}
    dtype = obtained.get("dtype") or setting.get("dtype")
    graphs = bool(setting.get("cuda_graphs")) and "cuda_graphs" in bench.mode
    look_ahead_ms = obtained.get("look_ahead_ms")
    return bars.mode_words(dtype, str(setting.get("torch_compile")), graphs=graphs, look_ahead_ms=look_ahead_ms)


def round_path(folder: Path, cell: Cell) -> Path:
    """Where the bare model's round beside a setting is kept."""
    return folder / BARE / f"{cell.trial_id}.json"


def rounds_of(folder: Path, cells: Sequence[Cell]) -> list[dict[str, Any]]:
    """The bare model's rounds beside these settings; others in the folder are of other code or another machine."""
    paths = [round_path(folder, cell) for cell in cells]
    return [store.read_json(path) for path in paths if path.exists()]


def write(bench: Bench, folder: Path, standing: Standing, facts: Mapping[str, Any]) -> list[Verdict]:
    """Write folder/summary.md; returns the verdicts on the bars."""
    rounds = rounds_of(folder, standing.cells)
    levels, bare = levels_of(folder, standing), bars.bare_sizes(rounds)
    verdicts = [verdict for bar in bench.bars for verdict in bars.judge(bar, levels, bare)]
    parts = [
        *_heading(bench, standing, facts, rounds),
        *_bars(verdicts),
        *_pairs(bench, levels),
        *_settings(standing, levels),
        *_bare(bare, rounds),
        *_not_run(standing),
    ]
    store.write_text(folder / "summary.md", "\n".join(parts) + "\n")
    return verdicts


def device_words(rounds: Sequence[Mapping[str, Any]]) -> str:
    """What the model ran on, as the bare program found it."""
    named = [round_["facts"].get("gpu") or round_["facts"].get("device") for round_ in rounds if round_.get("facts")]
    return ", ".join(dict.fromkeys(str(name) for name in named)) or "unknown: no bare model ran"


def on_cuda(rounds: Sequence[Mapping[str, Any]]) -> bool:
    """Whether the model ran on a GPU."""
    devices = [str(round_["facts"].get("device")) for round_ in rounds if round_.get("facts")]
    return bool(devices) and all(device.startswith("cuda") for device in devices)


def _level(cell: Cell, info: Mapping[str, Any], point: Mapping[str, Any], gpu: Mapping[str, Any]) -> Level:
    def value(name: str) -> float | None:
        found = point["values"][name]["value"]
        return None if found is None else float(found)

    counts = cell.bench.counts
    return Level(
        mode=mode_of(cell.bench, info),
        setting=cell.words,
        asked=info["asked"],
        level=float(point["level"]),
        rate=value(counts.rate),
        p50_ms=value(counts.p50_ms),
        p95_ms=value(counts.p95_ms),
        n=int(point["n"]),
        failed=sum(point["failures"].values()),
        verdict=str(point["validity"]["verdict"]),
        unit=counts.unit,
        gpu_percent=gpu.get("util_percent"),
        vram_mib=gpu.get("vram_mib"),
    )


def _heading(
    bench: Bench, standing: Standing, facts: Mapping[str, Any], rounds: Sequence[Mapping[str, Any]]
) -> list[str]:
    done = sum(info["status"] == "done" for info in standing.infos.values())
    failed, cut = len(standing.infos) - done, len(standing.cuts)
    versions: Mapping[str, Any] = next((round_["facts"] for round_ in rounds if round_.get("facts")), {})
    named = ", ".join(f"{name} {versions[name]}" for name in ("torch", "cuda", "onnxruntime") if versions.get(name))
    commit = str(facts.get("git", {}).get("commit", ""))[:7]
    return [
        f"# {bench.server}: grid within a budget",
        "",
        "Measured on CUDA." if on_cuda(rounds) else UNVERIFIED,
        "",
        f"- device: {device_words(rounds)}; {named or 'no runtime version known'}",
        f"- {done} of {len(standing.cells)} settings measured, {failed} failed, {cut} cut short by the budget",
        f"- commit {commit or 'unknown'}{' with uncommitted changes' if facts.get('git', {}).get('dirty') else ''}",
        "- random weights have the published size and speed; their decisions mean nothing",
        f"- {bench.counts.words}",
        "",
    ]


def _bars(verdicts: Sequence[Verdict]) -> list[str]:
    rows = [
        (
            v.bar,
            v.mode,
            v.result,
            "" if v.value is None else f"{v.value:.3f}",
            v.server,
            v.bare,
            v.setting,
            v.notes.rstrip("; "),
        )
        for v in verdicts
    ]
    head = ("bar", "mode", "result", "value", "server", "bare model", "setting", "notes")
    note = "Each row takes the best setting of its mode and, for rates, the best batch size of the bare model."
    return ["## Bars", "", note, "", *table(head, rows), ""]


def _pairs(bench: Bench, levels: Sequence[Level]) -> list[str]:
    parts = []
    for pair in bench.pairs:
        rows = [
            (
                each.mode,
                f"{each.level:g}",
                *_times(each.first),
                *_times(each.then),
                f"{each.then.rate / each.first.rate:.3f}" if each.first.rate and each.then.rate else bars.NOT_MEASURED,
            )
            for each in bars.compare(pair, levels)
        ]
        head = ("mode", "clients", "first: rate", "p50", "then: rate", "p50", "then / first")
        parts += [f"## First: {pair.words}", "", *(table(head, rows) if rows else [bars.NOT_MEASURED]), ""]
    return parts


def _times(row: Level) -> tuple[str, str]:
    rate = bars.NOT_MEASURED if row.rate is None else f"{row.rate:.1f}{row.unit} (n={row.n})"
    return rate, bars.NOT_MEASURED if row.p50_ms is None else f"{row.p50_ms:.2f} ms"


def _settings(standing: Standing, levels: Sequence[Level]) -> list[str]:
    rows = []
    for cell in standing.cells:
        info = standing.infos.get(cell.trial_id)
        if info is None:
            continue
        mine = [row for row in levels if row.setting == cell.words]
        ends = [min(mine, key=lambda row: row.level), max(mine, key=lambda row: row.level)] if mine else []
        said = [f"{row.level:g}: {_times(row)[0]}, p95 {row.p95_ms or 0:.2f} ms, {row.verdict}" for row in ends]
        failure = (info.get("failure") or {}).get("message", "")
        ran_as, compiling = mode_of(cell.bench, info), compile_words(info.get("obtained") or {})
        rows.append((cell.words, ran_as, compiling, *(said or [failure, ""]), *_gpu(mine)))
    head = (
        "setting",
        "ran as",
        "compiling",
        "fewest clients",
        "most clients",
        "GPU % at most clients",
        "VRAM MiB, peak",
    )
    return ["## Settings, in the order of the plan", "", *table(head, rows), ""]


def _gpu(levels: Sequence[Level]) -> tuple[str, str]:
    """Utilisation under most clients and the most memory at any time; a dash where no GPU was watched."""
    busy = max(levels, key=lambda row: row.level).gpu_percent if levels else None
    held = max((row.vram_mib for row in levels if row.vram_mib is not None), default=None)
    return "-" if busy is None else f"{busy:.0f}", "-" if held is None else f"{held:.0f}"


def _bare(sizes: Sequence[BareSize], rounds: Sequence[Mapping[str, Any]]) -> list[str]:
    rows = []
    for s in sizes:
        calls = f"{s.calls} in {s.rounds} round{'' if s.rounds == 1 else 's'}"
        times = f"{s.p50_ms:.2f} ms", f"{s.p95_ms:.2f} ms"
        rows.append((s.mode, str(s.batch_size), f"{s.rate:.1f}{s.unit} (n={s.items})", *times, calls))
    head = ("mode", "batch", "rate", "call p50", "call p95", "calls")
    errors = sorted({str(one["error"]) for one in rounds if one.get("error")})
    return ["## The bare model, between the settings", "", *table(head, rows), *[f"- failed: {e}" for e in errors], ""]


def _not_run(standing: Standing) -> list[str]:
    left = [cell for cell in standing.cells if cell.trial_id not in standing.infos]
    if not left:
        return ["## Not run", "", "Nothing: every setting of the grid has ended."]
    cut = [
        f"- {c.words}: cut short after {standing.cuts[c.trial_id]:.0f} s" for c in left if c.trial_id in standing.cuts
    ]
    rest = len(left) - len(cut)
    return ["## Not run", "", f"{rest} settings were not begun. The same command goes on.", *cut]


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """Lines of a Markdown table."""
    lines = [head, ["---"] * len(head), *rows]
    return ["| " + " | ".join(str(cell).replace("|", "/").replace("\n", " ") for cell in line) + " |" for line in lines]
