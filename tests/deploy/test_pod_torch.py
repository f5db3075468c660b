"""Which PyTorch an environment gets: the image's, a build for the driver, or pip's choice; by a real pip."""

from __future__ import annotations

import subprocess
import sys
import venv
import zipfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from yapbench import builds, envs, image
from yapbench.builds import Driver
from yapbench.doctor import environments
from yapbench.doctor.gpus import Wheel
from yapbench.envs import Environment
from yapbench.errors import UsageError
from yapbench.image import ImageTorch

OLD, NEW = Driver("550.54", (12, 4)), Driver("580.65", (13, 0))


def put_torch(site: Path, version: str, cuda: str | None) -> None:
    """A PyTorch as its files look, in a site-packages folder."""
    facts = site / f"torch-{version}.dist-info"
    facts.mkdir(parents=True)
    (facts / "METADATA").write_text(f"Metadata-Version: 2.1\nName: torch\nVersion: {version}\n")
    (facts / "INSTALLER").write_text("pip\n")
    (facts / "RECORD").write_text("torch/version.py,,\n")
    (site / "torch").mkdir()
    text = f"from typing import Optional\n__version__ = {version!r}\ncuda: Optional[str] = {cuda!r}\n"
    (site / "torch" / "version.py").write_text(text)


def wheel(folder: Path, name: str, version: str, *needs: str) -> None:
    """A wheel that pip can install."""
    needed = "".join(f"Requires-Dist: {need}\n" for need in needs)
    facts = f"{name}-{version}.dist-info"
    with zipfile.ZipFile(folder / f"{name}-{version}-py3-none-any.whl", "w") as archive:
        archive.writestr(f"{facts}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n{needed}")
        archive.writestr(f"{facts}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr(f"{facts}/RECORD", f"{facts}/METADATA,,\n{facts}/WHEEL,,\n{facts}/RECORD,,\n")


@pytest.mark.parametrize(
    ("version", "cuda", "gpu", "objection"),
    [
        ("2.13.0+cu130", (13, 0), True, ""),
        ("2.13.0+cpu", None, False, ""),
        ("2.12.1+cu130", (13, 0), True, "torch==2.12.1+cu130 does not satisfy torch==2.13.0"),
        ("2.13.0a0+git1", (13, 0), True, "does not satisfy"),
        ("2.13.0", None, True, "for CPUs only"),
        ("2.13.0+cu130", (13, 0), False, "kept out"),
        ("nightly", None, False, "is no version"),
    ],
)
def test_when_the_image_s_torch_is_taken(version: str, cuda: tuple[int, int] | None, gpu: bool, objection: str) -> None:
    found = image.objection(ImageTorch(version, cuda, Path("/x")), ["torch", "torchaudio<1", "torch==2.13.0"], gpu=gpu)
    assert objection in found and bool(found) == bool(objection)


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_what_an_image_s_python_brings_is_read_from_its_files(tmp_path: Path) -> None:
    venv.create(tmp_path / "image", with_pip=False)
    python = tmp_path / "image" / "bin" / "python"
    (site,) = (tmp_path / "image").glob("lib/python*/site-packages")
    assert image.brought(python) is None
    put_torch(site, "2.13.0+cu130", "13.0")
    image.brought.cache_clear()
    assert image.brought(python) == ImageTorch("2.13.0+cu130", (13, 0), site)
    assert image.brought(tmp_path / "no-python") is None


@pytest.fixture
def torch_of_the_user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A PyTorch beside the Python that environments are made from, as `pip install --user` puts it there."""
    monkeypatch.setenv("PYTHONUSERBASE", str(tmp_path / "user"))
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path))
    site = tmp_path / "user" / "lib" / f"python{sys.version_info[0]}.{sys.version_info[1]}" / "site-packages"
    put_torch(site, "2.13.0+cpu", None)
    image.brought.cache_clear()
    return site


def made_up(folder: Path, torch: ImageTorch | None) -> Environment:
    (folder / "requirements.txt").write_text("torch\nneeds_torch\n")
    (folder / "constraints.txt").write_text("torch==2.13.0\n")
    return Environment("tiny", (folder / "requirements.txt",), folder / "constraints.txt", folder / "envs", torch=torch)


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_an_environment_stands_on_the_image_s_torch(torch_of_the_user: Path, tmp_path: Path) -> None:
    wheel(tmp_path, "needs_torch", "1.0", "torch>=2")
    own = made_up(tmp_path, None)
    found = image.torch_for([*own.lines, *own.pins], gpu=False)
    assert found == ImageTorch("2.13.0+cpu", None, torch_of_the_user)
    wanted = made_up(tmp_path, found)
    said: list[str] = []
    python = envs.build(wanted, say=said.append)
    done = subprocess.run(
        [python, "-c", "import torch.version as v; print(v.__file__)"], capture_output=True, text=True
    )
    assert Path(done.stdout.strip()).parent.parent == torch_of_the_user
    assert said[1] == "environment 'tiny': torch==2.13.0+cpu, which the image has"
    assert wanted.path != own.path and not list(wanted.path.glob("lib/*/site-packages/torch"))
    assert environments.wheel_of(wanted) == Wheel("2.13.0+cpu", None)


@pytest.mark.usefixtures("torch_of_the_user")
def test_an_image_s_torch_is_left_alone_where_told_so(monkeypatch: pytest.MonkeyPatch) -> None:
    assert image.torch_for(["numpy"], gpu=False) is None
    monkeypatch.setenv(image.VARIABLE, "0")
    assert image.torch_for(["torch"], gpu=False) is None


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_build_for_the_driver_is_taken_where_pip_s_own_choice_is_too_new(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path))
    wheel(tmp_path, "torch", "2.13.0", "nvidia-cuda-runtime==13.0.48 ; platform_system == 'Linux'")
    constraints = tmp_path / "constraints.txt"
    constraints.write_text("torch==2.13.0\n")
    assert builds.pin_for(NEW, Path(sys.executable), constraints) == ""
    with pytest.raises(UsageError, match=r"driver 550.54 knows CUDA 12.4, .* CUDA 13.0 \(driver 580 or newer\)"):
        builds.pin_for(OLD, Path(sys.executable), constraints)
    for version in ("2.13.0+cu130", "2.13.0+cu126", "2.13.0+cu118", "2.12.0+cu129", "2.13.0+cpu"):
        wheel(tmp_path, "torch", version)
    assert builds.pin_for(OLD, Path(sys.executable), constraints) == "torch==2.13.0+cu126"


@given(
    minors=st.lists(st.tuples(st.integers(11, 14), st.integers(0, 9)), unique=True),
    driver=st.tuples(st.integers(11, 14), st.integers(0, 9)),
)
def test_the_newest_build_that_the_driver_runs_is_chosen(
    minors: list[tuple[int, int]], driver: tuple[int, int]
) -> None:
    named = {f"2.13.0+cu{major}{minor}": (major, minor) for major, minor in minors}
    chosen = builds.fitting("2.13.0", [*named, "2.12.0+cu110", "2.13.0+cpu", "odd"], Driver("1", driver))
    runs = [cuda for cuda in named.values() if cuda[0] <= driver[0]]
    assert named.get(chosen) == (max(runs) if runs else None)


@pytest.mark.parametrize(
    ("line", "cuda"),
    [
        ("nvidia-cuda-runtime-cu12==12.8.90; platform_system == 'Linux'", (12, 8)),
        ("nvidia-cuda-runtime==13.0.48", (13, 0)),
        ("cuda-toolkit[cublas,cudart]==13.0.2; sys_platform == 'linux'", (13, 0)),
        ("nvidia-cudnn-cu13==9.15", None),
    ],
)
def test_what_a_wheel_was_built_for_is_told_by_what_it_asks_for(line: str, cuda: tuple[int, int] | None) -> None:
    assert builds.built_for(["sympy>=1.13", line]) == cuda
