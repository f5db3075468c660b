"""Runs a built image as a container would: another user, nothing of this environment, a tree that is read-only."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import stat
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.deploy.container_build import Image

UID = 10001
READ_ONLY = ~(stat.S_IWUSR | stat.S_IWGRP | stat.S_IWOTH)


@dataclass(frozen=True)
class Container:
    """One that runs."""

    process: subprocess.Popen[bytes]
    url: str
    log: Path
    health_command: list[str]
    environment: Mapping[str, str]

    def health(self) -> int:
        """Exit code of the image's own HEALTHCHECK."""
        return subprocess.run(
            self.health_command, env=self.environment, capture_output=True, timeout=30, check=False
        ).returncode

    def until_healthy(self, timeout_s: float) -> None:
        end_s = time.monotonic() + timeout_s
        while self.health() != 0:
            assert self.process.poll() is None, self.log.read_text()
            assert time.monotonic() < end_s, self.log.read_text()
            time.sleep(0.2)

    def stop(self, timeout_s: float = 60) -> int:
        """What `docker stop` does first; the exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(timeout=timeout_s)


def seal(image: Image) -> None:
    """Nobody may write but to /tmp and /weights."""
    for path in (image.root, *image.root.rglob("*")):
        if not path.is_symlink():
            path.chmod(path.stat().st_mode & READ_ONLY)
    for name in ("tmp", "weights"):
        for path in (image.root / name, *(image.root / name).rglob("*")):
            if not path.is_symlink():
                path.chmod(0o777 if path.is_dir() else 0o666)


@contextmanager
def open_folder() -> Iterator[Path]:
    """A folder that the other user can come to, which pytest's own are not; removed at the end."""
    made = Path(tempfile.mkdtemp(prefix="yapbench-image-"))
    made.chmod(0o755)
    try:
        yield made
    finally:
        for path in made.rglob("*"):
            if path.is_dir() and not path.is_symlink():
                path.chmod(0o755)
        shutil.rmtree(made)


@contextmanager
def running(image: Image, *flags: str, keys: Mapping[str, str] | None = None) -> Iterator[Container]:
    """The image's ENTRYPOINT with `flags`; killed at the end where it still runs."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    environment = {"PATH": "/usr/bin:/bin", **image.environment, "PORT": str(port), **(keys or {})}
    log = image.root / "tmp" / f"server-{port}.log"
    with log.open("wb") as out:
        process = subprocess.Popen(
            [*_as_another_user(), *image.entrypoint, *flags],
            env=environment,
            cwd=image.root / "app",
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        yield Container(process, f"127.0.0.1:{port}", log, image.healthcheck, environment)
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def inside(image: Image, program: str, *words: str) -> subprocess.CompletedProcess[str]:
    """A line of Python, run by the image's own interpreter as its user."""
    argv = [*_as_another_user(), image.entrypoint[0], "-c", program, *words]
    return subprocess.run(
        argv, cwd=image.root / "app", env=image.environment, capture_output=True, text=True, timeout=60, check=False
    )


def _as_another_user() -> Sequence[str]:
    """root is not held back by read-only files. It may be that this Python lies in root's own folder, so that reading
    it is the one thing which the other user needs root's rights for."""
    if os.geteuid() != 0:
        return ()
    # The bit: else access(2), unlike open(2), forgets that right of a user who is not root.
    ids = (f"--reuid={UID}", f"--regid={UID}", "--clear-groups", "--no-new-privs", "--securebits=+no_setuid_fixup")
    return ("setpriv", *ids, "--inh-caps=+dac_read_search", "--ambient-caps=+dac_read_search")
