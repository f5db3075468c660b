"""The engine's numbers on our /metrics, and the lines of its log in ours."""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry, generate_latest

from servers.voxtral.engine import progress, scrape
from servers.voxtral.engine.scrape import EngineNumbers
from tests.servers.voxtral.engine_folder import until

TEXT = """\
# HELP python_gc_objects_collected_total Objects collected during gc
# TYPE python_gc_objects_collected_total counter
python_gc_objects_collected_total{generation="0"} 7.0
# HELP vllm:num_preemptions_total Cumulative number of preemptions.
# TYPE vllm:num_preemptions_total counter
vllm:num_preemptions_total{engine="0",model_name="m"} 3.0
# HELP vllm:num_requests_waiting_by_reason Waiting.
# TYPE vllm:num_requests_waiting_by_reason gauge
vllm:num_requests_waiting_by_reason{engine="0",model_name="m",reason="capacity"} 2.0
# HELP vllm:inter_token_latency_seconds Histogram.
# TYPE vllm:inter_token_latency_seconds histogram
vllm:inter_token_latency_seconds_bucket{engine="0",le="0.1",model_name="m"} 5.0
vllm:inter_token_latency_seconds_bucket{engine="0",le="+Inf",model_name="m"} 6.0
vllm:inter_token_latency_seconds_count{engine="0",model_name="m"} 6.0
vllm:inter_token_latency_seconds_sum{engine="0",model_name="m"} 0.5
# HELP vllm:request_success_total Not shown.
# TYPE vllm:request_success_total counter
vllm:request_success_total{engine="0",model_name="m"} 9.0
"""


def shown(numbers: EngineNumbers) -> list[str]:
    registry = CollectorRegistry()
    numbers.register(registry)
    return [line for line in generate_latest(registry).decode().splitlines() if not line.startswith("#")]


def test_numbers_keep_their_names_labels_and_values() -> None:
    numbers = EngineNumbers()
    numbers.take(TEXT)
    wanted = [line for line in TEXT.splitlines() if line.startswith(("vllm:num", "vllm:inter"))]
    assert sorted(shown(numbers)) == sorted(wanted)


def test_numbers_of_an_engine_that_went_are_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    numbers = EngineNumbers()
    assert shown(numbers) == []
    numbers.take(TEXT)
    monkeypatch.setattr(scrape, "STALE_S", -1.0)
    assert shown(numbers) == []


def test_what_is_no_text_of_prometheus_is_no_number() -> None:
    with pytest.raises(ValueError, match="float"):
        EngineNumbers().take("vllm:num_requests_running{ 3")


@pytest.mark.parametrize(
    ("line", "level", "said"),
    [
        (
            "(EngineCore pid=7) INFO 11-21 23:00:00 [core.py:99] init engine took 4.2 seconds",
            "INFO",
            "init engine took",
        ),
        ("(Worker pid=8) ERROR 11-21 23:00:00 [worker.py:1] CUDA out of memory", "WARNING", "CUDA out of memory"),
        ("\x1b[0;36m(APIServer pid=1)\x1b[0;0m INFO 11-21 23:00:00 [x.py:1] small talk", "DEBUG", "small talk"),
    ],
)
def test_lines_that_tell_something(line: str, level: str, said: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    progress.tell(line)
    [record] = caplog.records
    assert record.levelname == level and record.getMessage().startswith(f"engine: {said}")


async def test_a_growing_log_is_told_line_by_line_and_cut(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    caplog.set_level(logging.DEBUG, "servers.voxtral.engine")
    monkeypatch.setattr(progress, "LOOK_S", 0.01)
    monkeypatch.setattr(progress, "MAX_LOG_BYTES", 20)
    path = tmp_path / "log"
    following = asyncio.create_task(progress.follow(path))
    try:
        with path.open("ab", buffering=0) as log:
            log.write(b"one\ntw")
            await until(lambda: caplog.messages == ["engine: one"])
            log.write(b"o\nthree is a long line\n")
            await until(lambda: caplog.messages[1:] == ["engine: two", "engine: three is a long line"])
            await until(lambda: path.stat().st_size == 0)
            log.write(b"four\n")
            await until(lambda: caplog.messages[3:] == ["engine: four"])
    finally:
        following.cancel()
