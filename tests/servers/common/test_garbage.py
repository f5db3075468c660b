"""The collector around imports, after loading and at the end."""

from __future__ import annotations

import gc
import subprocess
import sys

from servers.common.garbage import postponed


def test_imports_are_not_collected_and_later_things_are() -> None:
    with postponed():
        assert not gc.isenabled()
    assert gc.isenabled()


def test_a_collector_that_is_off_stays_off() -> None:
    gc.disable()
    try:
        with postponed():
            pass
        assert not gc.isenabled()
    finally:
        gc.enable()


def test_leaving_writes_what_was_said_and_runs_nothing_more() -> None:
    code = (
        "import atexit, logging, sys; from servers.common.garbage import leave, settle; settle();"
        "atexit.register(lambda: print('not this')); print('said'); logging.warning('logged'); leave(3)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (3, "said\n")
    assert "logged" in done.stderr
