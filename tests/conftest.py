"""In CI a skip must be one that tests/allowed_skips.txt names: a test that silently stops running is a defect."""

from __future__ import annotations

import os
import signal
from collections.abc import Generator
from pathlib import Path

import pytest

ALLOWED = Path(__file__).with_name("allowed_skips.txt")


def allowed_reasons() -> list[str]:
    lines = ALLOWED.read_text(encoding="utf-8").splitlines()
    return [line.strip() for line in lines if line.strip() and not line.startswith("#")]


def pytest_configure(config: pytest.Config) -> None:
    config.stash[UNEXPECTED] = []
    # A suite started in the background (`make test &`) inherits an ignored Ctrl-C and would pass it on to every process
    # that tests interrupt.
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    _take_time_from_no_example()


def _take_time_from_no_example() -> None:
    """Hypothesis fails an example of more than 200 ms, which any may be where others work too; in CI it does not."""
    try:
        from hypothesis import settings
    except ImportError:  # in the environment of a server
        return
    if not os.environ.get("CI"):
        settings.register_profile("patient", deadline=None)
        settings.load_profile("patient")


UNEXPECTED = pytest.StashKey[list[str]]()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if report.skipped and not hasattr(report, "wasxfail") and isinstance(report.longrepr, tuple):
        reason = report.longrepr[2].removeprefix("Skipped: ")
        if not any(reason.startswith(allowed) for allowed in allowed_reasons()):
            item.config.stash[UNEXPECTED].append(f"{item.nodeid}: {reason}")
    return report


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    if os.environ.get("CI") and session.config.stash[UNEXPECTED] and exitstatus == 0:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    for line in config.stash[UNEXPECTED]:
        terminalreporter.write_line(f"skip not named in {ALLOWED.name}: {line}", red=True)
