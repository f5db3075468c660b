"""Operations, the audio of an utterance and the drawn faults, without a socket."""

from __future__ import annotations

import io
import math
import statistics
import wave
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from servers.common.errors import BadInput
from servers.echo.chance import Chance
from servers.echo.protocol import Utterance, check_npy, read_form, read_operation
from servers.echo.script import read_script
from servers.echo.settings import Settings


@given(st.lists(st.integers(0, 20_000), max_size=40))
def test_partials_do_not_depend_on_how_the_audio_is_cut(sizes: list[int]) -> None:
    pieces, whole = (Utterance(read_script(None)) for _ in range(2))
    heard = [text for size in sizes for text in pieces.hear(bytes(size))]
    assert heard == whole.hear(bytes(sum(sizes)))
    assert len(heard) == min(9, int(sum(sizes) / 32_000 / 0.3 + 1e-9))


@pytest.mark.parametrize("text", ["", "x", "[]", "3", "{}", '{"op": "fly"}', '{"op": null}', '{"op": ["flush"]}'])
def test_other_text_frames_are_refused(text: str) -> None:
    with pytest.raises(BadInput):
        read_operation(text)


@given(st.binary(max_size=20))
def test_bodies_of_other_kinds_are_refused(body: bytes) -> None:
    with pytest.raises(BadInput):
        check_npy(b"x" + body)
    with pytest.raises(BadInput):
        read_form(b"--b\r\n\r\nRIFF" + body)


@given(st.binary(max_size=40).map(lambda pcm: pcm[: len(pcm) // 2 * 2]))
def test_the_audio_of_a_form_is_read(pcm: bytes) -> None:
    file = io.BytesIO()
    with wave.open(file, "wb") as wav:
        wav.setparams((1, 2, 16_000, 0, "NONE", ""))
        wav.writeframes(pcm)
    form = b"--b\r\nContent-Type: audio/wav\r\n\r\n" + file.getvalue() + b"\r\n--b--\r\n"
    assert read_form(form) == pcm


def test_log_normal_delays_have_the_stated_median_and_spread() -> None:
    chance = Chance(Settings(delay_sigma=0.5, seed=3))
    logs = [math.log(chance.delay_s(100)) for _ in range(4000)]
    assert statistics.fmean(logs) == pytest.approx(math.log(0.1), abs=0.04)
    assert statistics.stdev(logs) == pytest.approx(0.5, abs=0.03)


def test_a_fixed_delay_is_fixed() -> None:
    assert Chance(Settings()).delay_s(20) == 0.02


def test_the_same_seed_draws_the_same() -> None:
    first, second, other = (Chance(Settings(error_rate=0.5, delay_sigma=1, seed=seed)) for seed in (1, 1, 2))
    draws = [[(chance.fault(), chance.delay_s(1)) for _ in range(50)] for chance in (first, second, other)]
    assert draws[0] == draws[1] != draws[2]


def test_faults_come_at_their_rates() -> None:
    chance = Chance(Settings(error_rate=0.1, garbage_rate=0.2, drop_rate=0.3, never_final_rate=0.15))
    drawn = Counter(chance.fault() for _ in range(4000))
    shares = {fault: count / 4000 for fault, count in drawn.items()}
    expected = {"error": 0.1, "garbage": 0.2, "drop": 0.3, "never_final": 0.15, None: 0.25}
    assert shares == pytest.approx(expected, abs=0.03)
