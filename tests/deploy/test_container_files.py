"""The Dockerfile and what it calls, looked at without running them."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from servers.common.settings import table
from servers.voxtral.settings import Settings as VoxtralSettings
from tests.deploy.container_context import PLANTED, left, patterns
from tests.deploy.container_dockerfile import exec_form, pairs, read

ROOT = Path(__file__).resolve().parents[2]
DOCKERFILE = ROOT / "deploy" / "Dockerfile"
IGNORE = (ROOT / ".dockerignore").read_text(encoding="utf-8")
STAGES = {stage.name: stage for stage in read(DOCKERFILE)}
LAST = read(DOCKERFILE)[-1]


def test_hadolint_finds_nothing() -> None:
    words = [str(Path(sys.executable).with_name("hadolint")), "--no-color", str(DOCKERFILE)]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "")


def test_the_context_is_servers_their_pins_and_the_builds_own_steps() -> None:
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.split()
    sent = left(listed, patterns(IGNORE))
    assert {"constraints.txt", "servers/echo/app.py", "servers/kyutai/tiny/checkpoint/config.json"} <= set(sent)
    assert {name.split("/")[0] for name in sent} <= {"constraints.txt", "servers", "deploy"}
    assert not [name for name in sent if name.startswith("deploy/") and not name.startswith("deploy/container/")]
    assert not [name for name in sent if name.endswith("train.py")]


@pytest.mark.parametrize("path", [*PLANTED, ".git/config", "yapbench/cli.py", "servers/x/__pycache__/a.pyc", ".venv/x"])
def test_keys_and_the_harness_stay_outside(path: str) -> None:
    assert left([path], patterns(IGNORE)) == []


def test_the_last_line_that_matches_decides() -> None:
    assert left(["a/b", "a/c", "d"], patterns("*\n!a\na/c\n")) == ["a/b"]
    assert left(["x/y/k.pem", "k.pem", "k.pem.txt"], patterns("**/*.pem")) == ["k.pem.txt"]


def test_the_image_runs_as_a_number_by_exec_form_and_is_asked_ready() -> None:
    user, group = LAST.last("USER").split(":")
    assert int(user) >= 10000
    assert int(group) >= 10000
    assert exec_form(LAST.last("ENTRYPOINT"))[-1] == "/app/serve.py"
    assert exec_form(LAST.last("HEALTHCHECK"))[-1] == "/app/ready.py"
    assert "/ready" in (ROOT / "deploy" / "container" / "ready.py").read_text()


def test_no_secret_travels_as_an_argument_or_a_variable() -> None:
    for stage in STAGES.values():
        names = [re.split("[= ]", words)[0] for words in stage.every("ARG")]
        names += [name for words in stage.every("ENV") for name in pairs(words)]
        assert not [name for name in names if re.search("KEY|TOKEN|PASS|SECRET", name)]
    mounted = re.findall(r"type=secret,id=(\w+)", DOCKERFILE.read_text())
    assert mounted == ["pip_conf", "hf_token"]


def test_no_host_that_packages_come_from_is_named() -> None:
    for path in [DOCKERFILE, *(ROOT / "deploy" / "container").iterdir()]:
        assert path.is_dir() or "://" not in path.read_text(encoding="utf-8")


def test_the_variables_of_the_image_are_ones_that_voxtral_reads() -> None:
    given = {name for words in LAST.every("ENV") for name in pairs(words) if name.startswith("VOXTRAL_")}
    assert given == {"VOXTRAL_MODEL_DIR", "VOXTRAL_ENGINE_PYTHON"}
    assert given <= {name for knob in table(VoxtralSettings) for name in knob.env}


def fake_server(folder: Path, program: str) -> list[str]:
    """serve.py beside servers/slow, whose whole program it is; the words that start it."""
    (folder / "servers" / "slow").mkdir(parents=True)
    (folder / "servers" / "slow" / "__main__.py").write_text(program)
    (folder / "serve.py").write_bytes((ROOT / "deploy" / "container" / "serve.py").read_bytes())
    return [sys.executable, str(folder / "serve.py"), "--x=1"]


def test_sigterm_ends_a_server_that_is_still_loading(tmp_path: Path) -> None:
    words = fake_server(tmp_path, "import time; print('loading', flush=True); time.sleep(60)")
    with subprocess.Popen(words, stdout=subprocess.PIPE, env=os.environ | {"YAPBENCH_SERVER": "slow"}) as process:
        assert process.stdout
        assert process.stdout.readline() == b"loading\n"
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=30) == 143


@pytest.mark.parametrize(("prefetched", "cache"), [("models--a--b", "weights"), ("", None)])
def test_weights_in_the_image_are_the_hubs_cache(tmp_path: Path, prefetched: str, cache: str | None) -> None:
    words = fake_server(tmp_path, "import os, sys; print(os.environ.get('HF_HUB_CACHE'), sys.argv[1:])")
    (tmp_path / "weights" / prefetched).mkdir(parents=True)
    variables = {"YAPBENCH_SERVER": "slow", "PORT": "8123", "PATH": os.environ["PATH"]}
    done = subprocess.run(words, env=variables, capture_output=True, text=True, check=True)
    assert done.stdout == f"{tmp_path / cache if cache else None} ['--port=8123', '--x=1']\n"
