"""The Dockerfile's steps, carried out without an engine: what they make holds no more than it should, and serves."""

from __future__ import annotations

import io
import re
import threading
from collections.abc import Iterator
from pathlib import Path

import httpx
import numpy as np
import pytest

from tests.deploy.container_build import Image, build
from tests.deploy.container_context import PLANTED, SECRET, make_context
from tests.deploy.container_metrics import defined
from tests.deploy.container_run import inside, open_folder, running, seal

COMPILERS = {"cc", "gcc", "g++", "c++", "clang", "make", "ld", "as", "nvcc"}
TURN = (np.sin(np.arange(16_000) / 20) / 3).astype("<f4")


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    with open_folder() as made:
        yield made


@pytest.fixture(scope="module")
def image(folder: Path) -> Image:
    made = build(make_context(folder), folder / "stages", {"SERVER": "echo", "VARIANT": "cpu"})
    seal(made)
    return made


def files(image: Image) -> list[Path]:
    return [path for path in image.root.rglob("*") if path.is_file() and (image.root / "tmp") not in path.parents]


@pytest.mark.slow
def test_the_image_serves_is_healthy_and_drains(image: Image) -> None:
    body = io.BytesIO()
    np.save(body, TURN)
    answers: list[httpx.Response] = []
    with running(image, "--delay-ms=1500", keys={"ECHO_KEY": "k1"}) as container:
        container.until_healthy(timeout_s=40)

        def ask() -> None:
            headers = {"Authorization": "Bearer k1"}
            answers.append(httpx.post(f"http://{container.url}/raw", content=body.getvalue(), headers=headers))

        asking = threading.Thread(target=ask)
        asking.start()
        while httpx.get(f"http://{container.url}/status").json()["in_flight"] == 0:
            assert asking.is_alive()
        assert container.stop() == 0
        asking.join()
        assert answers[0].json()["prediction"] == 1
        assert container.health() != 0


@pytest.mark.slow
def test_a_running_servers_metrics_are_the_ones_that_alerts_are_checked_against(image: Image) -> None:
    with running(image) as container:
        container.until_healthy(timeout_s=40)
        httpx.get(f"http://{container.url}/status")
        text = httpx.get(f"http://{container.url}/metrics").text
    shown = {re.split("[{ ]", line)[0] for line in text.splitlines() if not line.startswith("#")}
    assert {name for name in shown if not name.endswith("_created")} == set(defined("echo"))


@pytest.mark.slow
def test_an_image_takes_flags_and_says_what_is_wrong_with_them(image: Image) -> None:
    with running(image, "--delay-mss=1") as container:
        assert container.process.wait(timeout=40) == 2
        assert "did you mean --delay-ms?" in container.log.read_text()


@pytest.mark.slow
def test_the_tree_is_read_only_for_the_server(image: Image) -> None:
    program = "import pathlib, sys; pathlib.Path(sys.argv[1], 'x').write_text('')"
    places = [image.root / name for name in ("app", "app/servers/echo", "tmp", "weights")]
    outcomes = [inside(image, program, str(place)).returncode == 0 for place in places]
    assert outcomes == [False, False, True, True]


@pytest.mark.slow
def test_no_harness_no_compiler_no_installer_is_in_it(image: Image) -> None:
    names = {part for path in files(image) for part in path.relative_to(image.root).parts}
    assert not names & (COMPILERS | {"yapbench", "pip", "setuptools", "pytest", "conftest.py"})
    assert "No module named 'yapbench'" in inside(image, "import yapbench").stderr
    own = {path.name for path in (image.root / "app" / "servers").iterdir()}
    assert own == {"__init__.py", "__pycache__", "common", "echo"}


@pytest.mark.slow
def test_no_key_of_the_tree_or_of_git_is_in_it(image: Image) -> None:
    names = {path.name for path in files(image)}
    assert not names & {".git", *(Path(name).name for name in PLANTED)}
    assert not [path for path in files(image) if SECRET.encode() in path.read_bytes()]


@pytest.mark.slow
def test_the_servers_code_is_compiled_beforehand(image: Image) -> None:
    sources = list((image.root / "app" / "servers").rglob("*.py"))
    assert sources
    assert all(list((path.parent / "__pycache__").glob(f"{path.stem}.*.pyc")) for path in sources)
