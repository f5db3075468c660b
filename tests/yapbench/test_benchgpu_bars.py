"""Bars beside the bare model: met, missed, indicative or not measured; never estimated from something else."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from yapbench.benchgpu import bars
from yapbench.benchgpu.bars import BareSize, Level
from yapbench.benchgpu.declared import Bar, Pair

RATE = Bar("rate", 64, least_share_of_rate=0.9)
P95 = Bar("p95", 1, most_added_p95_ms=2.0)
MODE = "bfloat16, eager"


def level(clients: float, rate: float, *, p95_ms: float = 10.0, n: int = 1000, verdict: str = "VALID") -> Level:
    return Level(MODE, f"rate={rate}", {"window_ms": 5}, clients, rate, 5.0, p95_ms, n, 0, verdict)


def alone(batch_size: int, rate: float, *, p95_ms: float = 8.0, calls: int = 500) -> BareSize:
    return BareSize(MODE, batch_size, 3, batch_size * calls, calls, rate, 6.0, p95_ms)


def size(batch_size: int, call_ms: list[float], state: str = "off") -> dict[str, Any]:
    items, seconds = batch_size * len(call_ms), sum(call_ms) / 1e3
    return {
        "batch_size": batch_size,
        "items": items,
        "seconds": seconds,
        "call_ms": call_ms,
        "compile": {"state": state},
    }


def test_rounds_are_pooled_by_mode_and_batch_size() -> None:
    rounds: list[dict[str, Any]] = [
        {"dtype": "bfloat16", "graphs": False, "sizes": [size(1, [10.0] * 9), size(4, [20.0])]},
        {"dtype": "bfloat16", "graphs": False, "sizes": [size(1, [30.0])]},
        {"dtype": "bfloat16", "graphs": True, "sizes": [size(1, [5.0], "ready")]},
        {"error": "no memory"},
    ]
    found = {(row.mode, row.batch_size): row for row in bars.bare_sizes(rounds)}
    assert found[MODE, 1].rate == pytest.approx(10 / 0.12) and (found[MODE, 1].calls, found[MODE, 1].rounds) == (10, 2)
    assert found[MODE, 4].rate == pytest.approx(200) and ("bfloat16, compiled, CUDA graphs", 1) in found


@pytest.mark.parametrize(("rate", "result"), [(91.0, "met"), (89.0, "missed")])
def test_the_rate_is_held_against_the_best_batch_of_the_bare_model(rate: float, result: str) -> None:
    (found,) = bars.judge(RATE, [level(64, rate), level(64, 5.0), level(1, 500.0)], [alone(1, 40.0), alone(32, 100.0)])
    assert found.result == result and found.value == pytest.approx(rate / 100)
    assert "batch 32" in found.bare and "n=1000" in found.server and "best of 2" in found.notes


@pytest.mark.parametrize(("p95_ms", "result"), [(9.9, "met"), (10.1, "missed")])
def test_the_p95_is_held_against_single_calls_of_the_bare_model(p95_ms: float, result: str) -> None:
    (found,) = bars.judge(P95, [level(1, 100.0, p95_ms=p95_ms)], [alone(1, 100.0, p95_ms=8.0), alone(2, 1.0)])
    assert found.result == result and found.value == pytest.approx(p95_ms - 8)


def test_an_answer_that_takes_several_calls_is_held_against_all_of_them() -> None:
    bar = replace(P95, calls=3)
    (found,) = bars.judge(bar, [level(1, 100.0, p95_ms=25.9)], [alone(1, 100.0, p95_ms=8.0)])
    assert found.result == "met" and found.value == pytest.approx(1.9) and "8.00 ms x 3" in found.bare


@pytest.mark.parametrize(
    ("levels", "bare", "lack"),
    [
        ([], [alone(1, 1.0)], "no valid point at 64"),
        ([level(64, 100.0)], [], "no bare loop"),
        ([level(64, 100.0, verdict="INVALID")], [alone(1, 1.0)], "1 INVALID left out"),
    ],
)
def test_what_was_not_measured_is_said_so(levels: list[Level], bare: list[BareSize], lack: str) -> None:
    (found,) = bars.judge(RATE, levels, bare)
    assert (found.result, found.value) == ("not measured", None) and lack in found.notes
    assert bars.judge(RATE, [], [])[0].result == "not measured"


def test_too_few_samples_are_only_indicative() -> None:
    (slow,) = bars.judge(P95, [level(1, 100.0, n=20)], [alone(1, 100.0)])
    (burst,) = bars.judge(RATE, [level(64, 100.0, n=100)], [alone(64, 100.0)])
    assert (slow.result, burst.result) == ("met, indicative", "met, indicative")


def test_a_failed_compile_is_no_compiled_result() -> None:
    assert bars.mode_words("torch.bfloat16", "compile failed", graphs=False) == "bfloat16, compile failed"
    assert bars.mode_words("bfloat16", "ready", graphs=False) == "bfloat16, compiled"


def test_a_pair_is_compared_where_both_were_measured() -> None:
    pair = Pair("older", {"window_ms": 5, "idle_gap_ms": 0}, {"idle_gap_ms": None})
    older = Level(MODE, "older", {"window_ms": 5, "idle_gap_ms": 0}, 4, 50.0, 20.0, 30.0, 500, 0, "VALID")
    (found,) = bars.compare(pair, [older, level(4, 60.0), level(8, 70.0)])
    assert (found.level, found.first.rate, found.then.rate) == (4, 50.0, 60.0)


def test_a_bare_streams_rate_is_in_seconds_of_audio_and_look_aheads_are_apart() -> None:
    stream = size(4, [100.0] * 5) | {"worth": 0.16, "unit": " audio s/s"}
    rounds = [{"dtype": "float32", "facts": {"look_ahead_ms": ahead}, "sizes": [stream]} for ahead in (80, 1040)]
    found = bars.bare_sizes(rounds)
    assert [row.mode for row in found] == ["float32, eager, 1040 ms ahead", "float32, eager, 80 ms ahead"]
    assert found[0].rate == pytest.approx(4 * 0.16 / 0.1) and found[0].unit == " audio s/s"


def test_a_bar_of_live_streams_is_not_held_against_those_that_are_sent_as_fast_as_they_are_taken() -> None:
    fast = replace(level(1, 100.0, p95_ms=900.0), asked={"pace": 0})
    bar = replace(P95, of={"pace": None})
    assert bars.judge(bar, [fast], [alone(1, 1.0)])[0].result == "not measured"
    assert bars.judge(bar, [fast, level(1, 5.0, p95_ms=9.0)], [alone(1, 1.0)])[0].value == pytest.approx(1)
