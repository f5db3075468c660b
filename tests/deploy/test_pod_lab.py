"""`make lab`: where it listens, with which token, and what is said of it. JupyterLab itself is in no test environment:
a small HTTP server that lets in whoever has the token stands at its place."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from tests.yapbench.processes import CHECKOUT
from yapbench.command import free_port
from yapbench.errors import UsageError
from yapbench.pod import lab, outside
from yapbench.pod.lab import Lab

RUNPOD = {"RUNPOD_POD_ID": "abc"}


def test_without_a_word_it_is_loopback_8888_and_a_new_token_each_time() -> None:
    first, second = lab.read({}), lab.read({"LAB_PORT": "", "JUPYTER_TOKEN": ""})
    assert (first.ip, first.port) == (second.ip, second.port) == ("127.0.0.1", 8888)
    assert len(first.token) >= 32 and first.token != second.token and first.token not in repr(first)


@pytest.mark.parametrize(
    "environ", [{"LAB_PORT": "x"}, {"LAB_PORT": "0"}, {"LAB_PORT": "65536"}, {"LAB_IP": "no such"}]
)
def test_a_wrong_value_is_named(environ: dict[str, str]) -> None:
    (variable, value) = next(iter(environ.items()))
    with pytest.raises(UsageError, match=f"{variable}={value}: "):
        lab.read(environ)


@pytest.mark.parametrize(
    ("ip", "told", "url"),
    [
        ("127.0.0.1", RUNPOD, "http://127.0.0.1:8888/lab?token=a%2Fb"),
        ("0.0.0.0", RUNPOD, "https://abc-8888.proxy.runpod.net/lab?token=a%2Fb"),
        ("::1", {}, "http://[::1]:8888/lab?token=a%2Fb"),
    ],
)
def test_one_address_with_its_token(ip: str, told: dict[str, str], url: str) -> None:
    assert Lab(ip, 8888, "a/b").url(told) == url


def test_on_every_address_the_machine_s_own_is_said() -> None:
    assert Lab("0.0.0.0", 8888, "t").url({}) == f"http://{outside.own_address()}:8888/lab?token=t"


def test_the_token_is_on_no_command_line_and_kernels_are_those_of_this_environment() -> None:
    words = lab.command(Lab("0.0.0.0", 8899, "secret"), RUNPOD, ["--ServerApp.base_url=/x"])
    assert words[:3] == [sys.executable, "-m", "jupyterlab"] and "--no-browser" in words
    assert "--ServerApp.ip=0.0.0.0" in words and "--ServerApp.port=8899" in words and words[-1].endswith("=/x")
    assert ("--allow-root" in words) is (os.geteuid() == 0) and "secret" not in " ".join(words)
    assert "--ServerApp.allow_origin=https://abc-8899.proxy.runpod.net" in words
    found = lab.environment(Lab("0.0.0.0", 8899, "secret"))
    assert found["JUPYTER_TOKEN"] == "secret" and found["JUPYTER_PREFER_ENV_PATH"] == "1"


class _Door(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        good = self.path == "/api/status" and self.headers["Authorization"] == "token right"
        self.send_response(200 if good else 403)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def door() -> Iterator[int]:
    """The port of a server that lets in whoever has the token `right`."""
    with HTTPServer(("127.0.0.1", 0), _Door) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server.server_port
        server.shutdown()
        thread.join()


def test_the_address_is_said_once_the_token_opens_it(door: int, capsys: pytest.CaptureFixture[str]) -> None:
    assert lab.announce(Lab("127.0.0.1", door, "right"), {}, server_pid=os.getpid())
    first, second = capsys.readouterr().out.splitlines()
    assert first == f"JupyterLab: http://127.0.0.1:{door}/lab?token=right"
    assert f"ssh -N -L {door}:127.0.0.1:{door} " in second and "right" not in second


def test_nothing_is_said_where_the_token_opens_nothing_or_the_server_has_ended(
    door: int, capsys: pytest.CaptureFixture[str]
) -> None:
    wrong = Lab("127.0.0.1", door, "wrong")
    assert not lab.announce(wrong, {}, server_pid=os.getpid(), patience_s=0.5)
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    assert not lab.announce(wrong, {}, server_pid=ended.pid)
    assert capsys.readouterr().out == ""


def test_a_mistake_is_one_line_and_exit_code_2() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "yapbench.pod.lab"],
        cwd=CHECKOUT,
        env=os.environ | {"LAB_PORT": "none", "LAB_IP": ""},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (2, "make lab: LAB_PORT=none: a port from 1 to 65535\n")


def test_a_taken_port_is_refused_with_a_free_one(door: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: name)
    with pytest.raises(UsageError, match=rf"port {door} is held by .*: LAB_PORT=\d+ is free"):
        lab._check(Lab("127.0.0.1", door, "t"))
    lab._check(Lab("127.0.0.1", free_port(), "t"))
