"""Minutes of load on the real Smart Turn server: nothing lost, nothing growing."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from yapbench import load, process, store
from yapbench.corpus import Corpus
from yapbench.load import LoadProfile, Plan
from yapbench.monitoring.monitor import Monitor
from yapbench.schema import UTTERANCES


@pytest.mark.soak
def test_two_minutes_of_load_lose_nothing_and_grow_nothing(tmp_path: Path) -> None:
    profile = LoadProfile(kind="closed", levels=(8.0,), duration_s=120.0, warmup=16)
    with process.launch("smart_turn", settings={}, log_path=tmp_path / "server.log") as server:
        plan = Plan(client="smart_turn", url=server.url, corpus=Corpus.load(kind="turn"), profile=profile)
        with Monitor(server) as monitor:
            load.run(plan, folder=tmp_path)
        status = server.status()
    rows = store.read_table(tmp_path / "utterances.parquet", UTTERANCES)
    assert set(rows["outcome"]) == {"ok"}
    assert (status["failed"], status["rejected"], status["expired"], status["queue_depth"]) == (0, 0, 0, 0)
    rss = [row["value"] for row in monitor.rows() if row["source"] == "server" and row["metric"] == "rss_bytes"]
    first, last = np.array_split(rss, 3)[0], np.array_split(rss, 3)[-1]
    assert np.median(last) < 1.1 * np.median(first)
