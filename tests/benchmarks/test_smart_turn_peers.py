"""The comparison with other servers: how cells become ratios and goals, and that every peer gives the same answer."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.peers import running, summary
from benchmarks.peers.summary import Cell
from benchmarks.smart_turn_peers import options
from yapbench import envs
from yapbench.errors import UsageError

BENCH = envs.environment("bench")
CELL = Cell(
    model="stub",
    peer="ours",
    concurrency=16,
    round=0,
    answered=300,
    failed=0,
    rps=300.0,
    p50_ms=56.0,
    p95_ms=60.0,
    cpu_ms=0.8,
    batch=6.0,
    others_cores=0.1,
    answers={"a": (0.25, 0.25)},
)
FASTER = replace(CELL, peer="litserve", rps=600.0, cpu_ms=8.0)


@given(st.lists(st.floats(0.5, 100), min_size=1, max_size=6), st.floats(0.5, 8))
def test_ratios_are_taken_within_a_round(rates: list[float], factor: float) -> None:
    """A machine that becomes slower from round to round changes no ratio."""
    ours = [replace(CELL, round=number, rps=rate) for number, rate in enumerate(rates)]
    theirs = [replace(cell, peer="older", rps=cell.rps * factor) for cell in reversed(ours)]

    found = summary.ratios([*ours, *theirs], "older", lambda cell: cell.rps)

    assert found == pytest.approx([1 / factor] * len(rates))


def test_a_row_holds_medians_and_the_range_over_rounds() -> None:
    rounds = [replace(CELL, round=1, rps=200.0, failed=2), replace(FASTER, round=1), replace(CELL, round=2)]

    ours, theirs = summary.summarise([CELL, FASTER, *rounds])

    assert (ours["rps"], ours["failed"], ours["answered"], ours["rounds"]) == (300.0, 2, 900, 3)
    assert theirs["ours_to_it_rps"] == pytest.approx([5 / 12, 1 / 3, 1 / 2])
    assert "| stub | 16 | litserve | 600.0 | 56.0 | 60.0 | 6.0 | 8.00 | 0/600 | 0.42 (0.33-0.50) |" in summary.table(
        [theirs]
    )


def test_a_peer_without_our_server_beside_it_has_no_ratio() -> None:
    (row,) = summary.summarise([FASTER])
    assert row["ours_to_it_rps"] is None
    assert summary.table([row]).endswith("| 0/300 |  |  |")


def test_goals_are_judged_where_they_were_measured() -> None:
    found = {goal["goal"]: goal["met"] for goal in summary.bars(summary.summarise([CELL, FASTER]))}
    assert found == {"stub, 16 clients: CPU ms a request": True, "stub, 16 clients: CPU to LitServe's": True}
    (late,) = summary.bars(summary.summarise([replace(CELL, concurrency=1, p50_ms=12.7)]))
    assert (late["goal"], late["bound"], late["met"]) == ("stub, 1 clients: p50 ms", "at most 12.625", False)
    assert summary.bars(summary.summarise([replace(CELL, model="v3-onnx")])) == []


def test_the_short_path_has_a_goal_on_a_gpu_only() -> None:
    ours = replace(CELL, model="random", concurrency=4)
    rows = summary.summarise([ours, replace(ours, peer="older", rps=150.0), replace(ours, peer="older-short")])
    assert summary.bars(rows) == []
    assert [goal["met"] for goal in summary.bars(rows, on_gpu=True)] == [False, True]


def test_the_window_must_neither_win_nor_lose_when_all_batches_are_full() -> None:
    for rps, met in ((300.0, True), (320.0, False), (280.0, False)):
        cells = [CELL, replace(CELL, peer="older", rps=rps)]
        assert summary.bars(summary.summarise(cells))[-1]["met"] is met


def test_one_wrong_answer_of_one_peer_is_seen() -> None:
    assert summary.spread([CELL, replace(FASTER, answers={"a": (0.25, 0.5), "b": (0.1, 0.1)})]) == 0.25
    assert summary.spread([CELL, replace(FASTER, answers={"b": (0.1, 0.1)})]) == 0.0


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--models=stup"], "did you mean 'stub'"),
        (["--peers=ours,litserv"], "did you mean 'litserve"),
        (["--peers=fastapi"], "must have ours"),
        (["--concurrency=1,x"], "such as 1,4,16"),
        (["--rounds=0"], "must be positive"),
    ],
)
def test_mistakes_are_named(words: list[str], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        options(words)


def test_a_lacking_environment_is_named_with_its_command(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("YAPBENCH_ENVS", str(tmp_path))
    assert running.interpreter("stub", None) == Path(sys.executable)
    with pytest.raises(UsageError, match="yapbench install smart_turn --model=v2"):
        running.interpreter("tiny", None)
    with pytest.raises(UsageError, match=r"--python=.*there is no such file"):
        running.interpreter("stub", tmp_path / "python")
    with pytest.raises(UsageError, match="run `yapbench install bench`"):
        envs.interpreter("bench")


def test_the_environment_is_made_by_its_name(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("YAPBENCH_ENVS", str(tmp_path))
    wanted = envs.environment("bench")
    assert wanted.requirements == (envs.CHECKOUT / "benchmarks" / "requirements.txt",)
    wanted.path.mkdir(parents=True)
    (wanted.path / envs.COMPLETE).touch()

    assert envs.install("bench", say=lambda _: None) == wanted.python
    assert running.interpreter("v3-onnx", None) == wanted.python


def test_what_cannot_run_is_left_out_unless_it_was_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(running, "has", lambda *_: False)
    names, lines = running.runnable("stub", None, Path("python"))
    assert names == ["ours", "older", "fastapi"]
    assert [line.split(" has no ")[1] for line in lines] == ["litserve; run `yapbench install bench`"]
    with pytest.raises(UsageError, match="litserve behind stub: python has no litserve"):
        running.runnable("stub", ["ours", "litserve"], Path("python"))


@pytest.mark.slow
@pytest.mark.parametrize("model", ["stub", "v3-onnx"])
@pytest.mark.skipif(not BENCH.is_complete(), reason="needs environment bench (yapbench install bench)")
def test_every_peer_gives_the_same_answers(model: str, tmp_path: Path) -> None:
    corpus, cells = running.clips(), []
    names, lines = running.runnable(model, None, BENCH.python)
    for name in names:
        with running.start(name, model, python=BENCH.python, device="cpu", log_path=tmp_path / name) as server:
            cells.append(running.measure(server, corpus, model=model, concurrency=4, number=0, seconds=0.5))

    assert (lines, [cell.peer for cell in cells]) == ([], ["ours", "older", "fastapi", "litserve"])
    assert all(cell.answered and not cell.failed and cell.cpu_ms > 0 for cell in cells)
    assert len({low for low, _ in cells[0].answers.values()}) > 1
    assert summary.spread(cells) <= 1e-7


def test_the_driver_says_in_one_line_what_is_wrong() -> None:
    command = [sys.executable, "benchmarks/smart_turn_peers.py", "--peers=mine"]
    done = subprocess.run(command, cwd=envs.CHECKOUT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("unknown peer 'mine'") and done.stderr.count("\n") == 1
