"""The knobs of `echo`: what it answers, how late, how it fails, and how much it can serve."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar, Literal, Self

from pydantic import SecretStr, model_validator

from servers.common.settings import BaseServerSettings, knob


def _rate(env: str, help: str) -> float:
    """A share of the requests, drawn by chance with the seed."""
    rate: float = knob(0.0, env=env, help=help, ge=0, le=1)
    return rate


class Settings(BaseServerSettings):
    """Every knob of `python -m servers.echo`."""

    server: ClassVar[str] = "echo"

    model: str = knob("none", help="echo has no model; the name is only shown.", min_length=1)
    auth_key: SecretStr | None = knob(
        None, env="ECHO_KEY", secret=True, help="When set, /raw and /ws ask for this key (several: commas)."
    )
    max_body_bytes: int = knob(
        4_194_304, env="ECHO_MAX_BODY_BYTES", help="Largest body of POST /raw.", ge=1, le=1_073_741_824
    )
    body_timeout_s: float = knob(
        10.0, env="ECHO_BODY_TIMEOUT_S", help="Seconds that a body may take to arrive.", gt=0, le=600
    )
    seed: int = knob(0, env="ECHO_SEED", help="Seed of the drawn delays and faults.", ge=0)

    probability: float = knob(0.9, env="ECHO_PROBABILITY", help="What /raw answers.", ge=0, le=1)
    threshold: float = knob(0.5, env="ECHO_THRESHOLD", help="Above it `prediction` is 1.", ge=0, le=1)
    script: Path | None = knob(
        None, env="ECHO_SCRIPT", help="JSON file with the partials and finals of /ws; see README."
    )

    delay_ms: float = knob(
        0.0, env="ECHO_DELAY_MS", help="Delay of every answer and final: the median.", ge=0, le=600_000
    )
    delay_sigma: float = knob(
        0.0, env="ECHO_DELAY_SIGMA", help="Spread of a log-normal delay; 0 = always the same.", ge=0, le=3
    )
    partial_delay_ms: float = knob(
        0.0, env="ECHO_PARTIAL_DELAY_MS", help="Delay of every partial (same spread).", ge=0, le=600_000
    )
    delay_log: Path | None = knob(
        None,
        env="ECHO_DELAY_LOG",
        help="Append each injected delay, fault and stall to this file (JSON lines).",
    )

    stall_at_s: float = knob(
        0.0,
        env="ECHO_STALL_AT_S",
        help="Freeze this long after the first request or session.",
        ge=0,
        le=86_400,
    )
    stall_for_s: float = knob(
        0.0, env="ECHO_STALL_FOR_S", help="How long the whole process freezes; 0 = never.", ge=0, le=600
    )
    error_rate: float = _rate("ECHO_ERROR_RATE", "Share answered with `error_status` (/ws: error, close 1011).")
    error_status: int = knob(500, env="ECHO_ERROR_STATUS", help="Status of scripted errors.", ge=400, le=599)
    garbage_rate: float = _rate("ECHO_GARBAGE_RATE", "Share answered with something that is not JSON.")
    drop_rate: float = _rate("ECHO_DROP_RATE", "Share whose connection is cut in mid-answer.")
    never_final_rate: float = _rate("ECHO_NEVER_FINAL_RATE", "Share that never gets its answer or final.")
    half_close_rate: float = _rate("ECHO_HALF_CLOSE_RATE", "Share of finals where our half of the connection closes.")
    wrong_rate: float = _rate("ECHO_WRONG_RATE", "Share of finals that are another session's, and say so.")
    crosstalk_rate: float = _rate("ECHO_CROSSTALK_RATE", "Share of finals with another session's text under our name.")
    flood: int = knob(0, env="ECHO_FLOOD", help="How often each partial is repeated.", ge=0, le=1_000_000)
    end_silence_ms: float = knob(
        0.0,
        env="ECHO_END_SILENCE_MS",
        help="So much silence (zeros) after sound brings the final, as a flush does; 0 = never.",
        ge=0,
        le=60_000,
    )
    seats: int = knob(0, env="ECHO_SEATS", help="Sessions at once; 0 = any number.", ge=0, le=1_000_000)
    refusal: Literal["http", "error", "close"] = knob(
        "http",
        env="ECHO_REFUSAL",
        help="A session too many: 503 at the upgrade, an error message after it, or a close code alone.",
    )
    refusal_code: int = knob(1013, env="ECHO_REFUSAL_CODE", help="Close code for `close`.", ge=1000, le=4999)

    service_ms: float = knob(
        0.0,
        env="ECHO_SERVICE_MS",
        help="Queue mode: time a worker needs for an answer; 0 = off.",
        ge=0,
        le=600_000,
    )
    workers: int = knob(1, env="ECHO_WORKERS", help="Queue mode: answers worked on at once.", ge=1, le=10_000)
    queue_limit: int = knob(
        256,
        env="ECHO_QUEUE_LIMIT",
        help="Queue mode: how many may wait; one more gets 503.",
        ge=0,
        le=1_000_000,
    )

    @model_validator(mode="after")
    def _rates_leave_room(self) -> Self:
        names = [name for name in type(self).model_fields if name.endswith("_rate")]
        if sum(getattr(self, name) for name in names) > 1:
            flags = ", ".join(f"--{name.replace('_', '-')}" for name in names)
            raise ValueError(f"{flags} sum to more than 1")
        return self
