"""The ways onto a cluster: the Slurm script with made-up srun and ray, and the shape of the Kubernetes job."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "deploy" / "ray"
SCRIPT = FOLDER / "slurm.sbatch"
COMMANDS = {
    "scontrol": "printf '%s\\n' $NODES",
    "srun": """
echo "srun $*" >> "$CALLS"
while [[ $1 == --* ]]; do shift; done
[ "$1" = hostname ] && echo "127.0.0.1 10.0.0.9" && exit
exec "$@"
""",
    "python": """
cat > /dev/null
until [ "$(grep -c '^ray up' "$CALLS")" -ge $(($3 > 1 ? 2 : 1)) ]; do sleep 0.1; done  # one srun for all workers
echo "waited for $3 at $2" >> "$CALLS"
""",
    "yapbench": """
echo "yapbench $* niceness=$RAY_worker_niceness address=${RAY_ADDRESS-none}" >> "$CALLS"
exit "$CODE"
""",
}
RAY = f"""#!{sys.executable}
import os, signal, socket, sys
flags = dict(word.removeprefix("--").split("=") for word in sys.argv[3:] if "=" in word)
def end(*_):
    open(os.environ["CALLS"], "a").write("ray ended\\n")
    os._exit(0)
signal.signal(signal.SIGTERM, end)
if "--head" in sys.argv:
    head = socket.create_server((flags["node-ip-address"], int(flags["port"])))
open(os.environ["CALLS"], "a").write("ray up\\n")
while True:
    signal.pause()
"""


def run(place: Path, *flags: str, nodes: str = "one two three", code: int = 0) -> tuple[int, list[str]]:
    """Run the script as Slurm would; its exit code and what it called."""
    for name, text in COMMANDS.items():
        (place / name).write_text(f"#!/usr/bin/env bash\n{text}\n")
    (place / "ray").write_text(RAY)
    for name in (*COMMANDS, "ray"):
        (place / name).chmod(0o755)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        number = taken.getsockname()[1] % 10_000
    slurm = {"SLURM_SUBMIT_DIR": str(ROOT), "SLURM_JOB_NODELIST": nodes, "SLURM_JOB_ID": str(number)}
    ours = {"YAPBENCH_BIN": str(place), "CALLS": str(place / "calls"), "NODES": nodes, "CODE": str(code)}
    environment = {"PATH": f"{place}:{os.environ['PATH']}", "RAY_ADDRESS": "elsewhere:1"} | slurm | ours
    done = subprocess.run(["bash", str(SCRIPT), *flags], env=environment, check=False, timeout=60, capture_output=True)
    calls = place / "calls"
    return done.returncode, calls.read_text().splitlines() if calls.exists() else done.stderr.decode().splitlines()


@pytest.mark.slow
def test_a_head_workers_and_the_sweep_are_started_and_ended(tmp_path: Path) -> None:
    code, calls = run(tmp_path, "sweeps/echo.yaml", "--retry-failed")
    assert code == 0
    starts = [call for call in calls if "ray start" in call]
    assert len(starts) == 2 and "--nodelist=one" in starts[0] and "--head" in starts[0]
    assert "--nodes=2 --ntasks=2 --exclude=one" in starts[1] and "--address=127.0.0.1:2" in starts[1]
    (sweep,) = [call for call in calls if call.startswith("yapbench")]
    assert sweep.startswith("yapbench sweep sweeps/echo.yaml --retry-failed --engine=ray --ray-address=127.0.0.1:2")
    assert sweep.endswith("niceness=0 address=none")
    assert [call for call in calls if call.startswith("waited for 3")] and calls.count("ray ended") == 2


@pytest.mark.slow
def test_the_sweeps_exit_code_is_the_jobs(tmp_path: Path) -> None:
    code, calls = run(tmp_path, "sweeps/echo.yaml", nodes="one", code=6)
    assert code == 6 and calls.count("ray ended") == 1


def test_without_a_sweep_file_it_says_what_is_missing(tmp_path: Path) -> None:
    code, said = run(tmp_path)
    assert code == 2 and "which sweep file?" in said[0]


def test_the_script_is_clean_bash() -> None:
    subprocess.run(["bash", "-n", str(SCRIPT)], check=True)
    if shutil.which("shellcheck") is None:
        pytest.skip("needs shellcheck")
    subprocess.run(["shellcheck", str(SCRIPT)], check=True)


def job() -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((FOLDER / "rayjob.yaml").read_text())
    return found


def pods() -> list[dict[str, Any]]:
    cluster = job()["spec"]["rayClusterSpec"]
    groups = [cluster["headGroupSpec"], *cluster["workerGroupSpecs"]]
    return [group["template"]["spec"] for group in groups]


def test_the_kubernetes_job_runs_a_sweep_and_is_submitted_again_when_its_head_is_lost() -> None:
    spec = job()["spec"]
    assert (job()["apiVersion"], job()["kind"]) == ("ray.io/v1", "RayJob")
    assert "--engine=ray" in spec["entrypoint"] and spec["backoffLimit"] >= 1 and spec["shutdownAfterJobFinishes"]
    (sweep,) = [word for word in spec["entrypoint"].split() if word.endswith(".yaml")]
    assert (ROOT / sweep).is_file()
    assert f"ray=={spec['rayClusterSpec']['rayVersion']}" in (ROOT / "constraints.txt").read_text().splitlines()


def test_every_pod_is_of_one_image_and_sees_the_results_and_the_environments() -> None:
    containers = [pod["containers"][0] for pod in pods()]
    assert len({container["image"] for container in containers}) == 1
    for pod, container in zip(pods(), containers, strict=True):
        mounts = {mount["name"]: mount["mountPath"] for mount in container["volumeMounts"]}
        assert mounts["runs"] == "/runs" and mounts["cache"] == "/root/.cache"
        assert set(mounts) == {volume["name"] for volume in pod["volumes"]}
        assert {"name": "RAY_worker_niceness", "value": "0"} in container["env"]


def test_only_workers_measure_and_each_has_its_cpus_to_itself() -> None:
    head = job()["spec"]["rayClusterSpec"]["headGroupSpec"]
    assert head["rayStartParams"]["num-cpus"] == "0"
    resources = pods()[1]["containers"][0]["resources"]
    assert resources["requests"] == resources["limits"] and int(resources["limits"]["nvidia.com/gpu"]) > 0
