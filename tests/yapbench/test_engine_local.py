"""A real sweep of the echo server over two pretended GPUs, one slot's process killed on the way."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

import psutil
import pytest

from tests.yapbench.sweeping_servers import Seen, servers
from yapbench.store import read_sweep

ROOT = Path(__file__).resolve().parents[2]
GRID = """
notebook: 05_echo
parameters: {client: [echo_pcm, echo_json], concurrency: "1", requests: 3, warmup: 1, pace: 2}
"""
pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]


@dataclass
class Story:
    """What was seen of the sweep."""

    folder: Path
    code: int | None = None
    output: str = ""
    seen: list[list[Seen]] = field(default_factory=list)
    """The servers that ran, look by look."""
    killed: bool = False


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory) -> Story:
    place = tmp_path_factory.mktemp("local")
    (place / "pair.yaml").write_text(GRID)
    command = [sys.executable, "-m", "yapbench", "sweep", str(place / "pair.yaml"), "--no-calibrate"]
    told = Story(place / "runs" / "pair")
    environment = {name: value for name, value in os.environ.items() if name != "CUDA_VISIBLE_DEVICES"}
    with subprocess.Popen(
        [*command, "--runs", str(place / "runs")],
        cwd=ROOT,
        env=environment | {"YAPBENCH_GPUS": "0,1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as sweep:
        while sweep.poll() is None:
            told.seen.append(servers(place))
            if not told.killed and {one.gpu for one in told.seen[-1]} == {"0", "1"}:
                slots = [p for p in psutil.Process(sweep.pid).children() if "spawn_main" in " ".join(p.cmdline())]
                slots[0].kill()
                told.killed = True
            time.sleep(0.2)
        assert sweep.stdout is not None
        told.code, told.output = sweep.returncode, sweep.stdout.read()
    return told


def test_every_trial_is_done_once_although_a_process_was_killed(story: Story) -> None:
    assert story.killed and story.code in (0, 5), story.output  # 5: a busy machine spoils points, not trials
    assert "no result" not in story.output
    assert [trial.info["status"] for trial in read_sweep(story.folder)] == ["done"] * 2
    assert [line[:5] for line in story.output.splitlines() if line.startswith(("[1/", "[2/"))] == ["[1/2]", "[2/2]"]


def test_both_gpus_are_used_and_never_by_two(story: Story) -> None:
    assert {one.gpu for look in story.seen for one in look} == {"0", "1"}
    for look in story.seen:
        assert len({one.gpu for one in look}) == len({one.folder for one in look})


def test_runs_side_by_side_share_no_cpu(story: Story) -> None:
    pairs = [look for look in story.seen if len({one.gpu for one in look}) == 2]
    if len(os.sched_getaffinity(0)) < 2:
        pytest.skip("one CPU only")
    assert pairs and all(not set.intersection(*(set(one.cpus) for one in look)) for look in pairs)


def test_nothing_of_an_attempt_is_left(story: Story) -> None:
    assert not list(story.folder.rglob(".attempts")) and not servers(story.folder.parent.parent)
    assert all(str(story.folder / ".attempts") not in p.read_text() for p in story.folder.glob("*/trial.json"))
