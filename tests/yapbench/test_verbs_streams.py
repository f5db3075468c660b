"""The client verbs on a streaming server: every flag has its effect, every file its content, every failure its code."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest

from tests.contract.conftest import ECHO_WIRES
from tests.yapbench.verb_looks import CLIP, FAST, TEXT, answering, echo, lines, looks, table
from yapbench import clients, process
from yapbench.errors import ExitCode, ServerNotReady, UsageError
from yapbench.streams.times import TIMES
from yapbench.verbs import probing, quick
from yapbench.verbs.older import OLDER
from yapbench.verbs.options import Options

__all__ = ["echo", "looks"]
pytestmark = pytest.mark.slow


def test_bench_counts_shows_and_writes(echo: str, looks: Path, capsys: pytest.CaptureFixture[str]) -> None:
    options = Options(url=echo, requests=4, concurrency="2", output=looks / "t.csv", **FAST)
    assert quick.bench("echo", options) == ExitCode.OK
    said = capsys.readouterr().out
    for words in ("EOS p50 ms", "EOS p95 ms", "EOS mean ms", "TTFP p50 ms", "WER normalised by", "no failures"):
        assert words in said
    rows = lines(looks / "bench" / "bench_metrics.jsonl")
    assert [row["phase"] for row in rows].count("steady") == 4
    assert all((row["outcome"], row["wer"], row["partials"]) == ("ok", 0.0, 2) for row in rows)
    assert all(row["flush_ms"] >= 19 and row["eos_ms"] > row["flush_ms"] for row in rows)
    [point] = table(looks / "t.csv")
    assert (float(point["level"]), float(point["wer"])) == (2, 0)
    assert float(point["eos_p50_ms"]) >= 19


def test_every_older_number_is_in_the_records(echo: str, looks: Path) -> None:
    assert quick.warmup("echo", Options(url=echo, **FAST)) == ExitCode.OK
    [row] = lines(looks / "warmup" / "warmup_metrics.jsonl")
    assert {f"{name}_ms" for name in TIMES} | set(OLDER) | {"rtf", "xrt", "partials", "wer", "norm"} <= set(row)
    assert all(row[older] == row[f"{ours}_ms"] for older, ours in OLDER.items())
    assert row["rtf"] * row["xrt"] == pytest.approx(1, abs=1e-3)
    assert row["missing"] == {"handshake_ms": "the server does not say ready"}


def test_a_list_of_concurrencies_is_a_ramp(echo: str, looks: Path) -> None:
    options = Options(url=echo, requests=2, concurrency="1,3", output=looks / "t.csv", **FAST)
    assert quick.bench("echo", options) == ExitCode.OK
    assert [float(point["level"]) for point in table(looks / "t.csv")] == [1, 3]


def test_throughput_runs_for_a_time(echo: str, looks: Path) -> None:
    assert quick.throughput("echo", Options(url=echo, duration=0.5, concurrency="3", **FAST)) == ExitCode.OK
    rows = lines(looks / "throughput" / "throughput_metrics.jsonl")
    assert len([row for row in rows if row["phase"] == "steady"]) >= 3


def test_remote_asks_the_host_of_the_file(echo: str, looks: Path) -> None:
    host, port = echo.removeprefix("http://").split(":")
    Path(".env").write_text(f"RUNPOD_TCP_HOST={host}\nRUNPOD_TCP_PORT={port}\nRUNPOD_API_KEY=rp\n")
    assert quick.remote("echo", Options(requests=2, concurrency="1", **FAST)) == ExitCode.OK
    assert len(lines(looks / "remote" / "remote_metrics.jsonl")) >= 2


@pytest.mark.parametrize("wire", ECHO_WIRES)
def test_the_client_flag_chooses_the_wire(
    echo: str, looks: Path, wire: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert probing.probe(echo, Options(client=wire, rtf=20, file=CLIP)) == ExitCode.OK
    said = capsys.readouterr().out
    path = clients.CODECS[wire].path
    assert f"-- dial  ws://{echo.removeprefix('http://')}{path}\n" in said
    assert said.count("<- partial") == 2 and said.count("<- final") == 1
    assert (said.count("<- ready") == 1) == clients.CODECS[wire].waits_for_ready
    for name in TIMES:
        assert f"\n{name} " in said
    [row] = lines(looks / "probe" / "probe_metrics.jsonl")
    assert row["outcome"] == "ok"


EFFECTS: dict[str, tuple[dict[str, Any], Any]] = {
    "rtf": ({"rtf": 0}, lambda row: row["xrt"] > 5 and row["late_max_ms"] is None),
    "seconds": ({"seconds": 2.0}, lambda row: row["audio_s"] == 2.0),
    "frame_ms": ({"frame_ms": 500}, lambda row: row["sent_s"] == 5.0),
    "eos": ({"eos": "silence"}, lambda row: row["flush_ms"] >= 0.9 * (20 + 400 / 20)),
    "full_text": ({"full_text": True}, lambda row: (row["text"], row["reference"]) == (TEXT, TEXT)),
    "file": ({"file": "paragraph-short-01-slt"}, lambda row: row["utterance_id"] == "paragraph-short-01-slt"),
}


@pytest.mark.parametrize("flag", EFFECTS)
def test_a_flag_has_its_effect(echo: str, looks: Path, flag: str) -> None:
    words, effect = EFFECTS[flag]
    assert quick.warmup("echo", Options(**{"url": echo, **FAST, **words})) == ExitCode.OK
    [row] = lines(looks / "warmup" / "warmup_metrics.jsonl")
    assert effect(row), row


def test_verbose_shows_every_frame(echo: str, capsys: pytest.CaptureFixture[str]) -> None:
    probing.probe("echo", Options(url=echo, verbose=True, **FAST))
    assert capsys.readouterr().out.count("-> frame,") == 59
    probing.probe("echo", Options(url=echo, **FAST))
    assert " 59 frames, 151040 bytes" in capsys.readouterr().out


def test_post_wait_and_timeout_are_limits(tmp_path: Path, looks: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with process.launch("echo", settings={"never_final_rate": 1}, log_path=tmp_path / "log") as server:
        for words in ({"post_wait": 0.3}, {"timeout": 0.3}):
            began_s = time.monotonic()
            code = probing.probe("echo", Options(**{"url": server.url, **FAST, **words}))
            assert code == ExitCode.SERVER_FAILED
            assert time.monotonic() - began_s < 15  # and not the 30 s that both have by themselves
    said = capsys.readouterr().out
    assert said.count("no_final: no final within 0.3 s") == 2
    assert "-> ping" in said and "<- pong" in said
    assert (looks / "probe" / "probe_errors.txt").read_text().startswith("no_final ")


def test_failures_are_told_by_type(tmp_path: Path, looks: Path, capsys: pytest.CaptureFixture[str]) -> None:
    settings = {"error_rate": 0.5, "garbage_rate": 0.5, "seed": 1}
    with process.launch("echo", settings=settings, log_path=tmp_path / "log") as server:
        code = quick.bench("echo", Options(url=server.url, requests=12, concurrency="4", **FAST))
    assert code == ExitCode.SERVER_FAILED
    said = capsys.readouterr().out
    assert "x server_error: scripted_error" in said and "x protocol_mismatch: cannot be read" in said
    assert len((looks / "bench" / "bench_errors.txt").read_text().splitlines()) >= 12


def test_a_key_goes_to_the_server_and_nowhere_else(
    tmp_path: Path, looks: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with process.launch("echo", settings={}, log_path=tmp_path / "log", secrets={"ECHO_KEY": "hidden-key"}) as server:
        assert probing.probe("echo", Options(url=server.url, **FAST)) == ExitCode.SERVER_FAILED
        assert "bad_request: unauthorized" in capsys.readouterr().out
        assert probing.probe("echo", Options(url=server.url, key="hidden-key", **FAST)) == ExitCode.OK
    assert "hidden-key" not in capsys.readouterr().out
    assert all(b"hidden-key" not in path.read_bytes() for path in looks.rglob("*") if path.is_file())


def test_without_a_gpu_there_is_a_dash(echo: str, looks: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert quick.warmup("echo", Options(url=echo, gpu_id="7", verbose=True, **FAST)) == ExitCode.OK  # none has so many
    assert "- GPU mean %, GPU p95 %, VRAM mean MiB, VRAM peak MiB: no GPU was watched" in capsys.readouterr().out


def test_probe_shows_a_request_and_its_answer(echo: str, looks: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert probing.probe("echo", Options(url=echo, file="mid.wav", key="hidden-key")) == ExitCode.OK
    said = capsys.readouterr().out
    for words in ("-- connected", "-> request  POST http", "Authorization: ***", "-> body  ", "<- status  200 OK"):
        assert words in said
    assert '<- answer  {"prediction":1' in said and "hidden-key" not in said
    [row] = lines(looks / "probe" / "probe_metrics.jsonl")
    assert (row["outcome"], row["status"], json.loads(row["answer"])["prediction"]) == ("ok", 200, 1)
    assert 0 < row["connected_at_ms"] <= row["request_at_ms"] <= row["status_at_ms"]


def test_probe_of_a_request_that_fails(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with process.launch("echo", settings={"error_rate": 1}, log_path=tmp_path / "log") as server:
        assert probing.probe("echo", Options(url=server.url, file="mid.wav")) == ExitCode.SERVER_FAILED
    assert "<- status  500" in capsys.readouterr().out


def test_secure_is_tls(echo: str, capsys: pytest.CaptureFixture[str]) -> None:
    address = echo.removeprefix("http://")
    assert probing.probe(address, Options(secure=True, **FAST)) == ExitCode.SERVER_FAILED  # it speaks no TLS
    said = capsys.readouterr().out
    assert f"-- dial  wss://{address}/ws" in said and "refused: [SSL" in said


def test_a_strangers_answer_moves_no_cursor_and_can_be_stored(looks: Path, capsys: pytest.CaptureFixture[str]) -> None:
    answer = rb"""{"prediction": NaN, "error": {"code": "x", "message": "\ud800 \u001b[2J"}}"""
    with answering(500, answer + b"\x1b[2J") as url:
        assert probing.probe(url, Options(client="smart_turn", file="mid.wav")) == ExitCode.SERVER_FAILED
    with answering(500, answer) as url:
        assert probing.probe(url, Options(client="smart_turn", file="mid.wav")) == ExitCode.SERVER_FAILED
    assert "\x1b" not in capsys.readouterr().out


MISTAKES: list[tuple[dict[str, Any], str]] = [
    ({"concurrency": "2"}, "--concurrency is for bench"),
    ({"duration": 2.0}, "--duration is for bench"),
    ({"requests": 2}, "--n=2: probe makes one session"),
    ({"seconds": 0}, "--seconds=0: expected a number above 0, at most 3600"),
    ({"rtf": -1}, "--rtf=-1: expected"),
    ({"file": "no-such.wav"}, "unknown audio file or sample 'no-such.wav'"),
    ({"client": "echo_pmc"}, "did you mean 'echo_pcm'"),
    ({"frame_ms": 33.3333}, "frame_ms=33.3333 is no whole number of samples"),
]


@pytest.mark.parametrize(("words", "mistake"), MISTAKES, ids=[mistake for _, mistake in MISTAKES])
def test_a_mistake_names_field_value_and_limit(echo: str, words: dict[str, Any], mistake: str) -> None:
    with pytest.raises(UsageError, match=mistake):
        probing.probe("echo", Options(**{"url": echo, **FAST, **words}))


def test_nobody_there_is_a_failed_server(capsys: pytest.CaptureFixture[str]) -> None:
    assert probing.probe("127.0.0.1:9", Options(**FAST)) == ExitCode.SERVER_FAILED
    assert "refused: " in capsys.readouterr().out
    with pytest.raises(ServerNotReady, match="does not answer"):
        quick.bench("127.0.0.1:9", Options(**FAST))
