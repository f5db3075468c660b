"""The window's decisions, for any stamps."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from servers.common.batch_window import BatchWindow, CloseReason

milliseconds = st.integers(0, 50).map(float)
windows = st.builds(
    BatchWindow,
    buckets=st.sets(st.integers(1, 64), min_size=1).map(lambda sizes: tuple(sorted(sizes))),
    window_ms=milliseconds,
    idle_gap_ms=milliseconds,
)
moments = st.tuples(*[st.floats(0, 0.1)] * 3).map(lambda parts: (parts[0], sum(parts[:2]), sum(parts)))
"""When the window opened, when the last item came, now: in this order."""


@given(windows, moments, st.integers(1, 80))
def test_it_is_closed_exactly_when_full_or_after_its_time(
    window: BatchWindow, moment: tuple[float, float, float], depth: int
) -> None:
    opened_s, last_s, now_s = moment

    reason = window.close(now_s=now_s, opened_s=opened_s, last_s=last_s, depth=depth)

    due = now_s >= window.wake_s(opened_s=opened_s, last_s=last_s)
    assert (reason is not None) == (depth >= window.largest or window.window_ms == 0 or due)


@given(windows, moments, st.integers(1, 80), st.floats(0, 0.1), st.integers(0, 10))
def test_once_closed_neither_time_nor_more_items_open_it(
    window: BatchWindow, moment: tuple[float, float, float], depth: int, later_s: float, more: int
) -> None:
    opened_s, last_s, now_s = moment
    if window.close(now_s=now_s, opened_s=opened_s, last_s=last_s, depth=depth) is None:
        return

    assert window.close(now_s=now_s + later_s, opened_s=opened_s, last_s=last_s, depth=depth + more)


@given(windows, moments)
def test_nobody_waits_beyond_the_cap(window: BatchWindow, moment: tuple[float, float, float]) -> None:
    opened_s, last_s, _ = moment

    assert window.wake_s(opened_s=opened_s, last_s=last_s) <= opened_s + window.window_ms / 1000


@given(windows, st.integers(1, 80))
def test_the_bucket_is_the_smallest_that_holds_the_batch(window: BatchWindow, depth: int) -> None:
    bucket = window.bucket_for(depth)

    assert bucket in window.buckets
    assert bucket >= depth or bucket == window.largest
    assert not any(depth <= smaller < bucket for smaller in window.buckets)


def test_the_reasons_name_what_closed_it() -> None:
    window = BatchWindow(buckets=(1, 4), window_ms=5, idle_gap_ms=1)

    def reason(now_s: float, last_s: float, depth: int) -> CloseReason | None:
        return window.close(now_s=now_s, opened_s=0.0, last_s=last_s, depth=depth)

    assert reason(0.0005, 0.0, 1) is None
    assert reason(0.0011, 0.0, 1) is CloseReason.GAP
    assert reason(0.0050, 0.0045, 2) is CloseReason.CAP
    assert reason(0.0001, 0.0, 4) is CloseReason.FULL


def test_without_a_gap_only_the_cap_closes_it() -> None:
    window = BatchWindow(buckets=(6,), window_ms=5, idle_gap_ms=0)

    assert window.wake_s(opened_s=1.0, last_s=1.0) == pytest.approx(1.005)


@pytest.mark.parametrize("buckets", [(), (0, 2), (2, 1), (2, 2)])
def test_impossible_buckets_are_refused(buckets: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="ascending"):
        BatchWindow(buckets=buckets, window_ms=5, idle_gap_ms=1)
