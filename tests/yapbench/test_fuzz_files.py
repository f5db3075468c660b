"""Files that others wrote (runs, traces, corpora, sweeps): read, or refused by an error that names the file."""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path

from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from yapbench import store, traces
from yapbench.corpus import Corpus
from yapbench.errors import CorruptFile, UsageError, YapbenchError
from yapbench.schema import UTTERANCES
from yapbench.sweep import Sweep

fuzz = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
GOLDEN = Path(__file__).resolve().parents[1] / "golden"
DEEP = 100_000
WORDS = [
    "event",
    "opened",
    "closed",
    "clock",
    "CLOCK_MONOTONIC",
    "boot_id",
    "schema",
    "at_s",
    "request_id",
    "dropped",
    "received",
    "step_start",
    "step_end",
    "file",
    "text",
    "words",
    "word",
    "start_s",
    "end_s",
    "id",
    "label",
    "duration_s",
    "sample_rate_hz",
    "speech_end_s",
    "lang",
    "schema_version",
    "trial_id",
    "status",
    "done",
    "failed",
]
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | st.sampled_from(WORDS),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(WORDS), inner, max_size=8),
    max_leaves=12,
)
ROWS = st.dictionaries(st.sampled_from(WORDS), VALUES, max_size=8)
OPENED = {"event": "opened", "schema": traces.SCHEMA, "clock": "CLOCK_MONOTONIC", "boot_id": "b"}


@fuzz
@given(rows=st.lists(ROWS.map(lambda row: json.dumps(row).encode()) | st.binary(max_size=30), max_size=5))
@example(rows=[b"[" * DEEP, b'{"event": "closed", "dropped": "x"}', b'{"event": "closed", "dropped": [1]}'])
@example(rows=[b'{"at_s": NaN, "request_id": "r"}', b'{"at_s": Infinity, "request_id": "r"}'])
@example(rows=[b'{"at_s": 1' + b"0" * 400 + b', "request_id": "r"}'])
def test_any_trace_is_read(rows: list[bytes]) -> None:
    found = traces.parse([json.dumps(OPENED).encode(), *rows], boot_id="b")
    assert found.problem or found.damaged <= len(rows)


@fuzz
@given(raw=st.binary(max_size=60) | VALUES.map(lambda value: json.dumps(value).encode() + b"\n"))
@example(raw=b"[" * DEEP + b"\n")
def test_any_trial_json_is_read_or_named(raw: bytes, tmp_path: Path) -> None:
    (tmp_path / store.TRIAL).write_bytes(raw)
    with suppress(CorruptFile):
        store.read_info(tmp_path)


def golden_tables() -> list[Path]:
    return sorted(GOLDEN.rglob("utterances.parquet"))


def test_there_is_a_golden_table() -> None:
    assert golden_tables()


@settings(fuzz, max_examples=40)
@given(at=st.integers(0, 2**20), put=st.binary(min_size=1, max_size=8), cut=st.integers(0, 40))
def test_a_damaged_table_is_read_or_named(at: int, put: bytes, cut: int, tmp_path: Path) -> None:
    whole = golden_tables()[0].read_bytes()
    at %= len(whole)
    path = tmp_path / "utterances.parquet"
    path.write_bytes(whole[:at] + put + whole[at + cut :])
    with suppress(CorruptFile):
        store.read_table(path, UTTERANCES)


@fuzz
@given(entries=st.lists(ROWS.map(lambda row: json.dumps(row).encode()) | st.binary(max_size=20), max_size=3))
@example(entries=[b"[" * DEEP])
@example(entries=[b'{"file": "../../../../etc/passwd", "text": "a"}'])
@example(entries=[b'{"file": "a\\u0000b", "text": "a"}'])
@example(entries=[b'{"file": "/dev/zero", "text": "\\ud800"}'])
def test_any_manifest_is_read_or_named(entries: list[bytes], tmp_path: Path) -> None:
    (tmp_path / "manifest.jsonl").write_bytes(b"\n".join(entries))
    with suppress(YapbenchError):
        Corpus.load(tmp_path)


LEAVES = st.sampled_from(
    ["10_smart_turn", "05_echo", "1", "-1", ".nan", ".inf", "2001-01-01", "~", "[1, 2]", "{}", "!!python/name:a"]
) | st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=8)
KEYS = st.sampled_from(["notebook", "server", "parameters", "grids", "exclude", "description", "name", "<<", "*a", "a"])
SWEEPS = st.lists(st.builds("{}: {}".format, KEYS, LEAVES), max_size=5).map("\n".join) | st.text(max_size=40)


@fuzz
@given(text=SWEEPS)
@example(text="notebook: 10_smart_turn\nparameters: !!python/object/apply:os.system ['false']")
@example(text="a: &a [x]\nb: &b [*a, *a]\nc: [*b, *b]")
def test_any_sweep_is_read_or_named(text: str, tmp_path: Path) -> None:
    path = tmp_path / "x.yaml"
    path.write_text(text, encoding="utf-8", errors="replace")
    with suppress(UsageError):
        Sweep.load(path)
