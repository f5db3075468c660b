"""The port that a server process has taken, read from its log of JSON lines."""

from __future__ import annotations

import json
import subprocess
import time
from pathlib import Path


def wait_for_port(process: subprocess.Popen[bytes], log: Path, *, timeout_s: float = 120.0) -> int:
    """Fails with the log when the process has ended first; raises TimeoutError with it after `timeout_s`."""
    end_s = time.monotonic() + timeout_s
    while time.monotonic() < end_s:
        for line in log.read_text().splitlines():
            if line.startswith("{") and (row := json.loads(line))["message"] == "listening":
                return int(row["port"])
        assert process.poll() is None, log.read_text()
        time.sleep(0.05)
    raise TimeoutError(log.read_text())
