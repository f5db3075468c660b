"""What stands beside a calibration's load: CPUs, targets, loops, what is said and what is shown."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from tests.yapbench.test_certificate import made_up
from yapbench import certificate, clients
from yapbench.calibrate import command, places, plan, session, speech
from yapbench.calibrate.bare import TICK_NS, Bare
from yapbench.calibrate.flags import Flags
from yapbench.calibrate.plan import SECONDS, CalibrationPlan
from yapbench.calibrate.show import number, show
from yapbench.calibrate.sink import sink
from yapbench.calibrate.watch import BUSY, Watch, busy_s
from yapbench.corpus import Utterance
from yapbench.errors import ExitCode, UsageError
from yapbench.pacing.schedule import order
from yapbench.pacing.streaming import StreamOptions
from yapbench.pacing.timer import Pacer

CPUS = sorted(os.sched_getaffinity(0))


@pytest.mark.parametrize(
    ("cpus", "cores", "load", "target", "note"),
    [
        ([3], {}, 3, (3,), "one CPU only, 3"),
        ([0, 1], {}, 1, (0,), ""),
        ([0, 1], {0: [0, 1], 1: [0, 1]}, 0, (1,), "one core only"),
        ([2, 3, 6, 7], {2: [2, 6], 6: [2, 6], 3: [3, 7], 7: [3, 7]}, 3, (2, 6), ""),
        ([0, 1, 2, 3, 4], {}, 4, (0, 1, 2, 3), ""),
    ],
)
def test_load_and_target_share_no_core_where_there_are_two(
    cpus: list[int], cores: dict[int, list[int]], load: int, target: tuple[int, ...], note: str
) -> None:
    found = places.places(cpus, siblings=lambda cpu: cores.get(cpu, [cpu]))
    assert (found.load, found.target) == (load, target)
    assert found.note.startswith(note) and bool(found.note) == bool(note)
    assert found.apart == (len(cpus) > 1)


def test_whoever_watches_gets_its_cpus_back() -> None:
    with places.kept_to(CPUS[:1]):
        assert os.sched_getaffinity(0) == set(CPUS[:1])
    assert sorted(os.sched_getaffinity(0)) == CPUS


@given(streams=st.integers(1, 40), seed=st.integers(0, 3))
def test_each_stream_speaks_once_at_length(streams: int, seed: int) -> None:
    long, short = Utterance(id="long", duration_s=9), Utterance(id="short", duration_s=1)
    said = speech.arranged(streams, long, short, seed=seed)
    chosen = [said[position] for position in order(len(said), seed=seed, repeat=0)]
    assert chosen == [long] * streams + [short] * streams


def test_silence_lies_in_files(tmp_path: Path) -> None:
    corpus = speech.lengths([0.5, 1.25], tmp_path)
    assert [len(one.audio(16_000)) for one in corpus] == [8_000, 20_000]
    assert sum(one.duration_s for one in speech.once(3, 2.0, tmp_path, rest_s=0.5)) == 7.5


def test_processes_of_one_cpu_are_added_up() -> None:
    hz = os.sysconf("SC_CLK_TCK")
    stat = f"cpu  9 9 9 9\ncpu1 {2 * hz} {hz} {3 * hz} {50 * hz} 7 7 7 7 0 0\ncpu11 1 1 1 1\nintr 5\n"
    assert busy_s(1, stat) == 6
    with pytest.raises(ValueError, match="cpu2"):
        busy_s(2, stat)


def test_a_busy_process_shows_on_its_cpu() -> None:
    with places.kept_to(CPUS[-1:]), Watch(CPUS[-1]) as watch:
        ends_s = time.process_time() + 0.5
        while time.process_time() < ends_s:
            pass
    rows = watch.rows()
    assert {(row["source"], row["metric"]) for row in rows} == {("load_cpu", BUSY)}
    assert rows[-1]["value"] - rows[0]["value"] > 0.3


def test_the_bare_loop_leaves_no_tick_out_and_is_never_early() -> None:
    with Bare(CPUS[-1]) as bare:
        time.sleep(0.6)
    ticks = bare.ticks()
    assert len(ticks.due_ns) > 20
    assert {after - before for before, after in zip(ticks.due_ns[:-1], ticks.due_ns[1:], strict=True)} == {TICK_NS}
    assert min(ticks.late_ns) >= 0


async def test_the_sink_tells_how_much_it_heard() -> None:
    pacer, options = Pacer(), StreamOptions(frame_ms=20, pace=10)
    with sink(CPUS) as url:
        client = clients.build("echo_pcm", url, timeout_s=10, environment={}, stream=options, pacer=pacer)
        one = Utterance(id="u", duration_s=1.0)
        payload = client.prepare(one, speech.silence(1.0))
        exchange = await client.exchange(payload, "r-1", intended_ns=time.monotonic_ns())
    pacer.close()
    assert exchange.outcome == "ok"
    assert [event.kind for event in exchange.events] == ["partial"] * 5 + ["final"]
    assert json.loads(exchange.events[-1].data or "")["audio_s"] == 1.0


def test_the_sink_ends_with_its_owner() -> None:
    line = f"from yapbench.calibrate.sink import sink; w = sink({CPUS}); print(w.__enter__(), flush=True); input()"
    with subprocess.Popen([sys.executable, "-c", line], stdin=-1, stdout=-1, text=True) as owner:
        assert owner.stdout is not None
        url = owner.stdout.readline().strip()
        owner.kill()
    deadline_s = time.monotonic() + 10
    while not _refuses(int(url.rsplit(":", 1)[1])):
        assert time.monotonic() < deadline_s
        time.sleep(0.05)


def _refuses(port: int) -> bool:
    from yapbench import probe

    return probe.port_is_free(port)


def test_plans_are_chosen_by_flags() -> None:
    assert command.choose(Flags()) == plan.whole(SECONDS)
    assert command.choose(Flags(full=True)).seconds == 60
    assert command.choose(Flags(seconds=5, quick=True)) == plan.quick(5)
    with pytest.raises(UsageError, match="one of the two"):
        command.choose(Flags(full=True, quick=True))
    with pytest.raises(UsageError, match=r"--seconds=0\.5"):
        command.choose(Flags(seconds=0.5))


def test_a_quick_plan_runs_only_cases_of_the_whole_one() -> None:
    whole, quick = plan.whole(), plan.quick()
    assert {case.words for case in quick.streams} < {case.words for case in whole.streams}
    assert set(quick.delays) < set(whole.delays)
    assert {case.frame_ms for case in quick.searches} == {case.frame_ms for case in whole.searches} == {20, 80}


@pytest.mark.parametrize(
    ("value", "words"), [(None, "-"), (0.0, "0"), (128.0, "128"), (0.12345, "0.123"), (2.345, "2.35"), (234.6, "235")]
)
def test_numbers_are_short(value: float | None, words: str) -> None:
    assert number(value) == words


def test_the_certificate_is_shown_with_its_reasons() -> None:
    bar = {"bar": "H1", "what": "lateness [p99]", "unit": "ms", "value": 0.7, "floor": 0.5, "goal": None}
    bar |= {"verdict": "missed", "n": 9, "note": ""}
    found = made_up(bars=[bar, bar | {"value": None, "verdict": "not measured"}], reasons=["it is [so]"])
    console = Console(file=io.StringIO(), record=True, width=160)
    show(found, console)
    text = console.export_text()
    for words in ("lateness [p99]", "0.700 ms", "missed", "not measured", "VALID", "it is [so]"):
        assert words in text
    assert "60 streams of 20 ms frames" in text and "180 streams of 80 ms" in text


@pytest.mark.parametrize(("word", "code"), [("VALID", 0), ("DISTURBED", 0), ("INVALID", 5)])
def test_the_exit_code_says_whether_it_may_be_believed(
    word: str, code: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(certificate.FOLDER_VARIABLE, str(tmp_path / "kept"))
    found = made_up(verdict=word)
    monkeypatch.setattr(session, "run", lambda chosen, say: found)
    output = tmp_path / "out.json"
    assert command.run(Flags(json=True, output=output), console=Console()) == ExitCode(code)
    assert json.loads(capsys.readouterr().out) == json.loads(output.read_text()) == certificate.current() == found


def test_a_certificate_that_stands_is_not_made_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(certificate.FOLDER_VARIABLE, str(tmp_path))
    made: list[CalibrationPlan] = []

    def run(chosen: CalibrationPlan, say: object) -> dict[str, Any]:
        made.append(chosen)
        return made_up(quick=True)

    monkeypatch.setattr(session, "run", run)
    console = Console(file=io.StringIO(), record=True, width=300)
    for _ in range(2):
        assert command.ensure(console)["quick"]
    assert made == [plan.quick()]
    assert console.export_text().count("never calibrated") == 1
