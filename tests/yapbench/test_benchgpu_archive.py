"""The archive of a bench: complete or absent, never over its limit, and honest about what it lacks."""

from __future__ import annotations

import json
import tarfile
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from yapbench.benchgpu import archive

RAW = "utterances.parquet"


def fill(root: Path, sizes: list[int]) -> None:
    """Trials with raw files of these sizes, whose bytes no compressor makes smaller."""
    for number, size in enumerate(sizes):
        (root / f"trial{number}").mkdir(parents=True)
        (root / f"trial{number}" / RAW).write_bytes(np.random.default_rng(number).bytes(size))
        (root / f"trial{number}" / "trial.json").write_text("{}\n")


def contents(path: Path) -> dict[str, bytes]:
    with tarfile.open(path) as found:
        files = [(entry.name, found.extractfile(entry)) for entry in found.getmembers()]
        return {name: file.read() for name, file in files if file}


def read_manifest(path: Path) -> dict[str, Any]:
    value: dict[str, Any] = json.loads(contents(path)["bench/manifest.json"])
    return value


def test_everything_goes_in_when_it_fits(tmp_path: Path) -> None:
    fill(tmp_path / "out", [100, 200])
    (tmp_path / "out" / "server.log").write_bytes(b"x" * 100_000 + b"end")
    (tmp_path / "out" / "clips.npz").write_bytes(b"not for others")
    said = archive.write(tmp_path / "out", tmp_path / "a.tar.gz")
    found = contents(tmp_path / "a.tar.gz")
    assert said["left_out"] == [] and f"bench/trial1/{RAW}" in found and "bench/clips.npz" not in found
    assert len(found["bench/server.log"]) == archive.LOG_TAIL_BYTES and found["bench/server.log"].endswith(b"end")


def test_what_does_not_fit_goes_largest_first_and_is_named(tmp_path: Path) -> None:
    fill(tmp_path / "out", [20_000, 60_000, 40_000])
    archive.write(tmp_path / "out", tmp_path / "a.tar.gz", limit_bytes=30_000)
    said = read_manifest(tmp_path / "a.tar.gz")
    assert [each["name"] for each in said["left_out"]] == [f"trial1/{RAW}", f"trial2/{RAW}"]
    assert "2 raw files left out" in said["note"] and f"trial0/{RAW}" in said["files"]


@given(st.lists(st.integers(0, 30_000), max_size=6), st.integers(3_000, 60_000))
def test_it_is_never_over_its_limit_and_every_file_is_in_it_or_named(sizes: list[int], limit_bytes: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        root, path = Path(folder) / "out", Path(folder) / "a.tar.gz"
        root.mkdir()
        fill(root, sizes)
        archive.write(root, path, limit_bytes=limit_bytes)
        said = read_manifest(path)
        assert path.stat().st_size <= limit_bytes
        named = {*said["files"], *(each["name"] for each in said["left_out"])}
        assert named == {file.relative_to(root).as_posix() for file in root.rglob("*") if file.is_file()}
        assert all(f"trial{number}/trial.json" in said["files"] for number in range(len(sizes)))


def test_an_archive_that_cannot_be_made_leaves_the_one_before(tmp_path: Path) -> None:
    fill(tmp_path / "out", [10])
    archive.write(tmp_path / "out", tmp_path / "a.tar.gz")
    before = (tmp_path / "a.tar.gz").read_bytes()
    with pytest.raises(ValueError, match="without any raw file"):
        archive.write(tmp_path / "out", tmp_path / "a.tar.gz", limit_bytes=50)
    assert (tmp_path / "a.tar.gz").read_bytes() == before
    assert not list(tmp_path.glob("*.tmp")) and not list(tmp_path.glob(".*"))
