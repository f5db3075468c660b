"""Notebooks as files: stripped, one annotated parameters cell, names that Settings know, cells that stay thin."""

from __future__ import annotations

import ast
import json
import subprocess
from pathlib import Path
from typing import Any

import papermill
import pytest

from yapbench import catalog
from yapbench.notebook import injected_names
from yapbench.trial import known_parameters

ROOT = Path(__file__).resolve().parents[2]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
MEASURING = [path for path in NOTEBOOKS if path.stem.split("_", 1)[1] in {e.name for e in catalog.CATALOG}]


def cells(path: Path) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(path.read_text(encoding="utf-8"))["cells"]
    return found


def parameters_cell(path: Path) -> str:
    tagged = [cell for cell in cells(path) if "parameters" in cell["metadata"].get("tags", [])]
    assert len(tagged) == 1, f"{path.name} needs exactly one cell tagged parameters"
    return "".join(tagged[0]["source"])


def declared(path: Path) -> list[ast.AnnAssign]:
    body = ast.parse(parameters_cell(path)).body
    return [node for node in body if isinstance(node, ast.AnnAssign)]


@pytest.mark.slow
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)
def test_outputs_and_run_metadata_are_stripped(path: Path) -> None:
    command = [str(ROOT / "scripts" / "strip.sh"), "--verify", str(path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)
def test_every_parameter_is_annotated_and_seen_by_papermill(path: Path) -> None:
    assigned = [n for n in ast.parse(parameters_cell(path)).body if not isinstance(n, ast.ImportFrom)]
    assert all(isinstance(node, ast.AnnAssign) for node in assigned)
    seen = papermill.inspect_notebook(str(path))
    assert set(seen) == {node.target.id for node in declared(path) if isinstance(node.target, ast.Name)}
    assert all(row["help"] and row["inferred_type_name"] != "None" for row in seen.values())


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)
def test_cells_stay_thin(path: Path) -> None:
    code = [cell for cell in cells(path) if cell["cell_type"] == "code" and not cell["metadata"].get("tags")]
    assert max(len("".join(cell["source"]).splitlines()) for cell in code) <= 15


@pytest.mark.parametrize("path", MEASURING, ids=lambda p: p.stem)
def test_parameter_names_are_settings_or_the_harness_own(path: Path) -> None:
    names = {node.target.id for node in declared(path) if isinstance(node.target, ast.Name)}
    assert names <= known_parameters(path.stem.split("_", 1)[1])


def test_injected_names_are_read_from_papermills_cell_only() -> None:
    history = ["windw_ms = 1", "# Parameters\nwindow_ms = 2\nout_dir = 'x'\n", "y = 3"]
    assert injected_names(history) == ["window_ms", "out_dir"]
