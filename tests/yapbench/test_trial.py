"""What makes a trial the same trial."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from yapbench import trial as module
from yapbench.errors import UsageError
from yapbench.trial import Trial, code_sha256, notebook_sha256


def smart_turn(**parameters: Any) -> Trial:
    return Trial.from_parameters("smart_turn", "10_smart_turn", parameters)


def test_a_default_spelt_out_is_the_same_trial() -> None:
    assert smart_turn(window_ms=5).trial_id == smart_turn().trial_id


@pytest.mark.parametrize(
    "parameters", [{"window_ms": 7}, {"seed": 2}, {"concurrency": 3}, {"repeats": 2}, {"trace": True}]
)
def test_what_can_change_a_result_changes_the_id(parameters: dict[str, Any]) -> None:
    assert smart_turn(**parameters).trial_id != smart_turn().trial_id


@pytest.mark.parametrize("parameters", [{"sweep": "other"}, {"out_dir": "/tmp/x"}, {"slo_ms": 50}, {"port": 9000}])
def test_what_cannot_change_a_result_does_not(parameters: dict[str, Any]) -> None:
    assert smart_turn(**parameters).trial_id == smart_turn().trial_id


def test_a_key_in_the_environment_is_neither_hashed_nor_stored(monkeypatch: pytest.MonkeyPatch) -> None:
    before = smart_turn().identity()
    monkeypatch.setenv("AUTH_KEY", "very-secret")
    assert smart_turn().identity() == before
    assert "very-secret" not in json.dumps(smart_turn().identity())


def test_an_unknown_parameter_is_refused_with_the_nearest_name() -> None:
    with pytest.raises(UsageError, match="did you mean 'window_ms'"):
        smart_turn(windw_ms=3)


def test_prose_and_readme_do_not_count_as_code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("common", "echo"):
        (tmp_path / "servers" / name).mkdir(parents=True)
        (tmp_path / "servers" / name / "app.py").write_text("x = 1\n")
    monkeypatch.setattr(module, "CHECKOUT", tmp_path)
    before = code_sha256("echo")
    (tmp_path / "servers" / "echo" / "README.md").write_text("words")
    assert code_sha256("echo") == before
    (tmp_path / "servers" / "common" / "app.py").write_text("x = 2\n")
    assert code_sha256("echo") != before


def test_a_notebooks_outputs_and_prose_do_not_count(tmp_path: Path) -> None:
    def write(name: str, *, prose: str, outputs: list[Any], code: str) -> Path:
        code_cell = {"cell_type": "code", "metadata": {}, "source": [code], "outputs": outputs}
        path = tmp_path / name
        path.write_text(
            json.dumps({"cells": [{"cell_type": "markdown", "metadata": {}, "source": [prose]}, code_cell]})
        )
        return path

    plain = write("a", prose="one", outputs=[], code="x = 1")
    assert notebook_sha256(write("b", prose="two", outputs=[{}], code="x = 1")) == notebook_sha256(plain)
    assert notebook_sha256(write("c", prose="one", outputs=[], code="x = 2")) != notebook_sha256(plain)
