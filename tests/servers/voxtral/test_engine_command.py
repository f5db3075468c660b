"""The engine's command line and environment."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

from servers.common.errors import StartupRefused
from servers.voxtral.engine import command
from servers.voxtral.program import program, python, run_python
from servers.voxtral.settings import Settings

FOLDER = Path("/models/copy")


def settings(**knobs: Any) -> Settings:
    return Settings(**{"api_key": "client-secret", "model": "tiny", "engine_python": sys.executable, **knobs})


@pytest.fixture(params=[True, False], ids=["gpu", "cpu"])
def gpu(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> bool:
    monkeypatch.setattr(command, "cuda_is_visible", lambda: request.param)
    return bool(request.param)


def test_a_cpu_is_eager_and_knows_no_share_of_gpu_memory(gpu: bool) -> None:
    words = command.argv(settings(), folder=FOLDER, port=9)
    assert words[:3] == [sys.executable, "-m", "vllm.entrypoints.openai.api_server"]
    assert ("--enforce-eager" in words) is not gpu
    assert ("--gpu-memory-utilization=0.92" in words) is gpu


def test_settings_become_flags() -> None:
    given = settings(vllm_max_num_seqs=7, max_connections=6, vllm_kv_cache_dtype="fp8", served_model_name="v")
    words = command.argv(given, folder=FOLDER, port=9)
    wanted = {"--host=127.0.0.1", "--port=9", "--max-num-seqs=7", "--kv-cache-dtype=fp8", "--served-model-name=v"}
    assert wanted | {f"--model={FOLDER}", "--max-model-len=67500", "--dtype=bfloat16"} <= set(words)


def test_random_weights_are_made_up_by_the_engine() -> None:
    assert "--load-format=dummy" in command.flags(settings(model="random"), port=9)
    assert "--load-format=mistral" in command.flags(settings(), port=9)


def test_the_key_travels_by_environment_and_no_secret_of_ours_at_all() -> None:
    given = settings(served_model_name="v")
    inherited = {"VOXTRAL_API_KEY": "client-secret", "STATUS_KEY": "s", "VLLM_REALTIME_API_KEY": "k", "PATH": "/bin"}
    found = command.environment(given, key="random", inherited=inherited)
    assert found["VLLM_API_KEY"] == "random" and found["PATH"] == "/bin"
    assert not {"client-secret", "s", "k"} & set(found.values())
    assert "random" not in " ".join(command.argv(given, folder=FOLDER, port=9))


def test_variables_of_the_engine_pass_and_ours_do_not() -> None:
    inherited = {"VLLM_ATTENTION_BACKEND": "X", "VLLM_MAX_MODEL_LEN": "1", "VLLM_NO_USAGE_STATS": "0"}
    found = command.environment(settings(), key="k", inherited=inherited)
    assert (found["VLLM_ATTENTION_BACKEND"], found["VLLM_NO_USAGE_STATS"]) == ("X", "0")
    assert "VLLM_MAX_MODEL_LEN" not in found


def test_the_tiny_model_on_a_cpu_takes_little_unless_told_otherwise(gpu: bool) -> None:
    found = command.environment(settings(), key="k", inherited={"OMP_NUM_THREADS": "2"})
    assert found["OMP_NUM_THREADS"] == "2"
    assert found.get("VLLM_CPU_KVCACHE_SPACE") == (None if gpu else "1")
    assert "VLLM_CPU_KVCACHE_SPACE" not in command.environment(settings(model="random"), key="k", inherited={})


def test_a_command_of_one_s_own_is_read_as_a_shell_would() -> None:
    given = settings(engine_command="env 'A=b c' vllm serve", engine_python=None)
    assert command.argv(given, folder=FOLDER, port=9)[:5] == ["env", "A=b c", "vllm", "serve", str(FOLDER)]


def test_the_program_of_path_is_served(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "vllm").write_text("")
    (tmp_path / "vllm").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    given = settings(engine_python=None)
    assert command.argv(given, folder=FOLDER, port=9)[:3] == [str(tmp_path / "vllm"), "serve", str(FOLDER)]
    assert python(given) == tmp_path / "python"


def test_without_vllm_the_remedies_are_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(StartupRefused, match=r"yapbench install voxtral.*VLLM_REALTIME_URL"):
        program(settings(engine_python=None))
    with pytest.raises(StartupRefused, match="VOXTRAL_ENGINE_PYTHON"):
        program(settings(engine_python=tmp_path / "python"))


def test_a_compilation_config_is_json_and_for_a_gpu(gpu: bool) -> None:
    with pytest.raises(StartupRefused, match="is no JSON"):
        command.check(settings(vllm_compilation_config="{"))
    fine = settings(vllm_compilation_config='{"cudagraph_mode": "PIECEWISE"}')
    if gpu:
        command.check(fine)
    else:
        with pytest.raises(StartupRefused, match="nothing is compiled on a CPU"):
            command.check(fine)


def test_the_engine_s_python_has_our_code_and_says_why_it_failed() -> None:
    run_python(settings(), ["-c", "import servers.voxtral.settings"], wish="w")
    with pytest.raises(StartupRefused, match=r"the wish\n.*no such thing"):
        run_python(settings(), ["-c", "raise SystemExit('no such thing')"], wish="the wish")
