"""Notebook 95_choose, executed by papermill: a candidate beside another one of its sweep, and a wrong name."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.notebooks.test_90_compare import outputs
from tests.notebooks.test_execution import papermill, servers_left
from tests.yapbench import made_up_choice
from yapbench.store import read_trial

LIVE = {"server": "echo", "client": "echo_pcm", "workers": 2, "service_ms": 40}
SEARCH = {"start": 2, "most": 3, "most_probes": 3, "duration_s": 2, "slo_ms": 300}


def chosen(folder: Path, **given: object) -> list[str]:
    return [word for name, value in ({"out_dir": folder} | given).items() for word in ("-p", name, str(value))]


@pytest.mark.slow
def test_a_candidate_is_measured_and_judged_beside_the_others_of_its_sweep(tmp_path: Path) -> None:
    made_up_choice.files(tmp_path / "sweep" / "0parak000000", levels=(4,), count=20)
    folder, out = tmp_path / "sweep" / "1echo0000000", tmp_path / "out.ipynb"
    done = papermill("95_choose", out, *chosen(folder, **LIVE, **SEARCH))
    assert done.returncode == 0, done.stderr[-3000:]
    data = read_trial(folder)
    assert (data.info["search"]["most"], data.info["settings"]["service_ms"]) == (3, 40)
    assert data.info["points"][0]["level"] == 1
    text = outputs(out)
    assert "parakeet by files is not judged: another corpus" in text or "echo is not judged: another" in text
    assert "Batch transcription" in text and text.count("<svg") >= 1
    assert servers_left(str(folder)) == []


@pytest.mark.slow
def test_an_unknown_parameter_is_refused_before_any_server_starts(tmp_path: Path) -> None:
    out, folder = tmp_path / "out.ipynb", tmp_path / "trial"
    done = papermill("95_choose", out, *chosen(folder, server="echo", price_per_hur=1))
    assert done.returncode != 0 and "did you mean 'price_per_hour'" in done.stderr
    assert not (folder / "server.log").exists()
