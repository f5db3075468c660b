"""Grids over several servers: which are accepted, which are refused by name, and whose trials come out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from yapbench import store
from yapbench.errors import UsageError
from yapbench.sweep import Sweep
from yapbench.sweeping import describe, plan

SEARCH: dict[str, Any] = {"most": 8, "slo_ms": 300, "duration_s": 2, "most_probes": 3}
ECHO: dict[str, Any] = {"server": "echo", "client": "echo_pcm", "workers": 2}
FAST: dict[str, Any] = {"server": "fastconformer", "model": "tiny", "device": "cpu"}


def sweep(*grids: dict[str, Any], notebook: str = "80_capacity", **more: Any) -> Sweep:
    raw = {"notebook": notebook, "parameters": SEARCH, "grids": list(grids), **more}
    return Sweep.from_mapping(raw, name="test")


def test_each_block_has_its_server_and_its_parameters() -> None:
    both = sweep({**ECHO, "workers": [1, 2]}, FAST)
    trials = both.trials()
    assert [trial.server for trial in trials] == ["echo", "echo", "fastconformer"]
    assert [trial.settings.get("workers") for trial in trials] == [1, 2, None]
    assert len({trial.trial_id for trial in trials}) == 3
    assert both.servers == ["echo", "fastconformer"]
    assert both.axis_names == ["server", "workers"]


def test_a_trial_is_the_same_alone_and_among_others() -> None:
    [alone] = sweep(FAST).trials()
    assert sweep(ECHO, FAST).trials()[1].trial_id == alone.trial_id


def test_the_file_names_the_server_of_blocks_that_name_none() -> None:
    found = sweep({"client": "echo_pcm"}, FAST, server="echo")
    assert [trial.server for trial in found.trials()] == ["echo", "fastconformer"]


def test_exclude_leaves_out_a_setting_of_one_server() -> None:
    found = sweep({**ECHO, "workers": [1, 2]}, FAST, exclude=[{"server": "echo", "workers": 1}])
    assert [trial.server for trial in found.trials()] == ["echo", "fastconformer"]


def test_null_takes_a_common_parameter_back() -> None:
    files = {"server": "echo", "client": "echo_upload", "most": None, "concurrency": [1, 2], "most_probes": None}
    live, whole = sweep(ECHO, files, notebook="95_choose").trials()
    assert live.search is not None and whole.search is None
    assert whole.profile.levels == (1.0, 2.0)


@pytest.mark.parametrize(
    ("grids", "more", "words"),
    [
        ([{"server": "fastconfromer"}], {}, "did you mean 'fastconformer'"),
        ([ECHO, {**FAST, "look_ahaed_ms": 80}], {}, "parameter of fastconformer .* did you mean 'look_ahead_ms'"),
        ([{**ECHO, "att_ctx": "70,1"}, FAST], {}, "parameter of echo in 80_capacity 'att_ctx'"),
        ([{"server": ["echo", "fastconformer"]}], {}, "each server has a block of its own"),
        ([{"client": "echo_pcm"}], {}, "80_capacity measures any server"),
        ([ECHO], {"notebook": "05_echo"}, None),
        ([FAST], {"notebook": "05_echo"}, "does not measure any server but its own"),
        ([ECHO, FAST], {"exclude": [{"sever": "echo"}]}, "did you mean 'server'"),
    ],
)
def test_a_mistake_is_named_with_its_remedy(
    grids: list[dict[str, Any]], more: dict[str, Any], words: str | None
) -> None:
    raw = {"notebook": "80_capacity", "grids": grids, **more}
    if words is None:
        assert Sweep.from_mapping(raw, name="test").server == "echo"
        return
    with pytest.raises(UsageError, match=words):
        Sweep.from_mapping(raw, name="test")


def test_a_parameter_of_one_server_does_not_stand_above_all() -> None:
    raw = {"notebook": "80_capacity", "parameters": {"look_ahead_ms": 80}, "grids": [ECHO, FAST]}
    with pytest.raises(UsageError, match=r"echo has none of that name: it belongs into the block of fastconformer"):
        Sweep.from_mapping(raw, name="test")


@pytest.fixture
def planned_folder(tmp_path: Path) -> Path:
    """One of two trials is there, failed."""
    [first, _] = plan(sweep(ECHO, FAST), runs_dir=tmp_path)
    first.job.folder.mkdir(parents=True)
    store.write_json(first.job.folder / store.TRIAL, {"schema_version": 2, "status": "failed", "trial_id": "x"})
    return tmp_path


def test_each_job_starts_its_own_server_and_what_failed_is_tried_again(planned_folder: Path) -> None:
    both = sweep(ECHO, FAST)
    planned = plan(both, runs_dir=planned_folder)
    assert [item.job.parameters["server"] for item in planned] == ["echo", "fastconformer"]
    assert [item.job.server for item in planned] == ["echo", "fastconformer"]
    assert [describe(item, both.axis_names) for item in planned] == ["server=echo", "server=fastconformer"]
    assert [item.finished for item in planned] == [True, False]
    again = plan(both, runs_dir=planned_folder, retry_failed=True)
    assert [item.finished for item in again] == [False, False]


def test_the_quick_choice_is_small_enough_and_asks_all_the_same() -> None:
    found = Sweep.load(Path(__file__).resolve().parents[2] / "sweeps" / "choose.yaml")
    trials = found.trials()
    assert {trial.server for trial in trials} == {"fastconformer", "kyutai", "parakeet", "voxtral"}
    assert len({trial.corpus.sha256 for trial in trials}) == 1
    assert {trial.slo_ms for trial in trials} == {500.0}
    live = [trial for trial in trials if trial.search]
    assert len({trial.profile.stream for trial in live}) == 1 and len(trials) - len(live) == 1
