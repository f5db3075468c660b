"""Silence of the server's own takes no time: against a list of which sample is whose."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from servers.kyutai.settings import FRAME_SAMPLES, SAMPLE_RATE_HZ
from servers.kyutai.timeline import Timeline

PARTS = st.lists(st.tuples(st.booleans(), st.integers(1, 3 * FRAME_SAMPLES)), max_size=6)


def build(parts: list[tuple[bool, int]]) -> tuple[Timeline, list[bool]]:
    """And for each sample whether it is the client's."""
    timeline, owned = Timeline(), list[bool]()
    for is_audio, samples in parts:
        (timeline.add_audio if is_audio else timeline.add_silence)(samples)
        owned += [is_audio] * samples
    return timeline, owned


@given(parts=PARTS)
def test_time_counts_the_clients_samples_only(parts: list[tuple[bool, int]]) -> None:
    timeline, owned = build(parts)
    for frames in range(len(owned) // FRAME_SAMPLES + 1):
        timeline.forget(frames - 2)
        assert timeline.audio_s(frames) == sum(owned[: frames * FRAME_SAMPLES]) / SAMPLE_RATE_HZ


@given(parts=PARTS)
def test_a_frame_is_the_clients_if_one_sample_is(parts: list[tuple[bool, int]]) -> None:
    timeline, owned = build(parts)
    for frame in range(1, len(owned) // FRAME_SAMPLES + 1):
        mine = owned[(frame - 1) * FRAME_SAMPLES : frame * FRAME_SAMPLES]
        assert timeline.has_audio(frame) == any(mine)


@given(parts=PARTS)
def test_where_the_audio_ends_and_what_is_missing(parts: list[tuple[bool, int]]) -> None:
    timeline, owned = build(parts)
    newest = max((at + 1 for at, is_audio in enumerate(owned) if is_audio), default=0)
    assert timeline.audio_frames == -(-newest // FRAME_SAMPLES)
    assert (len(owned) + timeline.to_boundary) % FRAME_SAMPLES == 0 < timeline.to_boundary <= FRAME_SAMPLES
    assert timeline.missing(5) == max(0, 5 * FRAME_SAMPLES - len(owned))
