"""`client`, `convo` and `idle` on a streaming server, and what is left when one of the verbs is interrupted."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from tests.contract.test_stream_sessions import server_that_hangs_up
from tests.yapbench.verb_looks import CLIP, FAST, TEXT, echo, lines, looks, wait_for_sessions
from yapbench import clients, process
from yapbench.command import CHECKOUT
from yapbench.errors import ExitCode, UsageError
from yapbench.verbs import convo, idle, probing, quick, talking
from yapbench.verbs.options import Options

__all__ = ["echo", "looks"]
pytestmark = pytest.mark.slow


def test_convo_says_several_utterances_on_one_connection(
    echo: str, looks: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = Options(url=echo, requests=3, verbose=True, full_text=True, **FAST)
    began_s = time.monotonic()
    assert convo.convo("echo", options, pause_s=0.5) == ExitCode.OK
    assert time.monotonic() - began_s >= 2 * 0.5
    said = capsys.readouterr().out
    assert (said.count("-- dial"), said.count("-> end"), said.count(repr(TEXT))) == (1, 3, 3)
    rows = lines(looks / "convo" / "convo_metrics.jsonl")
    assert [row["connect_ms"] is None for row in rows] == [False, True, True]
    assert rows[1]["missing"]["connect_ms"] == "the connection was kept open"


def test_convo_ends_at_a_failure(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with process.launch("echo", settings={"error_rate": 1}, log_path=tmp_path / "log") as server:
        assert convo.convo("echo", Options(url=server.url, **FAST), pause_s=0) == ExitCode.SERVER_FAILED
    assert "1 of 2 utterances were not said: the one before failed" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "mistake"),
    [
        ({"pause_s": -1}, "--pause-s=-1: expected a number from 0 to 3600"),
        ({"requests": 0}, "--n=0: expected a number of utterances from 1"),
        ({"concurrency": "2"}, "convo is one connection"),
    ],
)
def test_a_conversation_that_cannot_be_is_refused(echo: str, words: dict[str, Any], mistake: str) -> None:
    pause_s = words.pop("pause_s", 1.0)
    with pytest.raises(UsageError, match=mistake):
        convo.convo("echo", Options(url=echo, client="echo_pcm", **words), pause_s=pause_s)


def test_what_keeps_no_connection_open_has_no_conversation(echo: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(type(clients.CODECS["echo_pcm"]), "keeps_open", False)
    options = Options(url=echo, client="echo_pcm")
    with pytest.raises(UsageError, match="opens a connection for each utterance; those that can: echo_json"):
        convo.convo("echo", options, pause_s=1)
    with pytest.raises(UsageError, match="idle: client 'echo' does not stream"):
        idle.idle("echo", Options(url=echo), after=False, expect_s=None, tick_s=None)


def look_for_idle(url: str, **words: Any) -> ExitCode:
    known = {"after": False, "expect_s": None, "tick_s": None}
    flags = {name: words.pop(name, value) for name, value in known.items()}
    return ExitCode(idle.idle(url, Options(**{"client": "echo_pcm", **words}), **flags))


def test_idle_says_after_how_long_and_how(looks: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with server_that_hangs_up(0.5, 4000) as url:
        assert look_for_idle(url) == ExitCode.OK
        assert look_for_idle(url, expect_s=0.5) == ExitCode.OK
        assert look_for_idle(url, expect_s=5) == ExitCode.SERVER_FAILED
        assert look_for_idle(url, expect_s=5, tick_s=4) == ExitCode.OK
    said = capsys.readouterr().out
    assert "closed after 0.5" in said and "with 4000 'idle'" in said and "more than the 2 s allowed" in said
    [row] = lines(looks / "idle" / "idle_metrics.jsonl")
    assert (row["close_code"], row["close_reason"], row["allowed_s"]) == (4000, "idle", 6)
    assert row["closed_after_s"] >= 0.45


def test_a_wire_of_one_utterance_can_be_idle_and_no_more(capsys: pytest.CaptureFixture[str]) -> None:
    with server_that_hangs_up(0.3, 4000) as url:
        assert look_for_idle(url, client="fastconformer", expect_s=0.3) == ExitCode.OK
        with pytest.raises(UsageError, match="idle --after: client 'fastconformer' opens a connection for each"):
            look_for_idle(url, client="fastconformer", after=True)
        with pytest.raises(UsageError, match="convo: client 'fastconformer' opens a connection for each utterance"):
            convo.convo(url, Options(client="fastconformer"), pause_s=1)


def test_a_policy_that_the_wire_does_not_have_is_refused_before_anything_is_dialled() -> None:
    for verb in (talking.client, probing.probe, quick.bench):
        with pytest.raises(UsageError, match="eos='silence' with client 'fastconformer'"):
            verb("127.0.0.1:9", Options(client="fastconformer", eos="silence", file=CLIP))


def test_idle_after_an_utterance_waits_no_longer_than_it_may(echo: str, capsys: pytest.CaptureFixture[str]) -> None:
    words: dict[str, Any] = {"after": True, "rtf": 20, "file": CLIP, "timeout": 0.5}
    assert look_for_idle(echo, **words) == ExitCode.OK
    assert "still open after 0.5 s" in capsys.readouterr().out
    assert look_for_idle(echo, **words, expect_s=0.1) == ExitCode.SERVER_FAILED


def test_client_speaks_clip_after_clip(echo: str, looks: Path, capsys: pytest.CaptureFixture[str]) -> None:
    answers = iter([CLIP, "no-such-file", "q"])
    options = Options(url=echo, full_text=True, print_partials=True, **FAST)
    assert talking.client("echo", options, read=lambda _: next(answers)) == ExitCode.OK
    said = capsys.readouterr().out
    assert said.count(f"    {TEXT!r}\n    ok, connect") == 2
    assert said.count("  ~ Take the second\n") == 2 and "no-such-file" in said
    assert len(lines(looks / "client" / "client_metrics.jsonl")) == 2
    talking.client("echo", Options(url=echo, **FAST), read=lambda _: "q")
    assert "~" not in capsys.readouterr().out


def test_partials_are_redrawn_in_one_line_on_a_terminal(echo: str) -> None:
    primary, secondary = os.openpty()
    words = ["client", echo, "--client=echo_pcm", "--rtf=20", f"--file={CLIP}", "--n=1", "--print-partials"]
    with os.fdopen(primary, "rb", buffering=0) as screen:
        run = subprocess.Popen(
            [sys.executable, "-m", "yapbench", *words], cwd=CHECKOUT, stdout=secondary, stdin=subprocess.DEVNULL
        )
        os.close(secondary)
        said = b""
        while b"files:" not in said:
            said += screen.read(4096)
        assert run.wait(10) == 0
    assert b"\r\x1b[K  ~ Take the second street on\r\x1b[K" in said


@pytest.mark.parametrize("verb", ["probe", "convo", "idle", "client", "bench"])
def test_ctrl_c_leaves_nothing_behind(echo: str, verb: str) -> None:
    words = [verb, echo, "--client=echo_pcm", "--file=paragraph-short-03-awb"]
    run = subprocess.Popen(
        [sys.executable, "-m", "yapbench", *words], cwd=CHECKOUT, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    wait_for_sessions(echo, 1)
    run.send_signal(signal.SIGINT)
    _, complaint = run.communicate(timeout=20)
    assert run.returncode == 130 and b"Traceback" not in complaint
    wait_for_sessions(echo, 0)
