"""The parser, for any array and for any damage to a header."""

from __future__ import annotations

import io

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from numpy.typing import NDArray

from servers.common.batching import Answer, CloseReason
from servers.common.errors import BadInput
from servers.smart_turn.protocol import MAX_MAGNITUDE, build_reply, parse

Samples = NDArray[np.float32]
finite = st.floats(-MAX_MAGNITUDE, MAX_MAGNITUDE, width=32)
clips = arrays.arrays(np.float32, st.integers(1, 300), elements=finite)


def np_save(array: Samples) -> bytes:
    stream = io.BytesIO()
    np.save(stream, array)
    return stream.getvalue()


@given(clips)
def test_what_np_save_writes_comes_back_bit_by_bit(samples: Samples) -> None:
    parsed = parse(np_save(samples))

    assert parsed.dtype == np.float32
    assert parsed.tobytes() == samples.tobytes()


@given(st.integers(0, 127), st.integers(0, 255), st.integers(1, 300))
@example(60, ord("T"), 10)
def test_a_changed_header_byte_is_refused_or_changes_nothing(at: int, byte: int, count: int) -> None:
    samples = np.linspace(-1, 1, count, dtype=np.float32)
    body = bytearray(np_save(samples))
    body[at] = byte

    try:
        parsed = parse(bytes(body))
    except BadInput:
        return
    assert np.array_equal(parsed, samples)


@given(st.binary(max_size=400))
def test_garbage_is_refused_with_a_reason(body: bytes) -> None:
    with pytest.raises(BadInput):
        parse(body)


@given(clips, st.sampled_from([np.nan, np.inf, -np.inf, 1e30, -1e30, 3e9]), st.data())
def test_one_impossible_sample_is_found_wherever_it_is(samples: Samples, bad: float, data: st.DataObject) -> None:
    samples = samples.copy()
    samples[data.draw(st.integers(0, samples.size - 1))] = bad

    with pytest.raises(BadInput) as refusal:
        parse(np_save(samples))
    assert refusal.value.field == "data"


def test_the_samples_are_not_copied() -> None:
    body = np_save(np.ones(16_000, np.float32))

    parsed = parse(body)

    assert not parsed.flags.writeable
    assert parsed.base is not None
    assert np.shares_memory(parsed, np.frombuffer(body, np.uint8))


def test_integers_that_were_not_scaled_are_taken() -> None:
    loud = np.full(128_000, 32_767, np.float32)

    assert np.array_equal(parse(np_save(loud)), loud)


@pytest.mark.parametrize(("probability", "prediction"), [(0.49, 0), (0.5, 0), (0.51, 1)])
def test_the_threshold_itself_is_not_complete(probability: float, prediction: int) -> None:
    answer = Answer(
        value=probability,
        queued_s=1.0,
        started_s=1.25,
        ended_s=1.75,
        batch_size=3,
        bucket=4,
        reason=CloseReason.GAP,
        worker=0,
    )

    reply = build_reply(answer, threshold=0.5, received_s=0.5, sent_s=2.0)

    assert reply == {
        "prediction": prediction,
        "probability": probability,
        "metrics": {"inference_time": 0.5, "total_time": 1.5, "queue_time": 0.25, "batch_size": 3},
    }
