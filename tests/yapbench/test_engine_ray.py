"""A real Ray cluster of this machine with two pretended GPUs: a node is killed in mid-sweep, then the head's command.

One story is played once; the tests say what must be true of it.
"""

from __future__ import annotations

import importlib
import os
import signal
import subprocess
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.yapbench.sweeping_servers import Seen, servers
from yapbench.store import read_sweep

pytest.importorskip("ray", reason="needs ray")

ROOT = Path(__file__).resolve().parents[2]
GRID = """
notebook: 05_echo
parameters: {client: [echo_pcm, echo_json, echo_msgpack], concurrency: "1", requests: 3, warmup: 1, pace: 2}
"""
pytestmark = [pytest.mark.slow, pytest.mark.timeout(580)]


@dataclass
class Story:
    """What was seen."""

    place: Path
    before: list[list[Seen]] = field(default_factory=list)
    """The servers that ran before the node was killed, look by look."""
    first: dict[str, dict[str, bytes]] = field(default_factory=dict)
    """What the killed head had finished."""
    left: list[Seen] = field(default_factory=list)
    """What of its runs outlived it."""
    code: int | None = None

    @property
    def folder(self) -> Path:
        return self.place / "runs" / "nodes"

    @property
    def output(self) -> str:
        return (self.place / "output.txt").read_text()

    def finished(self) -> dict[str, dict[str, bytes]]:
        folders = [path.parent for path in self.folder.glob("*/trial.json")]
        return {folder.name: {p.name: p.read_bytes() for p in folder.iterdir() if p.is_file()} for folder in folders}


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    """A head without CPUs, as on Kubernetes."""
    with warnings.catch_warnings(), pytest.MonkeyPatch.context() as patch:
        warnings.simplefilter("ignore")
        patch.setenv("RAY_prestart_worker_first_driver", "0")
        patch.setenv("RAY_worker_niceness", "0")
        ray, utils = importlib.import_module("ray"), importlib.import_module("ray.cluster_utils")
        made = utils.Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False})
        yield made
        ray.shutdown()
        made.shutdown()


def start(story: Story, address: str) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "yapbench", "sweep", str(story.place / "nodes.yaml"), "--no-calibrate"]
    flags = ["--engine", "ray", "--ray-address", address, "--runs", str(story.place / "runs")]
    with (story.place / "output.txt").open("a") as output:
        return subprocess.Popen([*command, *flags], cwd=ROOT, stdout=output, stderr=subprocess.STDOUT)


def wait_until(true: Callable[[], object], sweep: subprocess.Popen[bytes], story: Story) -> None:
    deadline_s = time.monotonic() + 240
    while not true():
        assert sweep.poll() is None and time.monotonic() < deadline_s, story.output
        time.sleep(0.2)


@pytest.fixture(scope="module")
def story(cluster: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Story]:
    told = Story(tmp_path_factory.mktemp("ray"))
    (told.place / "nodes.yaml").write_text(GRID)

    def both() -> bool:
        told.before.append(servers(told.place))
        return {one.gpu for one in told.before[-1]} == {"0", "1"}

    # Addresses of their own: the head's command must not take the node that is killed for its own.
    node = cluster.add_node(num_cpus=2, num_gpus=2, node_ip_address="127.0.0.2")
    head = start(told, cluster.address)
    try:
        wait_until(both, head, told)
        cluster.remove_node(node, allow_graceful=False)
        cluster.add_node(num_cpus=2, num_gpus=2, node_ip_address="127.0.0.3")
        wait_until(told.finished, head, told)
        head.kill()
        head.wait()
        told.first = told.finished()
        until_s = time.monotonic() + 20
        while (left := servers(told.place)) and time.monotonic() < until_s:
            time.sleep(0.2)
        told.left = left
        head = start(told, cluster.address)
        told.code = head.wait(timeout=300)
        yield told
    finally:
        head.kill()
        head.wait()


def test_two_gpus_have_one_run_each_and_its_server_knows_nothing_of_ray(story: Story) -> None:
    both = story.before[-1]
    assert sorted(one.gpu for one in both) == ["0", "1"] and [one.ray for one in both] == [(), ()]
    for look in story.before:
        assert len({one.gpu for one in look}) == len({one.folder for one in look})


def test_what_a_killed_node_ran_is_run_again(story: Story) -> None:
    assert story.output.count(": begun on") >= 4 and "no result" not in story.output
    assert story.first


def test_nothing_outlives_a_killed_head(story: Story) -> None:
    assert story.left == []


def test_the_same_command_goes_on_and_each_trial_is_there_once(story: Story) -> None:
    assert story.code in (0, 5), story.output  # 5: a busy machine spoils points, not trials
    trials = read_sweep(story.folder)
    assert sorted(trial.info["client"] for trial in trials) == ["echo_json", "echo_msgpack", "echo_pcm"]
    assert {trial.info["trial_id"] for trial in trials} == set(story.finished())
    assert f"3 trials, {len(story.first)} finished already" in story.output
    now = story.finished()
    for name, files in story.first.items():  # the report adds a file of its own
        assert {file: now[name][file] for file in files} == files


def test_no_attempt_and_no_mark_is_left(story: Story) -> None:
    assert {path.name for path in story.folder.iterdir() if path.name.startswith(".")} <= {".lock"}
    me = psutil.Process(os.getpid()).children(recursive=True)
    assert not [p for p in me if p.is_running() and "ipykernel_launcher" in " ".join(p.cmdline())]
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
