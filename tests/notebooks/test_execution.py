"""Notebooks executed by papermill as a user would, against the real server."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from yapbench import envs
from yapbench.store import read_trial

ROOT = Path(__file__).resolve().parents[2]
PAPERMILL = Path(sys.executable).with_name("papermill")
SMALL = ["-p", "concurrency", "2", "-p", "requests", "12", "-p", "warmup", "2"]


def papermill(notebook: str, out: Path, *arguments: str, timeout_s: float = 110) -> subprocess.CompletedProcess[str]:
    command = [str(PAPERMILL), f"notebooks/{notebook}.ipynb", str(out), "-k", "python3", *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=timeout_s)


def servers_left(marker: str) -> list[int]:
    return [p.pid for p in psutil.process_iter(["cmdline"]) if marker in " ".join(p.info["cmdline"] or [])]


@pytest.mark.slow
def test_plain_papermill_measures_with_the_window_that_was_asked_for(tmp_path: Path) -> None:
    folder = tmp_path / "trial"
    done = papermill(
        "10_smart_turn", tmp_path / "out.ipynb", "-p", "window_ms", "2", "-p", "out_dir", str(folder), *SMALL
    )
    assert done.returncode == 0, done.stderr[-3000:]
    data = read_trial(folder)
    assert data.info["settings"]["window_ms"] == data.info["obtained"]["settings"]["window_ms"] == 2
    assert list(data.utterances["outcome"].unique()) == ["ok"]
    steady = data.utterances[data.utterances["phase"] == "steady"]
    assert len(steady) == 12
    text = (tmp_path / "out.ipynb").read_text()
    assert "<svg" in text and '"output_type": "error"' not in text


@pytest.mark.slow
def test_the_notebook_of_streams_measures_what_echo_was_told(tmp_path: Path) -> None:
    folder = tmp_path / "trial"
    chosen = {"client": "echo_json", "pace": 4, "frame_ms": 40, "wrong_words": 0.1, "delay_ms": 30}
    load = {"concurrency": "4", "requests": 12, "out_dir": folder}
    given = [word for name, value in (chosen | load).items() for word in ("-p", name, str(value))]
    done = papermill("05_echo", tmp_path / "out.ipynb", *given)
    assert done.returncode == 0, done.stderr[-3000:]
    data = read_trial(folder)
    assert data.info["client"] == "echo_json"
    assert (data.info["load"]["stream"]["pace"], data.info["load"]["stream"]["frame_ms"]) == (4, 40)
    assert list(data.utterances["outcome"].unique()) == ["ok"]
    text = (tmp_path / "out.ipynb").read_text()
    assert "<svg" in text and "<ins>mumble</ins>" in text and '"output_type": "error"' not in text
    assert servers_left(str(folder)) == []


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.skipif(
    not envs.environment("nemo").is_complete(), reason="needs environment nemo (yapbench install fastconformer)"
)
def test_the_notebook_of_fastconformer_measures_the_look_ahead_that_was_asked_for(tmp_path: Path) -> None:
    folder = tmp_path / "trial"
    chosen = {"model": "tiny", "device": "cpu", "look_ahead_ms": 480, "concurrency": "2", "requests": 6}
    given = [word for name, value in (chosen | {"out_dir": folder}).items() for word in ("-p", name, str(value))]
    done = papermill("40_fastconformer", tmp_path / "out.ipynb", *given, timeout_s=280)
    assert done.returncode == 0, done.stderr[-3000:]
    data = read_trial(folder)
    assert (data.info["settings"]["look_ahead_ms"], data.info["obtained"]["look_ahead_ms"]) == (480, 480)
    assert list(data.utterances["outcome"].unique()) == ["ok"]
    assert all("-tiny-" in one for one in data.utterances["utterance_id"])
    text = (tmp_path / "out.ipynb").read_text()
    assert "tiny in float32 on cpu, rnnt, look-ahead 480 ms" in text
    assert "<svg" in text and "knows a small world" in text and '"output_type": "error"' not in text
    assert servers_left(str(folder)) == []


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.skipif(
    not envs.environment("nemo").is_complete(), reason="needs environment nemo (yapbench install fastconformer)"
)
def test_the_notebook_of_parakeet_measures_on_the_wire_that_was_asked_for(tmp_path: Path) -> None:
    folder = tmp_path / "trial"
    chosen = {"model": "tiny", "device": "cpu", "client": "parakeet_upload", "batch_size": 4, "window_ms": 5}
    load = {"concurrency": "1,2,3", "requests": 4, "warmup": 1, "out_dir": folder}
    given = [word for name, value in (chosen | load).items() for word in ("-p", name, str(value))]
    done = papermill("50_parakeet", tmp_path / "out.ipynb", *given, timeout_s=280)
    assert done.returncode == 0, done.stderr[-3000:]
    data = read_trial(folder)
    assert (data.info["client"], data.info["settings"]["batch_size"]) == ("parakeet_upload", 4)
    assert (data.info["load"]["stream"]["eos"], data.info["obtained"]["dtype"]) == ("file", "torch.float32")
    assert list(data.utterances["outcome"].unique()) == ["ok"]
    assert all("-tiny-" in one for one in data.utterances["utterance_id"])
    text = (tmp_path / "out.ipynb").read_text()
    assert "tiny in torch" not in text and "tiny in float32 on cpu" in text and "answer mean, ms" in text
    assert "<svg" in text and "knows a small world" in text and '"output_type": "error"' not in text
    assert servers_left(str(folder)) == []


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.skipif(
    not envs.environment("torch").is_complete(), reason="needs environment torch (yapbench install kyutai)"
)
def test_the_notebook_of_kyutai_measures_with_a_key_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("KYUTAI_API_KEY", raising=False)
    folder = tmp_path / "trial"
    chosen = {"model": "tiny", "device": "cpu", "lm_dtype": "float32", "client": "kyutai_json", "seats": 2}
    load = {"concurrency": "1,2", "requests": 4, "warmup": 1, "pace": 2, "out_dir": folder}
    given = [word for name, value in (chosen | load).items() for word in ("-p", name, str(value))]
    done = papermill("20_kyutai", tmp_path / "out.ipynb", *given, timeout_s=280)
    assert done.returncode == 0, done.stderr[-3000:]
    data = read_trial(folder)
    assert (data.info["client"], data.info["settings"]["seats"]) == ("kyutai_json", 2)
    assert 'KYUTAI_API_KEY="$KYUTAI_API_KEY" ' in data.info["server_command"]
    assert list(data.utterances["outcome"].unique()) == ["ok"]
    assert all("-tiny-" in one for one in data.utterances["utterance_id"])
    text = (tmp_path / "out.ipynb").read_text()
    assert "tiny in float32 on cpu" in text and "<svg" in text and '"output_type": "error"' not in text
    assert servers_left(str(folder)) == []


@pytest.mark.slow
@pytest.mark.timeout(400)
@pytest.mark.skipif(
    not envs.environment("vllm").is_complete(), reason="needs environment vllm (yapbench install voxtral)"
)
def test_the_notebook_of_voxtral_measures_the_delay_that_was_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the engine itself: its processes are counted as the server's, and none of them is left."""
    monkeypatch.delenv("VOXTRAL_API_KEY", raising=False)
    folder = tmp_path / "trial"
    chosen = {"model": "tiny", "transcription_delay_ms": 240, "vllm_max_model_len": 4096}
    seats = {"vllm_max_num_seqs": 6, "max_connections": 4, "model_dir": tmp_path / "models"}
    load = {"concurrency": "1,2", "requests": 3, "warmup": 1, "out_dir": folder}
    given = [word for name, value in (chosen | seats | load).items() for word in ("-p", name, str(value))]
    done = papermill("30_voxtral", tmp_path / "out.ipynb", *given, timeout_s=380)
    assert done.returncode == 0, done.stderr[-3000:]
    data = read_trial(folder)
    assert data.info["obtained"]["transcription_delay_ms"] == 240
    assert 'VOXTRAL_API_KEY="$VOXTRAL_API_KEY" ' in data.info["server_command"]
    assert list(data.utterances["outcome"].unique()) == ["ok"]
    assert all("-tiny-" in one for one in data.utterances["utterance_id"])
    memory = data.machine[data.machine["metric"] == "rss_bytes"]["value"]
    assert memory.max() > 1 << 30  # the engine's, too
    text = (tmp_path / "out.ipynb").read_text()
    assert (
        "delay 240 ms" in text
        and "knows a small world" in text
        and "<svg" in text
        and '"output_type": "error"' not in text
    )
    assert servers_left(str(tmp_path)) == []


@pytest.mark.slow
def test_an_unknown_parameter_is_refused_before_any_server_starts(tmp_path: Path) -> None:
    folder = tmp_path / "trial"
    done = papermill("10_smart_turn", tmp_path / "out.ipynb", "-p", "windw_ms", "2", "-p", "out_dir", str(folder))
    assert done.returncode != 0
    assert "did you mean 'window_ms'" in done.stderr
    assert not (folder / "server.log").exists()


@pytest.mark.slow
def test_the_first_notebook_runs_and_leaves_nothing_behind(tmp_path: Path) -> None:
    done = papermill("00_start_here", tmp_path / "out.ipynb", "-p", "clips", "1")
    assert done.returncode == 0, done.stderr[-3000:]
    outputs = [cell.get("outputs", []) for cell in json.loads((tmp_path / "out.ipynb").read_text())["cells"]]
    assert "<audio" in json.dumps(outputs)
    assert servers_left("start_here") == []


@pytest.mark.slow
def test_the_notebook_of_capacity_takes_any_server_with_its_own_settings(tmp_path: Path) -> None:
    folder = tmp_path / "trial"
    search = {"start": 2, "most": 8, "most_probes": 4, "duration_s": 2, "slo_ms": 120}
    asked = {"server": "echo", "service_ms": 50, "workers": 1} | search | {"out_dir": folder}
    given = [word for name, value in asked.items() for word in ("-p", name, str(value))]
    done = papermill("80_capacity", tmp_path / "out.ipynb", *given)

    assert done.returncode == 0, done.stderr[-3000:]
    data = read_trial(folder)
    assert data.info["search"]["most"] == 8
    assert data.info["settings"]["service_ms"] == 50
    assert len(data.info["points"]) == 4
    assert not list(folder.glob(".probe-*"))
    text = (tmp_path / "out.ipynb").read_text()
    assert "<svg" in text and "2 clients (the first level)" in text and '"output_type": "error"' not in text
    assert servers_left(str(folder)) == []
