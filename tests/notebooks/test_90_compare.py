"""Notebook 90_compare, executed by papermill: on made-up sweeps, on a published one, and with a wrong name."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from tests.notebooks.test_execution import papermill
from tests.yapbench import made_up


def outputs(out: Path) -> str:
    """Everything that the executed cells show."""
    cells = json.loads(out.read_text(encoding="utf-8"))["cells"]
    shown = [output for cell in cells for output in cell.get("outputs", [])]
    assert [output for output in shown if output["output_type"] == "error"] == []
    return "".join(
        "".join(output.get("data", output).get(kind, "")) for output in shown for kind in ("text/html", "text")
    )


def compared(tmp_path: Path, **given: object) -> subprocess.CompletedProcess[str]:
    chosen = {"out_dir": tmp_path / "tables"} | given
    return papermill("90_compare", tmp_path / "out.ipynb", *(w for k, v in chosen.items() for w in ("-p", k, str(v))))


@pytest.mark.slow
def test_two_sweeps_are_laid_side_by_side(tmp_path: Path) -> None:
    for side, service_ms in (("old", 20.0), ("new", 30.0)):
        made_up.trial(tmp_path / side / "0a1b2c3d4e5f", levels=(1, 4), requests=140, service_ms=service_ms)
    done = compared(tmp_path, before=tmp_path / "old", after=tmp_path / "new", metric="latency_p50_ms,rps", level=4)
    assert done.returncode == 0, done.stderr[-3000:]
    text = outputs(tmp_path / "out.ipynb")
    assert "One setting stands in both, with 2 points" in text
    assert "latency_p50_ms: after is 1.39 to 1.47 times before at 2 points" in text and text.count("<svg") == 3
    assert f"yapbench compare {tmp_path}/old {tmp_path}/new" in text
    assert (tmp_path / "tables" / "after" / "points.csv").is_file()


@pytest.mark.slow
def test_as_it_stands_it_shows_the_published_sweep_of_echo(tmp_path: Path) -> None:
    done = compared(tmp_path)
    assert done.returncode == 0, done.stderr[-3000:]
    text = outputs(tmp_path / "out.ipynb")
    assert "Both hold the same measurements." in text and "eos_p50_ms: after is as before" in text


@pytest.mark.slow
def test_an_unknown_parameter_is_refused(tmp_path: Path) -> None:
    done = compared(tmp_path, metrik="wer")
    assert done.returncode != 0 and "did you mean 'metric'" in done.stderr
    assert not (tmp_path / "tables").exists()
