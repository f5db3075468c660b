"""Trials of echo that says its script: what is measured is what was planted, whatever the wire."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.contract.conftest import ECHO_WIRES
from yapbench.echo.check import check_table, checks
from yapbench.echo.script import Told, script_of
from yapbench.runner import Run
from yapbench.schema import Phase
from yapbench.store import TrialData
from yapbench.streams import measures
from yapbench.streams.measures import Measured, measure
from yapbench.streams.times import Stream

pytestmark = pytest.mark.slow  # a trial each

CORPUS = "samples?kind=turn&label=complete&limit=12"
NOISY_MS = 25.0
"""What a median may be off on a busy machine; an idle one shows a few ms."""


def trial(folder: Path, **parameters: Any) -> tuple[TrialData, dict[str, Told], Run]:
    """Twelve utterances in four sessions at once, four times faster than live: each utterance is counted once."""
    given = {"client": "echo_pcm", "corpus": CORPUS, "pace": 4, "requests": 12, "concurrency": "4", "seed": 1}
    with Run.from_parameters("echo", "05_echo", {**given, "out_dir": str(folder), **parameters}) as run:
        run.start()
        run.measure()
        assert run.trial.script is not None
        return run.data(), script_of(run.trial.corpus, run.trial.script), run


def measured(data: TrialData) -> dict[str, Measured]:
    rows = data.utterances[data.utterances["phase"] == Phase.STEADY].to_dict("records")
    found = {str(row["utterance_id"]): measure(Stream.of(row)) for row in rows}
    assert len(rows) == len(found) == 12
    return found


@pytest.mark.parametrize("client", ECHO_WIRES)
def test_words_and_times_are_those_of_the_script(client: str, tmp_path: Path) -> None:
    planted = {"wrong_words": 0.1, "revised_words": 0.2, "delay_ms": 60, "partial_delay_ms": 20, "frame_ms": 40}
    data, script, run = trial(tmp_path, client=client, **planted)
    (point,) = measures.points(data)
    words = sum(len(told.words) for told in script.values())
    revised = sum(len(told.revised) for told in script.values())
    scores = [found.score for found in measured(data).values() if found.score]
    counted = sum(score.words.errors.reference for score in scores)
    assert point["wer"].value == round(0.1 * counted) / counted
    assert point["substitutions"].value == point["wer"].value
    assert point["upwr"].value == point["normalized_erasure"].value == revised / words
    assert point["upsr"].value == revised / 12
    assert (point["partials"].value, point["ok_share"].value) == (words / 12, 1)
    check_times(data, script, run)


def check_times(data: TrialData, script: dict[str, Told], run: Run) -> None:
    found = {check.what.partition(",")[0]: check for check in checks(run.trial, data)}
    rightly_shown = sum(len(told.words) - len(told.wrong) for told in script.values())
    assert {what: check.n for what, check in found.items()} == {
        "onset to first words": 12,
        "end of a word to its being seen": rightly_shown,
        "end of speech to final": 12,
        "word errors": 12,
    }
    assert found.pop("word errors").off == 0
    for check in found.values():
        assert -1 < check.off < NOISY_MS, check


def test_uploads_are_scored_as_streams_are_and_have_no_clock(tmp_path: Path) -> None:
    """The answer takes 60 ms; no frame is paced, so that nothing is said of the end of speech."""
    options = {"client": "echo_upload", "pace": None, "wrong_words": 0.1, "delay_ms": 60}
    data, script, _ = trial(tmp_path, **options)
    (point,) = measures.points(data)
    words = sum(len(told.words) for told in script.values())
    assert (point["wer"].value, point["ok_share"].value) == (round(0.1 * words) / words, 1)
    assert (point["flush_p50_ms"].value or 0) >= 60
    assert (point["eos_p50_ms"].value, point["ttfp_p50_ms"].value) == (None, None)
    sent_s = sum(found.stream.sent_s for found in measured(data).values())
    assert sent_s == pytest.approx(data.utterances.query("phase == 'steady'")["audio_s"].sum())
    assert 1 < (point["rtfx"].value or 0) < sent_s / (12 * 0.06)


def test_a_final_that_says_it_is_anothers_is_a_wrong_result(tmp_path: Path) -> None:
    data, _, _ = trial(tmp_path, wrong_rate=0.4)
    (point,) = measures.points(data)
    assert 1 <= point.failures["wrong_result"] < 12
    assert (sum(point.failures.values()), point["wer"].value) == (point.failures["wrong_result"], 0)


def test_transcripts_that_are_mixed_up_show_in_the_wer_alone(tmp_path: Path) -> None:
    data, _, run = trial(tmp_path, crosstalk_rate=0.5)
    (point,) = measures.points(data)
    assert set(data.utterances["outcome"]) == {"ok"}
    assert (point["wer"].value or 0) > 0.2
    (words,) = [check for check in checks(run.trial, data) if check.what == "word errors"]
    assert (words.known, words.measured) == (0, 100 * (point["wer"].value or 0))
    assert "word errors" in check_table(run.trial, data).markup
