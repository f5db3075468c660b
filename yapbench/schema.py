"""Raw rows and their version. What is stored here is stamped or copied, never derived.

A trial's folder holds `utterances.parquet` (one row per utterance), `machine.parquet` (one row per sample),
`trial.json` (last to be written: its presence means "finished"), `server.log` and the executed notebook.
All `*_ns` columns are CLOCK_MONOTONIC nanoseconds of the machine that ran the load worker; `trial.json` carries a
wall-clock anchor and the boot id.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final

import pyarrow as pa

SCHEMA_VERSION: Final = 2
"""Rises when a column changes. A reader and a golden file stay for each older version."""

METHOD_VERSION: Final = 1
"""Rises when the same raw rows would have been produced differently (pacing, warm-up, phases)."""


PROBE_NS: Final = 5_000_000
"""The load process's event loop is probed with a tick this often."""


class Phase(StrEnum):
    """When an utterance was sent, within one load level."""

    WARMUP = "warmup"  # fixed count, never in a percentile
    STEADY = "steady"
    DRAIN = "drain"  # begun after the level's count or time was reached, only to keep the load up


class Outcome(StrEnum):
    """How an utterance ended. Everything but OK is a failure and stays in every denominator."""

    OK = "ok"
    REJECTED = "rejected_at_capacity"  # 503, capacity close codes
    DEADLINE = "deadline"  # the server's own deadline, 504
    TIMEOUT = "timeout"  # ours: no answer in time
    REFUSED = "refused"  # no connection
    SERVER_DIED = "server_died"  # connection broken, process gone
    BAD_REQUEST = "bad_request"  # other 4xx
    SERVER_ERROR = "server_error"  # other 5xx
    PROTOCOL = "protocol_mismatch"  # an answer that the contract does not allow
    NO_FINAL = "no_final"  # a stream that ended without its final
    WRONG_RESULT = "wrong_result"  # an answer that belongs to somebody else
    CLIENT_LATE = "client_late"  # sent too late to count as the intended load


WORD: Final = pa.struct(
    [
        pa.field("word", pa.string(), nullable=False),
        pa.field("start_s", pa.float64(), nullable=False),  # of the audio
        pa.field("end_s", pa.float64(), nullable=False),
    ]
)

EVENT: Final = pa.struct(
    [
        pa.field("at_ns", pa.int64(), nullable=False),  # stamped on arrival, before parsing
        pa.field("kind", pa.string(), nullable=False),  # "answer"; for streams "ready" "partial" "final" ...
        pa.field("text", pa.string()),  # transcript, where there is one
        pa.field("data", pa.string()),  # the message itself, as JSON
    ]
)

UTTERANCES: Final = pa.schema(
    [
        pa.field("schema_version", pa.int32(), nullable=False),
        pa.field("level", pa.float64(), nullable=False),  # concurrency, or arrivals per second
        pa.field("repeat", pa.int32(), nullable=False),
        pa.field("phase", pa.string(), nullable=False),  # Phase
        pa.field("index", pa.int32(), nullable=False),  # order of intention within (level, repeat)
        pa.field("worker", pa.int32(), nullable=False),  # load process
        pa.field(
            "stream", pa.int32(), nullable=False
        ),  # closed loop: which of the `level` users; the bootstrap's block
        pa.field("utterance_id", pa.string(), nullable=False),
        pa.field("request_id", pa.string(), nullable=False),
        pa.field("audio_s", pa.float64(), nullable=False),
        pa.field("label", pa.string()),  # turns: "complete" | "cut"
        pa.field("reference", pa.string()),  # text spoken
        pa.field("language", pa.string()),
        pa.field("speech_end_s", pa.float64()),
        pa.field("words", pa.list_(WORD)),  # streams: what is spoken when
        pa.field("frame_ms", pa.float64()),  # streams: audio in each frame
        pa.field("pace", pa.float64()),  # streams: seconds of audio a second; 0: as fast as accepted, not real time
        pa.field("intended_ns", pa.int64(), nullable=False),  # when it was to be sent; streams: audio second 0
        pa.field("connect_start_ns", pa.int64()),  # null: a kept-alive connection was used
        pa.field("connected_ns", pa.int64()),
        pa.field("sent_ns", pa.int64()),  # first byte handed to the socket
        pa.field("sent_end_ns", pa.int64()),  # last byte handed to the socket
        pa.field("ended_ns", pa.int64(), nullable=False),  # last event, or when it was given up
        pa.field("lateness_ns", pa.list_(pa.int64()), nullable=False),  # per frame: handed over - due
        pa.field("events", pa.list_(EVENT), nullable=False),
        pa.field("outcome", pa.string(), nullable=False),  # Outcome
        pa.field("status", pa.int32()),  # HTTP status or close code
        pa.field("error", pa.string()),  # the server's or the socket's own words
    ]
)

ADDED: Final[dict[int, tuple[str, ...]]] = {2: ("words", "frame_ms", "pace")}
"""Columns of UTTERANCES by the version that brought them; rows of older versions are read with nulls there."""

MACHINE: Final = pa.schema(
    [
        pa.field("schema_version", pa.int32(), nullable=False),
        pa.field("at_ns", pa.int64(), nullable=False),
        pa.field("source", pa.string(), nullable=False),  # "server" "worker0" "machine" "gpu0"
        pa.field("metric", pa.string(), nullable=False),  # "cpu_s" "rss_bytes" "loop_lag_ns" "pressure_cpu_some" ...
        pa.field("value", pa.float64(), nullable=False),
    ]
)
