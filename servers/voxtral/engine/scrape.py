"""The engine's own numbers on the gateway's /metrics: fetched now and then, shown under their own names.

An overload shows as vllm:num_requests_waiting_by_reason{reason="capacity"}; a session that waits for audio counts as
"deferred" there, and is healthy.
"""

from __future__ import annotations

import asyncio
import logging
import re
import time
from collections.abc import Callable, Iterator
from typing import Final

from prometheus_client import CollectorRegistry, Metric
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.registry import Collector

from servers.voxtral.engine.place import Place

_log = logging.getLogger("servers.voxtral.engine")
EVERY_S: Final = 5.0
STALE_S: Final = 20.0
"""Older numbers are not shown: the engine may be gone."""

SHOWN: Final = (
    "vllm:num_requests_running",
    "vllm:num_requests_waiting",
    "vllm:num_requests_waiting_by_reason",
    "vllm:kv_cache_usage_perc",
    "vllm:num_preemptions",
    "vllm:admission_rejections",
    "vllm:prompt_tokens",
    "vllm:generation_tokens",
    "vllm:inter_token_latency_seconds",
    "vllm:time_to_first_token_seconds",
    "vllm:iteration_tokens",
    "vllm:websocket_connections_active",
    "vllm:websocket_connections",
    "vllm:websocket_connection_duration_seconds",
)
"""Families; a counter's ends in _total on the wire."""

_HEAD: Final = re.compile(r"^# (HELP|TYPE) ")


class EngineNumbers(Collector):
    """What the last scrape brought."""

    def __init__(self) -> None:
        self._families: list[Metric] = []
        self._taken_s = -STALE_S

    def register(self, registry: CollectorRegistry) -> None:
        """Show them among the registry's own from now on."""
        registry.register(self)

    def take(self, text: str) -> None:
        """The text of the engine's /metrics, fetched now. Raises ValueError for what is none."""
        # Most of its some hundred lines are of others: the parser, which is slow, does not see them.
        mine = "\n".join(line for line in text.splitlines() if _HEAD.sub("", line).startswith(SHOWN))
        families = text_string_to_metric_families(mine + "\n")
        self._families = [one for one in families if one.name.removesuffix("_total") in SHOWN]
        self._taken_s = time.monotonic()

    def collect(self) -> Iterator[Metric]:
        """Those of SHOWN, while they are fresh."""
        if time.monotonic() - self._taken_s <= STALE_S:
            yield from self._families

    async def follow(self, where: Callable[[], Place | None]) -> None:
        """Until cancelled: ask the engine that is in force."""
        while True:
            if (place := where()) is not None:
                try:
                    status, text = await place.get("/metrics", timeout_s=EVERY_S)
                    if status == 200:
                        self.take(text)
                except (OSError, ValueError) as error:
                    _log.debug("the engine's metrics: %s", error)
            await asyncio.sleep(EVERY_S)
