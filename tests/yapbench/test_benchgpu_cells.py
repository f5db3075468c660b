"""The declared grid as it applies: overrides, what a backend lacks, anchors first, the identity of a sweep's trials."""

from __future__ import annotations

from typing import Any

import pytest

from yapbench.benchgpu.cells import Cell, cells_of, read_overrides, shares_of
from yapbench.benchgpu.declared import CHECKOUT, Bench, lookup
from yapbench.errors import UsageError
from yapbench.pacing.streaming import WHOLE_FILES
from yapbench.sweep import Sweep
from yapbench.trial import Trial

pytestmark = pytest.mark.slow


def smart_turn() -> Bench:
    found = lookup("smart_turn")
    assert found
    return found


def cells(**overrides: Any) -> list[Cell]:
    return cells_of(smart_turn(), overrides)


def test_the_gpu_grid_spans_what_is_asked_of_it() -> None:
    axes = Sweep.load(CHECKOUT / smart_turn().grid).axes
    assert list(axes) == ["dtype", "torch_compile", "batch_buckets", "window_ms"]
    assert axes["window_ms"] == [0, 2, 5, 10] and axes["batch_buckets"][0] == "1,2,4,6"
    assert len(cells()) == 64 + 2  # two anchors lie outside the grid


def test_anchors_come_first_and_every_setting_once() -> None:
    found = [dict(cell.parameters) for cell in cells()]
    assert [cell.get("idle_gap_ms") for cell in found[:3]] == [None, 0, None]
    assert found[2]["torch_compile"] and found[3]["cuda_graphs"]
    assert all(cell not in found[:number] for number, cell in enumerate(found))


def test_what_the_backend_does_not_have_is_left_out() -> None:
    found = cells(model="v3-onnx", device="cpu")
    names = {name for cell in found for name in cell.parameters}
    assert not names & {"dtype", "torch_compile", "cuda_graphs"} and len(found) == 16 + 1
    assert all(cell.trial.settings["model"] == "v3-onnx" for cell in found)


def test_cuda_graphs_are_left_out_without_cuda() -> None:
    assert not any("cuda_graphs" in cell.parameters for cell in cells(device="cpu"))


def test_an_override_replaces_an_axis_and_the_anchors_that_contradict_it() -> None:
    found = cells(window_ms=[0, 10], dtype="bfloat16", torch_compile=None)
    assert {cell.parameters["window_ms"] for cell in found} == {0, 10} and len(found) == 4 * 2
    assert not any("torch_compile" in cell.parameters for cell in found)


def test_overrides_are_read_as_in_a_sweep_file() -> None:
    words = ["window-ms=[0, 5]", "dtype=null", "batch_buckets=1,2"]
    assert read_overrides(words) == {"window_ms": [0, 5], "dtype": None, "batch_buckets": "1,2"}
    with pytest.raises(UsageError, match="did you mean 'window_ms'"):
        cells(windw_ms=2)


def test_an_override_is_for_the_servers_that_know_it() -> None:
    found = shares_of({"window_ms": [0, 5], "seats": 8, "device": "cpu"}, ["smart_turn", "kyutai"])
    assert found == {"smart_turn": {"window_ms": [0, 5], "device": "cpu"}, "kyutai": {"seats": 8, "device": "cpu"}}
    with pytest.raises(UsageError, match=r"smart_turn or kyutai 'windw_ms'; did you mean 'window_ms'"):
        shares_of({"windw_ms": 2}, ["smart_turn", "kyutai"])


def test_the_bare_model_is_asked_for_the_settings_own_batches() -> None:
    eager = next(cell for cell in cells() if not cell.is_dear)
    dear = next(cell for cell in cells() if cell.is_dear)
    assert (eager.batch_sizes, dear.batch_sizes, eager.weight, dear.weight) == ([1, 2, 4, 6], [1, 6], 1, 4)


def test_a_trial_is_the_one_that_a_sweep_would_run() -> None:
    (cell,) = cells(model="v3-onnx", device="cpu", window_ms=5, batch_buckets="1,2", concurrency=[1, 4])
    parameters = {"sessions": 1, "window_ms": 5, "batch_buckets": "1,2", "concurrency": "1,4", "duration_s": 2}
    same = {"model": "v3-onnx", "device": "cpu", "warmup": 64, "seed": 1, "sweep": "by hand", **parameters}
    assert cell.trial_id == Trial.from_parameters("smart_turn", "10_smart_turn", same).trial_id


def streams(**overrides: Any) -> list[Cell]:
    found = lookup("fastconformer")
    assert found
    return cells_of(found, overrides)


def test_every_grid_of_a_file_is_run_and_an_override_reaches_into_each() -> None:
    found = streams(dtype=["float32"], look_ahead_ms=80)
    graphs = [cell for cell in found if cell.parameters.get("cuda_graphs")]
    assert graphs and len(graphs) < len(found)
    assert {cell.parameters["dtype"] for cell in found} == {"float32"}
    assert len({cell.trial_id for cell in found}) == len(found)


def test_the_fastest_and_the_live_load_come_first() -> None:
    first, second = streams()[:2]
    assert (first.parameters["pace"], second.parameters.get("pace")) == (0, None)
    assert first.batch_sizes == [1, first.parameters["max_batch"]] and first.mode == second.mode


def test_files_come_before_live_chunks_and_are_another_load_of_the_same_bare_model() -> None:
    found = lookup("parakeet")
    assert found
    files, live, *_ = cells_of(found, {})
    assert (files.trial.client, live.trial.client) == ("parakeet_upload", "parakeet")
    assert files.trial.profile.stream == WHOLE_FILES and files.mode == live.mode
    assert (files.batch_sizes, live.batch_sizes) == ([1, 64], [1, 16])
    assert (CHECKOUT / found.bare).is_file()


def test_the_seats_of_kyutai_are_the_sizes_of_its_bare_model() -> None:
    found = lookup("kyutai")
    assert found
    rush, live, *rest = cells_of(found, {})
    assert (rush.parameters["pace"], live.parameters.get("pace")) == (0, None) and rush.mode == live.mode
    assert rush.batch_sizes == [1, 400] and (CHECKOUT / found.bare).is_file()
    assert {cell.trial.client for cell in rest} == {"kyutai", "kyutai_json"}
    cpu = cells_of(found, {"device": "cpu", "model": "tiny", "threads": 1, "seats": 4, "concurrency": [1, 4]})
    assert not any({"cuda_graphs", "graph_batches"} & cell.parameters.keys() for cell in cpu)


def test_the_gateway_and_its_engine_are_held_against_the_engine_alone() -> None:
    found = lookup("voxtral")
    assert found and found.backend("random") == "vllm"
    hurry, live, *rest = cells_of(found, {})
    assert (hurry.parameters["pace"], live.parameters.get("pace")) == (0, None) and hurry.mode == live.mode
    assert hurry.batch_sizes == [1, 110] and (CHECKOUT / found.bare).is_file()
    assert len(rest) == 32 - 1 + 1 and all("device" not in cell.parameters for cell in [hurry, live, *rest])
    assert max(float(level) for cell in rest for level in cell.trial.profile.levels) <= 100


def test_streams_on_a_cpu_have_no_recorded_graphs() -> None:
    found = streams(device="cpu", model="random", max_batch=2, threads=1)
    assert not any({"cuda_graphs", "graph_batches"} & cell.parameters.keys() for cell in found)
    assert all(dict(cell.mode)["threads"] == 1 for cell in found)
