"""Two sweeps side by side: which points are laid beside each other, what is told of them, and what is refused."""

from __future__ import annotations

import re
import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.yapbench import made_up, made_up_sessions
from yapbench.errors import UsageError
from yapbench.export import export
from yapbench.measures import Point
from yapbench.side_by_side import SideBySide, begin
from yapbench.side_by_side.figures import by_load
from yapbench.side_by_side.pairs import Pair, matched
from yapbench.side_by_side.ratios import cells, said
from yapbench.stats import Estimate
from yapbench.validity import Validity, Verdict

pytestmark = pytest.mark.slow  # many trials are made up, and whole pages built


def point(
    trial_id: str, level: float = 1.0, *, wer: Estimate | None = None, valid: bool = True, **setting: Any
) -> Point:
    verdict = Validity(Verdict.VALID if valid else Verdict.INVALID, (), *[None] * 6)
    values = {"wer": wer or Estimate(0.1, 0.08, 0.12, 200)}
    return Point(trial_id, setting, "closed", level, None, 1, 200, {}, 100.0, verdict, values, {}, streams=True)


def names(pairs: Sequence[Pair]) -> list[str]:
    return [pair.name for pair in pairs]


def test_what_varies_must_be_equal_and_what_does_not_may_differ() -> None:
    before = [point(f"b{ms}", look_ahead_ms=ms, threads=1) for ms in (80, 480)]
    after = [point(f"a{ms}", look_ahead_ms=ms, threads=2) for ms in (480, 1040)]
    found = matched(before, after)
    assert names(found.pairs) == ["look-ahead 480 ms"]
    assert (found.pairs[0].before[0].trial_id, found.pairs[0].after[0].trial_id) == ("b480", "a480")
    assert (found.only_before, found.only_after) == (["look-ahead 80 ms"], ["look-ahead 1040 ms"])
    assert [(d.name, d.before, d.after) for d in found.differences] == [
        ("look_ahead_ms", "80, 480", "480, 1040"),
        ("threads", "1", "2"),
    ]


def test_single_settings_are_a_pair_however_they_differ() -> None:
    found = matched([point("b", delay_ms=60.0)], [point("a", delay_ms=80.0, knob="new")])
    assert names(found.pairs) == ["this setting"]
    assert [(d.name, d.before) for d in found.differences] == [("delay_ms", "60"), ("knob", "no such setting")]


def test_only_common_levels_are_laid_side_by_side() -> None:
    before = [point("b", level) for level in (8, 1, 4)]
    after = [point("a", level) for level in (4, 8, 16)]
    assert matched(before, after).pairs[0].levels == [4, 8]


def test_two_trials_of_one_setting_are_left_out_by_name() -> None:
    before = [point("b", decoder="ctc"), point("b2", decoder="rnnt")]
    after = [point("a", decoder="ctc", code="x"), point("a2", decoder="ctc", code="y"), point("a3", decoder="rnnt")]
    found = matched(before, after)
    assert (names(found.pairs), found.ambiguous) == (["rnnt"], ["ctc"])


def test_a_setting_without_a_common_value_is_said_to_be_in_the_way() -> None:
    found = matched([point("b1", sessions=1), point("b2", sessions=2)], [point("a", sessions=0)])
    assert (found.pairs, [d.name for d in found.nothing_shared]) == ([], ["sessions"])


@pytest.mark.parametrize(
    ("before", "after", "ratio", "reason"),
    [
        (point("b"), point("a", wer=Estimate(0.12, 0.1, 0.14, 200)), 1.2, ""),
        (point("b", valid=False), point("a"), None, "before is invalid"),
        (point("b"), point("a", wer=Estimate(0.2, 0.1, 0.3, 20, indicative=True)), None, "after has too few samples"),
        (point("b", wer=Estimate(0.0, 0.0, 0.1, 200)), point("a"), None, "before is 0"),
        (point("b"), point("a", wer=Estimate.missing("no reference")), None, "after: no reference"),
        (point("b"), point("a", wer=Estimate(0.0, 0.0, 0.1, 200)), 0.0, ""),
    ],
)
def test_a_ratio_is_told_only_of_what_can_be_believed(
    before: Point, after: Point, ratio: float | None, reason: str
) -> None:
    [cell] = cells([Pair("x", (before,), (after,))], "wer")
    assert cell.ratio == (None if ratio is None else pytest.approx(ratio))
    assert reason in cell.reason and bool(reason) == bool(cell.reason)


def test_the_ratios_of_a_metric_in_a_sentence() -> None:
    before = tuple(point("b", level) for level in (1, 2, 4))
    after = (point("a", 1, wer=Estimate(0.11)), point("a", 2, wer=Estimate(0.15)), point("a", 4, valid=False))
    found = said(cells([Pair("x", before, after)], "wer"))
    assert found == "wer: after is 1.1 to 1.5 times before at 2 points; of 1 more no ratio is told"
    assert said(cells([Pair("x", before, before)], "wer")) == "wer: after is as before at 3 points"


def test_a_figure_draws_zeros_and_tells_what_is_left_out() -> None:
    pairs = [Pair(f"s{k}", (point("b", wer=Estimate(0.0, 0.0, 0.1, 9)),), (point("a", valid=False),)) for k in range(7)]
    drawn = by_load(pairs, "wer", unit="1")
    assert drawn.svgs["wide"].count("<title>before, 1 stream: wer 0 (0–0.1; n 9)</title>") == 5
    assert drawn.svgs["wide"].count("INVALID</title>") == 5
    assert "Left out for room: 2 more settings. Grey crosses: invalid." in drawn.note
    assert drawn == by_load(pairs, "wer", unit="1")


@pytest.fixture(scope="module")
def sweeps(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Sweeps of streams; after has a longer delay, is slower, and lacks a wire."""
    root = tmp_path_factory.mktemp("runs")
    for side, slow, wires in (("old", 1.0, ("echo_pcm", "echo_json")), ("new", 1.5, ("echo_pcm",))):
        for place, client in enumerate(wires):
            made_up_sessions.trial(
                root / side / f"{place}{side}b2c3d4e5", client=client, levels=(1, 8), count=140, slow=slow,
                settings={"delay_ms": 60.0 * slow}, failing_from=8,
            )  # fmt: skip
    return root / "old", root / "new"


@pytest.fixture(scope="module")
def two(sweeps: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The same as exported."""
    out = tmp_path_factory.mktemp("exports")
    for folder in sweeps:
        export(folder, out / folder.name)
    return out / "old", out / "new"


def opened(two: tuple[Path, Path], tmp_path: Path, **more: Any) -> SideBySide:
    return begin({"before": str(two[0]), "after": str(two[1]), "out_dir": str(tmp_path)} | more)


def test_the_page_says_what_there_is(two: tuple[Path, Path], tmp_path: Path) -> None:
    found = opened(two, tmp_path)
    assert "One setting stands in both, with 2 points" in found.conclusion().markup
    assert "Only before: echo_json." in found.conclusion().markup
    assert re.search(r"delay, ms</td><td[^>]*>60</td><td[^>]*>90<", found.differences().markup)
    assert re.search(r"Trials</td><td[^>]*>2 done</td><td[^>]*>1 done</td><td[^>]*><b>differs", found.facts().markup)
    assert found.command() == f"yapbench compare {two[0]} {two[1]}"


def test_numbers_stand_beside_each_other_with_interval_and_ratio(two: tuple[Path, Path], tmp_path: Path) -> None:
    found = opened(two, tmp_path, metric="eos_p50_ms")
    cell = cells(found.pairs, "eos_p50_ms")[0]
    shown = found.table().markup
    assert 1.3 < (cell.ratio or 0) < 1.7 and f"{cell.ratio:.3g} ×" in shown
    assert f"{cell.values[0].low:.3g}–{cell.values[0].high:.3g}, n 140" in shown
    assert "<svg" in found.by_load().markup and shown.count("<h4>") == 1


def test_the_distribution_is_of_the_chosen_point_with_failures_in_it(two: tuple[Path, Path], tmp_path: Path) -> None:
    drawn = opened(two, tmp_path, metric="wer,flush_p95_ms", level=8).ecdf()
    assert drawn.key == "beside-ecdf-flush_ms"
    assert re.match(r"flush_ms: half within [\d.]+ ms before and [\d.]+ ms after · echo_pcm, 8 streams", drawn.title)
    assert "before (n 140)" in drawn.svgs["wide"]


def test_a_sweeps_own_folder_is_exported_first(
    sweeps: tuple[Path, Path], two: tuple[Path, Path], tmp_path: Path
) -> None:
    found = opened(sweeps, tmp_path / "out")
    assert found.table().markup == opened(two, tmp_path / "unused").table().markup
    assert (tmp_path / "out" / "after" / "points.csv").is_file() and not (tmp_path / "unused").exists()


def test_the_command_names_the_sweep_that_an_export_lies_in(sweeps: tuple[Path, Path], tmp_path: Path) -> None:
    shutil.copytree(sweeps[1], tmp_path / "new")
    export(tmp_path / "new", tmp_path / "new" / "export")
    found = opened((tmp_path / "new" / "export",) * 2, tmp_path)
    assert found.command() == f"yapbench compare {tmp_path}/new {tmp_path}/new"


def test_a_sweep_beside_itself_is_as_it_was(two: tuple[Path, Path], tmp_path: Path) -> None:
    found = opened((two[0], two[0]), tmp_path)
    assert "Both hold the same measurements." in found.conclusion().markup
    assert all(cell.ratio in (1.0, None) for name in found.metrics for cell in cells(found.pairs, name))
    assert "Every setting has the same values in both." in found.differences().markup


def test_other_machines_other_audio_and_failures_are_said(two: tuple[Path, Path], tmp_path: Path) -> None:
    found = opened(two, tmp_path)
    other = [
        row | {"status": "failed", "reason": "died", "cores": 64, "corpus_sha256": "f" * 64}
        for row in found.after.trials
    ]
    said_then = SideBySide(found.before, replace(found.after, trials=other)).conclusion().markup
    assert "The machine is another one" in said_then and "Other audio was sent" in said_then
    assert re.search(r"Without a result after: \w+, failed: died\.", said_then)
    assert "machine" not in found.conclusion().markup


def test_sweeps_without_a_common_setting_show_nothing(two: tuple[Path, Path], tmp_path: Path) -> None:
    made_up_sessions.trial(tmp_path / "other" / "0a1b2c3d4e5f", client="echo_msgpack", levels=(1,), count=10)
    found = opened((two[0], tmp_path / "other"), tmp_path / "out")
    assert "No settings stand in both, with no points" in found.conclusion().markup
    assert "No value in common: wire, echo_pcm, echo_json before, echo_msgpack after." in found.conclusion().markup
    assert "No point stands in both" in found.table().markup + found.by_load().markup
    assert "No point stands in both" in found.ecdf().label


def test_requests_are_not_laid_beside_streams(two: tuple[Path, Path], tmp_path: Path) -> None:
    made_up.trial(tmp_path / "turns" / "0a1b2c3d4e5f", levels=(1,), requests=10)
    with pytest.raises(UsageError, match="before are streams, after are requests"):
        opened((two[0], tmp_path / "turns"), tmp_path / "out")


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"metric": "eos_p59_ms"}, "unknown metric 'eos_p59_ms'; did you mean 'eos_p99_ms'"),
        ({"before": "runs/nowhere"}, "'runs/nowhere' is no folder"),
        ({"level": 3}, "level 3 is not one of 1, 8"),
        ({"level": "most"}, "level is 'most'"),
        ({"setting": "x"}, "setting 'x' is not one of the 1"),
        ({"setting": 2}, "setting 2 is not one of the 1 that stand in both"),
        ({"In": ["# Parameters\nbefor = 'x'\n"]}, "unknown notebook parameter 'befor'; did you mean 'before'"),
    ],
)
def test_a_choice_that_there_is_not_is_refused(
    given: dict[str, Any], message: str, two: tuple[Path, Path], tmp_path: Path
) -> None:
    with pytest.raises(UsageError, match=re.escape(message)):
        opened(two, tmp_path, **given).ecdf()
