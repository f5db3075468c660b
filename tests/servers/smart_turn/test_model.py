"""The real model in a real server process."""

from __future__ import annotations

import io
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
import soxr

from servers.common.errors import StartupRefused
from servers.common.interfaces import Audio
from servers.smart_turn import weights
from servers.smart_turn.model_v3 import SmartTurnV3

ROOT = Path(__file__).resolve().parents[3]


def body(clip: Audio) -> bytes:
    stream = io.BytesIO()
    np.save(stream, clip)
    return stream.getvalue()


def hum(seconds: float, rate_hz: int = 16_000) -> Audio:
    time_s = np.arange(int(seconds * rate_hz)) / rate_hz
    samples: Audio = (0.2 * np.sin(2 * np.pi * 140 * time_s) * np.sin(2 * np.pi * 3 * time_s)).astype(np.float32)
    return samples


@pytest.fixture(scope="module")
def server(start: Callable[..., Any]) -> Any:
    return start("--sessions=1", real=True)


@pytest.fixture(scope="module")
def detector() -> SmartTurnV3:
    return SmartTurnV3(weights.locate("auto"))


@pytest.mark.slow
def test_the_server_answers_what_the_model_says(server: Any, detector: SmartTurnV3) -> None:
    clip = hum(2.0)

    answer = server.post(body(clip)).json()

    assert answer["probability"] == detector.predict([clip])[0]
    assert answer["prediction"] == int(answer["probability"] > 0.5)
    assert 0 < answer["metrics"]["inference_time"] < answer["metrics"]["total_time"]


def test_another_sample_rate_is_resampled(server: Any, detector: SmartTurnV3) -> None:
    clip = hum(1.5, rate_hz=8_000)

    answer = server.post(body(clip), headers={"X-Sample-Rate": "8000"}).json()

    assert answer["probability"] == detector.predict([soxr.resample(clip, 8_000, 16_000, quality="HQ")])[0]
    assert answer["probability"] != server.post(body(clip)).json()["probability"]


def test_only_the_last_seconds_count(detector: SmartTurnV3) -> None:
    clip = hum(11.0)

    assert detector.predict([clip]) == detector.predict([clip[-8 * 16_000 :]])
    brief = SmartTurnV3(weights.locate("auto"), max_secs=2)
    assert brief.predict([clip]) == detector.predict([clip[-2 * 16_000 :]])


def test_it_is_ready_and_says_which_weights_it_runs(server: Any) -> None:
    status = server.status()

    assert httpx.get(f"{server.url}/ready").status_code == 200
    assert len(status["model"]["sha256"]) == 64
    assert (status["device"], status["dtype"], status["max_secs"]) == ("cpu", "int8", 8)
    assert "onnxruntime" in status["versions"]


def test_a_file_that_is_no_model_ends_the_start(tmp_path: Path) -> None:
    path = tmp_path / "broken.onnx"
    path.write_bytes(b"not a model")

    command = [sys.executable, "-m", "servers.smart_turn", "--port=0", f"--model={path}"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60)

    assert done.returncode == 1
    assert str(path) in done.stderr


def test_another_model_is_refused_by_name() -> None:
    class Session:
        def get_inputs(self) -> list[Any]:
            return [type("Input", (), {"name": "audio", "shape": ["batch", 16_000]})]

        get_outputs = get_inputs

    from servers.smart_turn import model_v3

    with pytest.raises(StartupRefused, match=r"other\.onnx is not a Smart Turn v3 model"):
        model_v3._check_shapes(Session(), Path("other.onnx"))
