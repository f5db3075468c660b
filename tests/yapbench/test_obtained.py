"""What a trial's settings are called once the server has said what it obtained."""

from __future__ import annotations

from typing import Any

import pytest

from yapbench import axes
from yapbench.obtained import compile_words, model_name, setting_of


def info(model: str, dtype: str | None = None, *, obtained: str = "int8", compile_state: str = "off") -> dict[str, Any]:
    asked = {
        "model": model,
        "device": "auto",
        "dtype": dtype,
        "torch_compile": None,
        "cuda_graphs": None,
        "window_ms": 5,
    }
    facts = {"state": compile_state, "seconds": 2.5, "shapes_ready": 1, "shapes": 3, "error": None}
    asked |= {"window_ms": 5}
    found = {"device": "cpu", "dtype": obtained, "backend": "v3-onnx", "compile": facts}
    return {"settings": asked, "obtained": found}


@pytest.mark.parametrize(
    ("asked", "engine"),
    [
        (info("v3-onnx"), "v3-onnx int8"),
        (info("auto"), "v3-onnx int8"),
        (info("tiny", obtained="torch.float32"), "tiny float32"),
        (info("tiny", "bfloat16", obtained="torch.bfloat16", compile_state="ready"), "tiny bfloat16, compiled"),
        (info("tiny", obtained="torch.float32", compile_state="failed"), "tiny float32, compile failed"),
    ],
)
def test_the_engine_in_words(asked: dict[str, Any], engine: str) -> None:
    assert setting_of(asked)["engine"] == engine


def test_the_device_is_said_where_it_is_no_cpu() -> None:
    asked = info("v2", obtained="torch.bfloat16")
    asked["obtained"]["device"] = "cuda:0"
    asked["settings"]["cuda_graphs"] = True

    assert setting_of(asked)["engine"] == "v2 bfloat16 on cuda:0, CUDA graphs"


def test_the_dtype_of_a_language_model_is_the_one_obtained() -> None:
    asked = {"settings": {"model": "tiny", "device": "cpu", "lm_dtype": "float16", "codec_dtype": "float32"}}
    found = setting_of(asked | {"obtained": {"dtype": "torch.float32"}})
    assert (found["lm_dtype"], found["engine"]) == ("float32", "tiny float32")


def test_a_server_without_a_model_keeps_its_settings() -> None:
    assert setting_of({"settings": {"delay_ms": 3}, "obtained": {"dtype": "float32"}}) == {"delay_ms": 3}
    assert setting_of({"settings": {"model": "v3-onnx"}})["engine"] == "v3-onnx"  # a trial that never started


def test_one_part_varies_by_its_own_name_and_several_as_the_engine() -> None:
    dtypes = [setting_of(info("tiny", obtained=f"torch.{name}")) for name in ("float32", "bfloat16")]
    models = [setting_of(info("v3-onnx")), *dtypes]

    assert axes.varying(dtypes) == ("dtype",)
    assert axes.varying(models) == ("engine",)
    assert axes.separate(models) == ("dtype", "model")
    assert axes.label(models[1], ("engine", "window_ms")) == "tiny float32 · window 5 ms"


def test_how_compiling_ended_in_words() -> None:
    status = info("tiny", compile_state="ready")["obtained"]
    assert compile_words(status) == "compiled after 2.5 s (1 of 3 shapes)"
    status["compile"] |= {"state": "failed", "error": "RuntimeError: no compiler"}
    assert compile_words(status) == "compile failed after 2.5 s (1 of 3 shapes): RuntimeError: no compiler"
    assert compile_words({}) == compile_words(info("tiny")["obtained"]) == ""


@pytest.mark.parametrize(
    "asked", [{"look_ahead_ms": 480, "att_ctx": "70,1"}, {"look_ahead_ms": None, "att_ctx": "70,6"}]
)
def test_a_look_ahead_is_the_same_however_it_was_asked_for(asked: dict[str, Any]) -> None:
    found = setting_of({"settings": asked, "obtained": {"look_ahead_ms": 480}})
    assert found == {"look_ahead_ms": 480, "att_ctx": "70"}
    assert axes.label(found, ("look_ahead_ms",)) == "look-ahead 480 ms"
    assert setting_of({"settings": asked}) == asked  # a trial that never started


def test_of_a_server_that_ran_already_its_own_settings_count() -> None:
    facts = {"settings": {"model": "the/default", "step_ms": 20.0}, "asked": {"url": "http://host"}}
    said = {"model": "random", "step_ms": 80.0, "port": 8000}
    found = setting_of({**facts, "obtained": {"settings": said}})
    assert (found["model"], found["step_ms"], "port" in found) == ("random", 80.0, False)
    assert model_name({**facts, "obtained": {"settings": said}}) == "random"
    assert model_name({**facts, "asked": {}, "obtained": {"settings": said}}) == "the/default"
