"""What several workers say is passed on as one."""

from __future__ import annotations

from typing import Any

from yapbench.load.progress import Progress, together

POINTS = [(1.0, 0), (4.0, 0)]


def message(level: float = 4.0, **values: Any) -> dict[str, Any]:
    base = {"phase": "steady", "level": level, "repeat": 0, "done": 5, "total": 20, "ok": 4, "failed": 1}
    return {**base, "p50_ms": 10.0, "points_done": 1, "points": 2, **values}


def test_counts_add_up() -> None:
    found = together([message(), message(done=10, ok=10, failed=0, p50_ms=24.0)], POINTS)
    assert (found["done"], found["total"], found["ok"], found["failed"], found["p50_ms"]) == (15, 20, 14, 1, 20.0)


def test_who_is_behind_does_not_count() -> None:
    found = together([message(1.0, done=20, ok=20), message(done=3, ok=3, failed=0), message(0.0)], POINTS)
    assert (found["level"], found["done"]) == (4.0, 3)


def test_a_worker_without_answers_has_no_median() -> None:
    nobody = message(done=0, ok=0, failed=0, p50_ms=None)
    assert together([nobody, message()], POINTS)["p50_ms"] == 10.0
    assert together([nobody, nobody], POINTS)["p50_ms"] is None


def test_the_first_worker_sets_the_pace_and_the_end_is_always_told() -> None:
    told: list[dict[str, Any]] = []
    progress = Progress(workers=2, points=POINTS, tell=told.append)
    progress.take(1, message())
    assert told == []
    progress.take(0, message())
    assert told[-1]["done"] == 10
    progress.take(0, message(points_done=2))
    progress.take(1, message(points_done=2, done=9))
    assert (told[-1]["done"], told[-1]["points_done"], len(told)) == (14, 2, 3)


def test_nobody_needs_to_listen() -> None:
    Progress(workers=1, points=POINTS, tell=None).take(0, message())
