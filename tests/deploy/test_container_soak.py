"""The images that take minutes to make: every server with its runtime and its tiny model, without an engine, and with
one where there is one."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from tests.deploy.container_build import Image, build
from tests.deploy.container_context import ROOT, make_context
from tests.deploy.container_run import inside, open_folder, running, seal

KEYS = {"kyutai": "KYUTAI_API_KEY", "voxtral": "VOXTRAL_API_KEY", "parakeet": "PARAKEET_API_KEY"}
TINY = ("--model=tiny", "--device=cpu")
FLAGS = {"smart_turn": ("--model=v3-onnx",), "voxtral": ("--model=tiny",)}
HAS_ENGINE = bool(shutil.which("docker")) and not subprocess.run(["docker", "info"], capture_output=True).returncode


def ask(server: str, url: str, keys: dict[str, str]) -> str:
    """What a client of the harness hears, as `yapbench probe` shows it."""
    words = [sys.executable, "-m", "yapbench", "probe", server, f"--url={url}"]
    done = subprocess.run(words, cwd=ROOT, env=os.environ | keys, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.soak
@pytest.mark.parametrize("server", ["smart_turn", "kyutai", "fastconformer", "parakeet", "voxtral"])
def test_the_image_of_each_server_answers_and_drains(server: str) -> None:
    keys = {KEYS[server]: "soak-key-1"} if server in KEYS else {}
    with open_folder() as folder:
        image = build(make_context(folder), folder / "stages", {"SERVER": server, "VARIANT": "cpu"})
        seal(image)
        with running(image, *FLAGS.get(server, TINY), keys=keys) as container:
            container.until_healthy(timeout_s=600)
            assert ask(server, container.url, keys)
            assert httpx.get(f"http://{container.url}/metrics").status_code == 200
            assert container.stop(timeout_s=90) == 0
        assert not is_there(image, "pytest")
        assert not is_there(image, "yapbench")


def is_there(image: Image, module: str) -> bool:
    return inside(image, f"import {module}").returncode == 0


@pytest.mark.soak
@pytest.mark.skipif(not HAS_ENGINE, reason="needs a container engine")
def test_an_engine_builds_the_image_and_runs_it_locked_down() -> None:
    """echo: a base image and a few small wheels."""
    tag = "yapbench-echo:test"
    words = ["docker", "build", "--file=deploy/Dockerfile", "--build-arg=SERVER=echo", "--build-arg=VARIANT=cpu"]
    if (settings := Path("/etc/pip.conf")).is_file():
        words.append(f"--secret=id=pip_conf,src={settings}")
    subprocess.run([*words, f"--tag={tag}", "."], cwd=ROOT, check=True)
    locked = ["--read-only", "--tmpfs=/tmp", "--cap-drop=ALL", "--security-opt=no-new-privileges", "--init"]
    started = subprocess.run(
        ["docker", "run", "--detach", *locked, tag], capture_output=True, text=True, check=True
    ).stdout.strip()
    try:
        probe = ["docker", "exec", started, "/app/env/bin/python", "-I", "/app/ready.py"]
        for _ in range(60):
            if (healthy := subprocess.run(probe, capture_output=True, check=False)).returncode == 0:
                break
        assert healthy.returncode == 0
        subprocess.run(["docker", "stop", "--time=30", started], check=True)
        seen = subprocess.run(["docker", "inspect", started], capture_output=True, text=True, check=True)
        assert json.loads(seen.stdout)[0]["State"]["ExitCode"] == 0
    finally:
        subprocess.run(["docker", "rm", "--force", started], check=False)
