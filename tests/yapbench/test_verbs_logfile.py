"""A followed log shows everything once, whatever happens to the file; a long one is cut while its writer writes."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from servers.common.supervise import ProcessId
from tests.yapbench.processes import wait_for
from yapbench.verbs import logfile

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="supervision needs Linux")


class Reader:
    """Follows a file in a thread until told that its writer is gone."""

    def __init__(self, path: Path, *, from_byte: int = 0) -> None:
        self.seen, self.alive = "", True
        self._texts = logfile.follow(path, alive=lambda: self.alive, from_byte=from_byte, poll_s=0.01)
        self._thread = threading.Thread(target=self._read)
        self._thread.start()

    def _read(self) -> None:
        for text in self._texts:
            self.seen += text

    def finish(self) -> str:
        self.alive = False
        self._thread.join()
        return self.seen


@pytest.fixture
def log(tmp_path: Path) -> Path:
    path = tmp_path / "log"
    path.write_text("one\ntwo\n")
    return path


def append(path: Path, text: str) -> None:
    with path.open("a") as file:
        file.write(text)


def test_what_is_there_and_what_comes_is_said_once(log: Path) -> None:
    reader = Reader(log, from_byte=4)
    append(log, "thrée\n")
    assert wait_for(lambda: "thrée" in reader.seen, 5)
    append(log, "last words")
    assert reader.finish() == "two\nthrée\nlast words"


def test_a_cut_file_is_read_from_its_beginning(log: Path) -> None:
    reader = Reader(log)
    assert wait_for(lambda: reader.seen == "one\ntwo\n", 5)
    assert logfile.cut(log, limit_bytes=4)
    assert log.with_name("log.previous").read_text() == "one\ntwo\n"
    append(log, "new\n")
    assert wait_for(lambda: "new" in reader.seen, 5)
    assert reader.finish() == "one\ntwo\nnew\n"


def test_a_replaced_file_is_read_from_its_beginning(log: Path) -> None:
    reader = Reader(log)
    assert wait_for(lambda: reader.seen == "one\ntwo\n", 5)
    log.replace(log.with_name("log.previous"))
    log.write_text("a longer first line of the next start\n")
    assert wait_for(lambda: "next start" in reader.seen, 5)
    assert reader.finish().startswith("one\ntwo\na longer")


def test_a_short_log_is_left_alone(log: Path) -> None:
    assert not logfile.cut(log, limit_bytes=8)
    assert not logfile.cut(log.with_name("none"), limit_bytes=8)
    assert log.read_text() == "one\ntwo\n"
    assert not log.with_name("log.previous").exists()


@given(st.lists(st.text("ab é", max_size=5), max_size=6), st.integers(0, 8))
def test_the_last_lines_begin_where_they_begin(
    tmp_path_factory: pytest.TempPathFactory, words: list[str], n: int
) -> None:
    path = tmp_path_factory.mktemp("log") / "log"
    path.write_text("".join(f"{word}\n" for word in words))
    rest = path.read_bytes()[logfile.start_of_last(path, n) :].decode()
    assert rest == "".join(f"{word}\n" for word in (words[-n:] if n else []))


WRITER = """
import sys, time
with open(sys.argv[1], "ab", buffering=0) as log:
    while True:
        log.write(b"x" * 99 + b"\\n")
        time.sleep(0.01)
"""


@pytest.fixture
def writer(tmp_path: Path) -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen([sys.executable, "-c", WRITER, str(tmp_path / "log")]) as process:
        yield process
        process.kill()


def watchers(path: Path) -> list[str]:
    found = subprocess.run(["pgrep", "-f", f"verbs.logfile {path} "], capture_output=True, text=True, check=False)
    return found.stdout.split()


@pytest.mark.slow
def test_the_log_of_a_living_writer_stays_short_and_the_watcher_ends_with_it(
    tmp_path: Path, writer: subprocess.Popen[bytes]
) -> None:
    log = tmp_path / "log"
    identity = ProcessId.of(writer.pid)
    assert identity is not None and wait_for(log.exists, 10)
    logfile.keep_short(log, identity, limit_bytes=1000)
    assert wait_for(log.with_name("log.previous").exists, 10)
    assert set(log.read_text().split("\n")) <= {"x" * 99, ""}  # cut between lines, written on at the beginning
    assert len(watchers(log)) == 1
    writer.kill()
    writer.wait()
    assert wait_for(lambda: not watchers(log), 10)
