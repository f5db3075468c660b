"""What a notebook shows of streams: sentences and figures computed from the rows, and what is missing said."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.yapbench import made_up, made_up_sessions
from tests.yapbench import made_up_streams as streams
from yapbench import store
from yapbench.pacing.streaming import StreamOptions
from yapbench.schema import UTTERANCES
from yapbench.store import TrialData
from yapbench.streams.results import StreamResults


def one_stream(folder: Path, text: str) -> TrialData:
    """A trial with one utterance, "Hello, brave world!", of which `text` was heard."""
    trial = made_up_sessions.trial(folder, levels=[1], count=1)
    row = streams.row(((900, "partial", text), (1000, "final", text)))
    store.write_table(folder / store.UTTERANCES_FILE, [row], UTTERANCES)
    return store.read_trial(trial.folder)


def test_the_conclusion_says_what_the_rows_hold(tmp_path: Path) -> None:
    results = StreamResults(made_up_sessions.trial(tmp_path / "t", levels=[1, 32], count=130, failing_from=32))
    text = results.conclusion().markup
    assert "300 ms of the end of speech" in text
    assert "streams failed" in text
    assert "echo recognises nothing" in text
    assert f"WER {100 * (results.points[0]['wer'].value or 0):.1f} % at 1" in text


@pytest.mark.slow
def test_every_figure_of_a_notebook_is_drawn(tmp_path: Path) -> None:
    results = StreamResults(made_up_sessions.trial(tmp_path / "t", levels=[1, 8], count=40, failing_from=8))
    figures = [results.eos(), results.ttfp(), results.ecdf(), results.sessions(), results.failures()]
    figures += [results.lateness(), results.timeline(), results.ecdf("ttfp")]
    assert all("<svg" in figure._repr_html_() for figure in figures)
    assert results.table().markup.count("<tr>") == 3


def test_audio_without_a_clock_has_a_speed_and_no_end_of_speech(tmp_path: Path) -> None:
    options = StreamOptions(pace=0)
    results = StreamResults(made_up_sessions.trial(tmp_path / "t", levels=[1, 8], count=40, options=options))
    assert "faster than it is spoken" in results.conclusion().markup
    assert "<svg" in results.rtfx()._repr_html_()
    assert "<svg" not in results.eos()._repr_html_()


def test_transcripts_show_their_errors_word_by_word(tmp_path: Path) -> None:
    wrong = StreamResults(one_stream(tmp_path / "a", "hello bra<ve world")).transcripts().markup
    assert "1 of 3" not in wrong and "2 of 3" in wrong  # the mark parts a word in two
    assert "<del>brave</del>" in wrong and "<ve" not in wrong
    right = StreamResults(one_stream(tmp_path / "b", "hello brave world")).transcripts().markup
    assert "No word error" in right


def test_the_certificate_is_shown_or_missed(tmp_path: Path) -> None:
    certified = made_up_sessions.trial(tmp_path / "a", certificate=made_up_sessions.CERTIFICATE)
    shown = StreamResults(certified).certificate().markup
    assert "VALID" in shown and "0.212 ms" in shown
    assert shown.count("<tr>") == 4
    assert "yapbench calibrate" in StreamResults(made_up_sessions.trial(tmp_path / "b")).certificate().markup


def test_a_failed_trial_says_so_and_invents_nothing(tmp_path: Path) -> None:
    results = StreamResults(made_up.failed(tmp_path / "t"))
    assert "the server failed" in results.conclusion().markup
    assert results.points == []


def test_a_model_that_stands_in_for_another_is_called_so(tmp_path: Path) -> None:
    trial = made_up_sessions.trial(tmp_path / "a", levels=[1], count=4, server="stt", settings={"model": "tiny"})
    assert "tiny is a small test checkpoint that knows a small world" in StreamResults(trial).conclusion().markup


def test_random_weights_are_not_scored(tmp_path: Path) -> None:
    trial = made_up_sessions.trial(tmp_path / "a", levels=[1], count=4, server="stt", settings={"model": "random"})
    results = StreamResults(trial)
    assert "Words: random weights: its words mean nothing" in results.conclusion().markup
    assert "<del>" not in results.transcripts().markup
    assert (results.points[0]["wer"].value, results.points[0]["cer"].value) == (None, None)
    assert results.points[0]["eos_p50_ms"].value is not None
