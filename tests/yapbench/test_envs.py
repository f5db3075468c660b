"""Environments: what they are called, how they are made once, what is in them. Real ones, without a network."""

from __future__ import annotations

import base64
import hashlib
import subprocess
import sys
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest

from tests.yapbench.processes import CHECKOUT, wait_for
from yapbench import catalog, command, envs
from yapbench.envs import Environment, InstallFailed
from yapbench.errors import UsageError


def wheel(folder: Path, *, needs: str = "") -> str:
    """A requirement that is a tiny package on disk, complete with its RECORD."""
    needed = f"Requires-Dist: {needs}\n" if needs else ""
    path = folder / "tiny_words-1.2-py3-none-any.whl"
    files = {
        "tiny_words.py": "WORDS = 3\n",
        "tiny_words-1.2.dist-info/METADATA": "Metadata-Version: 2.1\nName: tiny-words\nVersion: 1.2\n" + needed,
        "tiny_words-1.2.dist-info/WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    record = ""
    with zipfile.ZipFile(path, "w") as archive:
        for name, text in files.items():
            digest = base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b"=").decode()
            record += f"{name},sha256={digest},{len(text)}\n"
            archive.writestr(name, text)
        archive.writestr("tiny_words-1.2.dist-info/RECORD", record + "tiny_words-1.2.dist-info/RECORD,,\n")
    return f"tiny_words @ {path.as_uri()}"


def tiny(folder: Path, *lines: str) -> Environment:
    requirements = folder / "requirements.txt"
    requirements.write_text("\n".join(lines))
    return Environment("tiny", (requirements,), None, folder / "envs")


BUILDER = """
import sys
from pathlib import Path
from yapbench.envs import Environment, build
folder = Path(sys.argv[1])
build(Environment("tiny", (folder / "requirements.txt",), None, folder / "envs"))
"""


def builder(folder: Path) -> subprocess.Popen[str]:
    words = [sys.executable, "-u", "-c", BUILDER, str(folder)]
    return subprocess.Popen(words, cwd=CHECKOUT, stdout=subprocess.PIPE, text=True)


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="the build lock needs POSIX")
def test_a_killed_build_is_made_again_and_of_two_builders_one_builds(tmp_path: Path) -> None:
    wanted = tiny(tmp_path, wheel(tmp_path))
    with builder(tmp_path) as killed:
        assert wait_for(lambda: (wanted.path / "pyvenv.cfg").exists(), 60)
        killed.kill()
    assert not wanted.is_complete()
    with builder(tmp_path) as first, builder(tmp_path) as second:
        said = [first.communicate()[0], second.communicate()[0]]
    assert (first.returncode, second.returncode) == (0, 0)
    assert sorted("pip install" in text for text in said) == [False, True]
    assert sum("removing what an interrupted build left" in text for text in said) == 1
    done = subprocess.run([wanted.python, "-c", "import tiny_words; print(tiny_words.WORDS)"], capture_output=True)
    assert done.stdout == b"3\n"
    assert_fingerprint_of(wanted)


def assert_fingerprint_of(wanted: Environment) -> None:
    """Asked of the environment's own interpreter, by the names of the requirements."""
    with pytest.MonkeyPatch.context() as patch:
        entry = catalog.CatalogEntry("tiny", "servers.tiny", ("tiny",), "tiny")
        patch.setattr(catalog, "CATALOG", (entry,))
        patch.setattr(envs, "environment", lambda _: wanted)
        patch.setattr(envs, "requirements_of", lambda *_: ["absent", "tiny-words"])
        found = envs.fingerprint("tiny")
        assert envs.interpreter("tiny") == wanted.python
    assert found["packages"] == {"absent": None, "tiny-words": "1.2"}
    assert found["python"].startswith("3.") and len(found["sha256"]) == 64


@pytest.mark.slow
def test_a_build_that_fails_says_why_and_leaves_nothing_complete(tmp_path: Path) -> None:
    wanted = tiny(tmp_path, f"tiny_words @ {(tmp_path / 'absent-1-py3-none-any.whl').as_uri()}")
    said: list[str] = []
    with pytest.raises(InstallFailed, match="pip install failed") as failed:
        envs.build(wanted, say=said.append)
    assert "absent-1-py3-none-any.whl" in str(failed.value)
    assert not wanted.is_complete()
    assert said == ["environment 'tiny': python -m venv ...", "environment 'tiny': pip install ..."]


@pytest.mark.slow
def test_what_stands_alone_is_installed_without_what_it_asks_for(tmp_path: Path) -> None:
    alone = tmp_path / "requirements-alone.txt"
    alone.write_text(wheel(tmp_path, needs="not-to-be-had==1"))
    wanted = replace(tiny(tmp_path, "pip"), alone=alone)
    assert wanted.path != tiny(tmp_path, "pip").path
    said: list[str] = []
    done = subprocess.run([envs.build(wanted, say=said.append), "-c", "import tiny_words"], check=False)
    assert done.returncode == 0
    assert said[2] == "environment 'tiny': pip install --no-deps ..."


def test_a_complete_environment_is_left_alone(tmp_path: Path) -> None:
    wanted = tiny(tmp_path, "anything")
    wanted.path.mkdir(parents=True)
    (wanted.path / envs.COMPLETE).touch()
    said: list[str] = []
    assert envs.build(wanted, say=said.append) == wanted.python
    assert said == [f"environment 'tiny' is ready: {wanted.path}"]


def test_the_folder_follows_requirements_and_their_pins_only(tmp_path: Path) -> None:
    constraints = tmp_path / "constraints.txt"
    wanted = Environment("tiny", tiny(tmp_path, "Torch>=2  # why", "-r more.txt").requirements, constraints, tmp_path)

    def path(pins: str, more: str) -> Path:
        constraints.write_text(pins)
        (tmp_path / "more.txt").write_text(more)
        return wanted.path

    first = path("torch==2.1\nruff==1", "numpy")
    assert path("torch==2.1\nruff==2", "# a comment\nnumpy\n") == first
    assert len({first, path("torch==2.2", "numpy"), path("torch==2.1", "numpy\nscipy")}) == 3


@pytest.mark.parametrize(
    ("line", "name"),
    [("Pipecat_AI[x]>=1; python_version>'3'", "pipecat-ai"), ("a.b@ file:///x", "a-b"), ("numpy", "numpy")],
)
def test_names_of_requirements(line: str, name: str) -> None:
    assert envs.requirement_name(line) == name


def test_a_missing_environment_names_the_command(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("YAPBENCH_ENVS", str(tmp_path))
    monkeypatch.setattr(catalog, "CATALOG", (catalog.CatalogEntry("heavy", "servers.heavy", ("heavy",), "torch"),))
    assert envs.environment("torch").path.parent == tmp_path
    with pytest.raises(UsageError, match="run `yapbench install heavy`"):
        envs.interpreter("torch")


def test_one_server_may_have_two_environments(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("YAPBENCH_ENVS", str(tmp_path))
    for name in ("MODEL_ID", "CUDA_VISIBLE_DEVICES"):
        monkeypatch.setenv(name, "")
    torch = envs.environment("torch")
    files = ("smart_turn/requirements-torch.txt", "kyutai/requirements.txt")
    assert torch.requirements == tuple(CHECKOUT / "servers" / name for name in files)
    assert {"torch", "fastapi"} <= set(envs.requirements_of("smart_turn", "torch"))
    assert "torch" not in envs.requirements_of("smart_turn")
    with pytest.raises(UsageError, match="run `yapbench install kyutai` or `yapbench install smart_turn --model=v2`"):
        envs.interpreter("torch")
    said: list[str] = []
    assert envs.install("smart_turn", say=said.append) == Path(sys.executable)
    assert said[1] == "with --model=v2 it needs another: yapbench install smart_turn --model=v2"


def test_flags_name_the_environment_to_be_made(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("YAPBENCH_ENVS", str(tmp_path))
    path = envs.environment("torch").path
    path.mkdir(parents=True)
    (path / envs.COMPLETE).touch()

    python = envs.install("smart_turn", ["--model=v2"], say=lambda _: None)

    assert python == envs.environment("torch").python == envs.interpreter("torch")
    with pytest.raises(UsageError, match="did you mean --model"):
        envs.install("smart_turn", ["--modl=v2"])


@pytest.mark.parametrize("gpu", [True, False])
def test_without_a_gpu_nothing_of_nvidia_s_may_come_in(gpu: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(envs, "cuda_is_visible", lambda: gpu)
    found = envs.environment("torch")
    assert (found.forbidden is None) is gpu
    monkeypatch.setattr(envs, "cuda_is_visible", lambda: not gpu)
    assert found.path != envs.environment("torch").path


@pytest.mark.slow
def test_a_forbidden_package_stops_the_build(tmp_path: Path) -> None:
    (tmp_path / "forbidden.txt").write_text("tiny-words<0\n")
    plain = tiny(tmp_path, wheel(tmp_path))
    wanted = Environment("tiny", plain.requirements, None, plain.root, tmp_path / "forbidden.txt")
    with pytest.raises(InstallFailed, match="tiny-words") as failed:
        envs.build(wanted, say=lambda _: None)
    assert "PIP_EXTRA_INDEX_URL" in str(failed.value)
    assert not wanted.is_complete()


def test_the_light_environment_is_this_one() -> None:
    said: list[str] = []
    assert envs.interpreter("light") == Path(sys.executable) == envs.install("echo", say=said.append)
    assert "nothing to do" in said[0]
    found = envs.fingerprint("echo")
    assert found["packages"]["fastapi"] and found == envs.fingerprint("echo")


def test_a_light_server_that_lacks_a_package_names_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(envs, "requirements_of", lambda *_: ["no-such-package"])
    with pytest.raises(UsageError, match=r"echo lacks no-such-package .*make setup"):
        envs.install("echo")


@pytest.mark.parametrize("gpu", [True, False])
def test_an_engine_s_environment_has_its_own_file_for_a_cpu_and_its_own_pins(
    gpu: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(envs, "cuda_is_visible", lambda: gpu)
    vllm = envs.environment("vllm")
    name = "requirements-vllm.txt" if gpu else "requirements-vllm-cpu.txt"
    assert vllm.requirements == (CHECKOUT / "servers" / "voxtral" / name,) and vllm.constraints is None
    assert (vllm.alone is None) is gpu
    assert ("vllm" if gpu else "vllm-cpu") in envs.requirements_of("voxtral", "vllm")


def test_every_version_of_an_environment_with_its_own_pins_is_said() -> None:
    for entry in catalog.CATALOG:
        for name in envs.OF_OWN_PINS & set(envs.names_of(entry)):
            folder = CHECKOUT / "servers" / entry.name
            for file in folder.glob(f"requirements-{name}*.txt"):
                assert all("==" in line for line in envs.requirement_lines(file)), file


def test_what_runs_beside_a_server_is_made_with_it_and_told_to_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("YAPBENCH_ENVS", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    for name in ("VOXTRAL_ENGINE_PYTHON", "VOXTRAL_ENGINE_COMMAND", "VLLM_REALTIME_URL"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(UsageError, match="environment 'vllm' is not there: run `yapbench install voxtral`"):
        command.of_server("voxtral", settings={"model": "tiny"})
    path = envs.environment("vllm").path
    path.mkdir(parents=True)
    (path / envs.COMPLETE).touch()
    assert envs.install("voxtral", say=lambda _: None) == Path(sys.executable)
    made = command.of_server("voxtral", settings={"model": "tiny"})
    assert made.environment()["VOXTRAL_ENGINE_PYTHON"] == str(envs.environment("vllm").python)
    assert made.line.startswith("VOXTRAL_ENGINE_PYTHON=") and "VOXTRAL" not in " ".join(made.argv)


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("VOXTRAL_ENGINE_PYTHON", sys.executable),
        ("VOXTRAL_ENGINE_COMMAND", "my-engine --fast"),
        ("VLLM_REALTIME_URL", "ws://127.0.0.1:1/v1/realtime"),
    ],
)
def test_an_engine_that_is_given_needs_no_environment(
    variable: str, value: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("YAPBENCH_ENVS", str(tmp_path))
    monkeypatch.setenv(variable, value)
    made = command.of_server("voxtral", settings={"model": "tiny"})
    assert not made.interpreters and made.environment()[variable] == value
    entry = catalog.lookup("voxtral")
    assert envs.beside(entry, catalog.parsed_settings(entry, {})) == {}


def test_a_fingerprint_holds_what_runs_beside(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("YAPBENCH_PYTHON", sys.executable)
    plain, both = envs.fingerprint("voxtral"), envs.fingerprint("voxtral", others=["vllm"])
    assert plain["sha256"] != both["sha256"] and plain["packages"] == both["packages"]
    assert set(both["beside"]["vllm"]["packages"]) == set(envs.requirements_of("voxtral", "vllm"))
