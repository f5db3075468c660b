"""The next run in a slot waits for what a killed one left there, and for nothing else."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time

import psutil
import pytest

from yapbench.engines import leftovers
from yapbench.engines.slots import Slot
from yapbench.process import SLOT_MARK

SLEEP = [sys.executable, "-c", "import time; time.sleep(60)"]
PARENT = f"""
import subprocess, sys
from yapbench.engines.slots import Slot
with Slot(("7",)).entered():
    print(subprocess.Popen({SLEEP!r}).pid, flush=True)
sys.stdin.read()
"""


@pytest.mark.slow
def test_a_slot_is_free_when_the_orphans_of_its_killed_owner_have_ended() -> None:
    with subprocess.Popen([sys.executable, "-c", PARENT], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as owner:
        assert owner.stdout is not None
        orphan = psutil.Process(int(owner.stdout.readline()))
        leftovers.wait_until_gone("7")  # its owner lives: that is not ours to wait for
        owner.kill()
    waiting = threading.Thread(target=leftovers.wait_until_gone, args=("7",))
    waiting.start()
    time.sleep(0.5)
    leftovers.wait_until_gone("8")
    assert waiting.is_alive()
    orphan.kill()
    waiting.join(10)
    assert not waiting.is_alive()


@pytest.mark.slow
def test_what_does_not_end_is_killed(monkeypatch: pytest.MonkeyPatch) -> None:
    gone = subprocess.run([sys.executable, "-c", "import os; print(os.getpid())"], capture_output=True, check=True)
    monkeypatch.setattr(leftovers, "_ENDING_S", 0.2)
    environment = os.environ | {SLOT_MARK: f"9@{int(gone.stdout)}:1"}
    with subprocess.Popen(SLEEP, env=environment) as orphan, Slot(("9",)).entered():
        assert orphan.wait(10) == -9
