"""`yapbench compare` from its sides to its exit code, its page and its data."""

from __future__ import annotations

import io
import json
import re
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from tests.yapbench import made_up, made_up_sessions
from tests.yapbench.pages import assert_offline
from yapbench import store
from yapbench.compare import command
from yapbench.compare.comparison import compare_folders
from yapbench.errors import ExitCode, NothingRan, UsageError

pytestmark = pytest.mark.slow  # many trials are made up, and whole pages built


def sweep(folder: Path, **of_second: Any) -> Path:
    """Two settings, three rounds of each; `of_second` changes the second one's trials."""
    for sessions in (1, 2):
        for seed in (1, 2, 3):
            path = folder / f"{sessions}{seed}a1b2c3d4e5"
            more = of_second if sessions == 2 else {}
            made_up.trial(path, settings={"sessions": sessions}, levels=(8,), requests=140, seed=seed, **more)
            info = store.read_json(path / store.TRIAL)
            store.write_json(path / store.TRIAL, info | {"load": info["load"] | {"seed": seed}})
    return folder


def run(before: Path, after: Path, **more: Any) -> tuple[ExitCode, str]:
    said = io.StringIO()
    console = Console(file=said, width=160, color_system=None)
    code = command.run(str(before), str(after), runs_dir=before.parent, console=console, **more)
    return code, said.getvalue()


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs")
    sweep(folder / "before")
    sweep(folder / "slower", service_ms=35, outcomes={"timeout": 0.08})
    return folder


@pytest.fixture(scope="module")
def page(runs: Path) -> str:
    run(runs / "before", runs / "slower", out=runs / "out")
    return (runs / "out" / "compare.html").read_text(encoding="utf-8")


def test_something_slower_is_a_regression_and_is_said_first(runs: Path) -> None:
    code, said = run(runs / "before", runs / "slower")
    assert int(code) == 4
    assert re.match(r".* at 8 clients with 2 sessions, and \d+ more numbers got worse \(", said.splitlines()[0])
    table = [line for line in said.splitlines() if re.match(r"\s+(slower|worse|lower|faster|not shown|no diff)", line)]
    assert all("2 sessions" in line for line in table if re.match(r"\s+(slower|worse|lower)", line))
    assert re.match(r"\s+(slower|worse|lower)", table[0])


def test_something_faster_is_none(runs: Path) -> None:
    code, said = run(runs / "slower", runs / "before")
    assert int(code) == 0
    assert said.startswith("Nothing got worse that could be shown; ")


def test_the_same_is_none_and_said_to_be_the_same(runs: Path, tmp_path: Path) -> None:
    code, said = run(runs / "before", runs / "before", out=tmp_path)
    assert code is ExitCode.OK
    assert "The same measurement is on both sides, for 6 of 6 trials." in said
    lines = json.loads((tmp_path / "compare.json").read_text())["lines"]
    assert {line["verdict"] for line in lines} <= {"no difference", "not shown"}
    assert {line["effect"] for line in lines} == {0.0}


def test_a_threshold_forgives(runs: Path, tmp_path: Path) -> None:
    sweep(tmp_path / "slower", service_ms=35)
    assert run(runs / "before", tmp_path / "slower")[0] is ExitCode.REGRESSION
    assert run(runs / "before", tmp_path / "slower", threshold=0.6)[0] is ExitCode.OK


def test_where_every_point_is_invalid_the_run_is(runs: Path, tmp_path: Path) -> None:
    late = tmp_path / "late"
    for sessions in (1, 2):
        made_up.trial(late / f"t{sessions}", settings={"sessions": sessions}, levels=(8,), requests=40, lateness_ms=60)
    code, said = run(runs / "before", late)
    assert int(code) == 5
    assert "No valid point is left to compare" in said
    assert "INVALID, left out: 1 session, 8 clients: after: client late" in said


def test_an_invalid_level_leaves_the_others(runs: Path, tmp_path: Path) -> None:
    made_up.trial(tmp_path / "mixed" / "t1", settings={"sessions": 1}, levels=(8,), requests=140)
    made_up.trial(tmp_path / "mixed" / "t2", settings={"sessions": 2}, levels=(8,), requests=40, lateness_ms=60)
    found = compare_folders(runs / "before", tmp_path / "mixed")
    assert {line.place.label for line in found.lines} == {"1 session"}
    assert {where for where, _ in found.invalid} == {"2 sessions, 8 clients"}


def test_a_disturbed_point_takes_part_and_is_said(runs: Path, tmp_path: Path) -> None:
    folder = tmp_path / "busy" / "t1"
    made_up.trial(folder, settings={"sessions": 1}, levels=(8,), requests=140, others_cpu=0.3)
    found = compare_folders(runs / "before", folder.parent)
    begin = "Disturbed while it was measured: 1 session, 8 clients: after: others used"
    assert any(note.startswith(begin) for note in found.notes)
    assert found.lines


def test_nothing_in_common_is_nothing_to_compare(runs: Path, tmp_path: Path) -> None:
    made_up_sessions.trial(tmp_path / "talk" / "t1", levels=(1,), count=20)
    with pytest.raises(NothingRan, match="no setting in common") as problem:
        run(runs / "before", tmp_path / "talk")
    assert int(problem.value.exit_code) == 7


def test_other_audio_is_not_compared(runs: Path, tmp_path: Path) -> None:
    path = sweep(tmp_path / "other")
    for trial in path.glob("*/trial.json"):
        info = store.read_json(trial)
        store.write_json(trial, info | {"corpus": info["corpus"] | {"sha256": "d" * 64}})
    with pytest.raises(NothingRan, match="other audio was sent"):
        run(runs / "before", path)


@pytest.mark.parametrize("threshold", [0, 1, -0.1, float("nan")])
def test_a_threshold_that_is_none(runs: Path, threshold: float) -> None:
    with pytest.raises(UsageError, match="threshold is"):
        run(runs / "before", runs / "slower", threshold=threshold)


def test_page_and_data_lie_where_they_are_wanted(runs: Path, tmp_path: Path) -> None:
    run(runs / "before", runs / "slower", out=tmp_path / "gate.html")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["gate.html", "gate.json"]
    run(runs / "before", runs / "slower")
    assert (runs / "slower" / "compare.html").exists()


def test_the_same_rows_give_the_same_bytes(runs: Path, page: str, tmp_path: Path) -> None:
    run(runs / "before", runs / "slower", out=tmp_path)
    assert (tmp_path / "compare.html").read_text(encoding="utf-8") == page
    assert (tmp_path / "compare.json").read_bytes() == (runs / "out" / "compare.json").read_bytes()


def test_the_data_say_what_the_page_says(runs: Path, page: str) -> None:
    found = json.loads((runs / "out" / "compare.json").read_text())
    assert found["exit_code"] == 4
    assert sum(found["verdicts"].values()) == len(found["lines"]) == page.count('<td data-sort="') // 3
    assert {line["setting"] for line in found["lines"] if line["verdict"] == "worse"} == {"2 sessions"}
    assert {line["paired"] for line in found["lines"]} == {True}


def test_the_page_needs_nothing_from_outside_and_begins_with_the_verdict(page: str) -> None:
    assert_offline(page)
    heading = re.search(r"<h1>(.*?)</h1>", page)
    assert heading and "more numbers got worse" in heading[1]
    assert len(page) < 1_000_000


def test_sides_that_differ_in_more_than_the_server_say_so(runs: Path, tmp_path: Path) -> None:
    other = sweep(tmp_path / "other")
    for trial in other.glob("*/trial.json"):
        info = store.read_json(trial)
        machine = info["machine"] | {"cpu_model": "Another CPU"}
        store.write_json(trial, info | {"machine": machine, "git": {"commit": "c" * 40, "dirty": True}})
    _, said = run(runs / "before", other)
    assert "different processors (Made-up CPU before, Another CPU after)" in said
    assert "other was measured with uncommitted changes." in said


def test_streams_are_compared_too(tmp_path: Path) -> None:
    for name, slow in (("before", 1.0), ("after", 1.4)):
        made_up_sessions.trial(tmp_path / name / "t1", levels=(8,), count=140, repeats=3, slow=slow)
    code, said = run(tmp_path / "before", tmp_path / "after")
    assert code is ExitCode.REGRESSION
    assert said.startswith("End of speech to final p")


def test_a_page_of_streams_says_how_they_were_spoken_and_scored(tmp_path: Path) -> None:
    made_up_sessions.trial(tmp_path / "before" / "t1", levels=(8,), count=30)
    trial = made_up_sessions.trial(tmp_path / "after" / "t1", levels=(8,), count=30, seed=2)
    run(trial.folder.parent.parent / "before", trial.folder.parent, out=tmp_path)
    page = (tmp_path / "compare.html").read_text(encoding="utf-8")
    assert page.count('<span class="manner">· end of speech: commit by the client</span>') == 2
    assert "Echo recognises nothing: its words are scripted" in page
    assert json.loads((tmp_path / "compare.json").read_text())["normalisers"][0] in page


def test_one_run_a_side_gives_times_no_verdict_but_failures_do(tmp_path: Path) -> None:
    sides: dict[str, dict[str, Any]] = {
        "before": {},
        "slower": {"service_ms": 60},
        "failing": {"outcomes": {"timeout": 0.3}},
    }
    for name, more in sides.items():
        made_up.trial(tmp_path / name / "t1", levels=(8,), requests=400, **more)
    code, said = run(tmp_path / "before", tmp_path / "slower", out=tmp_path / "out")
    assert code is ExitCode.OK
    assert "times and rates get no verdict" in said
    assert run(tmp_path / "before", tmp_path / "failing", out=tmp_path / "out")[0] is ExitCode.REGRESSION
