"""What a notebook shows: a conclusion computed from the rows, tables that escape what they are given."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from tests.yapbench import made_up
from yapbench.asking import TurnAnswer
from yapbench.corpus import Utterance
from yapbench.doctor import Finding
from yapbench.results import Results, answers_table, findings_table


def test_the_conclusion_names_what_the_rows_hold(tmp_path: Path) -> None:
    results = Results(made_up.trial(tmp_path / "t", levels=[1, 8], requests=130))
    text = results.conclusion().markup
    assert "8 clients" in text
    assert f"{len(results.decisions.clips)} turns decided right" in text


def test_every_figure_of_a_notebook_is_drawn(tmp_path: Path) -> None:
    results = Results(made_up.trial(tmp_path / "t", levels=[1, 4], requests=40))
    figures = [results.latency(), results.throughput(), results.batch_sizes(), results.queue_and_inference()]
    assert all("<svg" in figure._repr_html_() for figure in [*figures, results.timeline(), results.turns()])
    assert results.table().markup.count("<tr>") == 3


def test_a_failed_trial_says_so_and_invents_nothing(tmp_path: Path) -> None:
    results = Results(made_up.failed(tmp_path / "t"))
    assert "failed" in results.conclusion().markup
    assert results.points == []


def test_findings_are_escaped() -> None:
    markup = findings_table([Finding(False, "no <b>disk</b>", "rm -rf '<x>'")]).markup
    assert "<b>" not in markup
    assert "&lt;x&gt;" in markup


def test_an_answer_can_be_listened_to() -> None:
    clip = Utterance(id="a", duration_s=0.1, samples=np.zeros(1600, np.float32), sample_rate_hz=16_000, label="cut")
    markup = answers_table([TurnAnswer(clip, 0.25, False, 31.0)]).markup
    assert "data:audio/wav;base64," in markup
    assert "cut (0.25)" in markup
