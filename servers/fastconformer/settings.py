"""The knobs of the FastConformer server. Imports no model runtime."""

from __future__ import annotations

from typing import ClassVar, Final, Literal

from pydantic import SecretStr, field_validator, model_validator

from servers.common.hub import HUB_ID
from servers.common.settings import BaseServerSettings, IntList, knob

MODEL_ID: Final = "nvidia/stt_en_fastconformer_hybrid_large_streaming_multi"
WORDS: Final = ("auto", "tiny", "random")
FRAME_MS: Final = 80
"""One frame of the encoder: 8 mel frames of 10 ms."""

ATT_CTX_ALIASES: Final = {(70, 16): (70, 6), (70, 33): (70, 13)}
"""Older notes name 480 and 1040 ms so; no model has these contexts."""


class Settings(BaseServerSettings):
    """Field name = flag = notebook parameter."""

    server: ClassVar[str] = "fastconformer"
    environment: ClassVar[str] = "nemo"

    host: str = knob("0.0.0.0", env="ASR_HOST", help="Address to listen on.", min_length=1)
    port: int = knob(8000, env="ASR_PORT", help="TCP port; 0 takes a free one and logs it.", ge=0, le=65535)
    model: str = knob(
        MODEL_ID,
        env="ASR_MODEL",
        help="A hub id, a .nemo file, tiny (small, knows a few sentences, for tests), random (the real size, random "
        "weights). auto is the default.",
        min_length=1,
    )
    model_revision: str | None = knob(
        None,
        env="ASR_MODEL_REVISION",
        help="Commit, tag or branch of a model from the hub; default: main. Refused for others.",
        min_length=1,
    )
    device: str = knob(
        "cuda:0",
        env="ASR_DEVICE",
        help="cuda or cuda:N, which must be there, cpu, or auto (a GPU if there is one).",
        pattern=r"^(auto|cpu|cuda(:\d+)?)$",
    )
    dtype: Literal["float32", "bfloat16", "float16"] = knob(
        "float32", env="ASR_DTYPE", help="Precision of encoder and decoder; the mel spectrogram stays float32."
    )
    att_ctx: IntList = knob(
        (70, 1),
        env="ASR_ATT_CTX",
        help="Attention context in frames of 80 ms, left,right; right is the look-ahead. The model has a list of its "
        "own, others are refused. 70,16 and 70,33 mean 70,6 and 70,13.",
    )
    look_ahead_ms: int | None = knob(
        None,
        env="ASR_LOOK_AHEAD_MS",
        help="The look-ahead in ms (0, 80, 480 or 1040) instead of the right part of att_ctx.",
        ge=0,
        le=10_000,
    )
    decoder: Literal["rnnt", "ctc"] = knob("rnnt", env="ASR_DECODER", help="Which of the model's two decoders.")
    step_ms: float = knob(
        20.0,
        env="ASR_STEP_MS",
        help="How often the server looks which streams have a chunk ready; those go through the model together.",
        gt=0,
        le=10_000,
    )
    max_batch: int = knob(128, env="ASR_MAX_BATCH", help="Streams in one model step.", ge=1, le=4096)
    max_streams: int | None = knob(
        None,
        env="ASR_MAX_STREAMS",
        help="Seats: one stream more is refused. Default: max_batch.",
        ge=1,
        le=65_536,
    )
    cuda_graphs: bool = knob(
        False,
        env="ASR_CUDA_GRAPHS",
        help="Record the encoder's step as CUDA graphs at graph_batches. Unverified until run on CUDA.",
    )
    graph_batches: IntList = knob(
        (1, 8, 32, 128), env="ASR_GRAPH_BATCHES", help="Batch sizes of those graphs, ascending; a step takes the next."
    )
    threads: int = knob(1, env="ASR_THREADS", help="CPU threads of a model step on a CPU.", ge=1, le=256)
    idle_timeout_s: float = knob(
        150.0,
        env="ASR_IDLE_TIMEOUT_S",
        help="A stream from which nothing came for so long is closed with 4000; 0 = never.",
        ge=0,
        le=86_400,
    )
    flush_after_ms: float = knob(
        500.0,
        env="ASR_FLUSH_AFTER_MS",
        help="After so long without audio the look-ahead is filled with silence and the text completed; 0 = never.",
        ge=0,
        le=60_000,
    )
    max_buffer_s: float = knob(
        30.0,
        env="ASR_MAX_BUFFER_S",
        help="Audio of one stream that may wait for the model; beyond it no more is read from that client for a while.",
        gt=0,
        le=3600,
    )
    api_key: SecretStr | None = knob(
        None,
        env="ASR_API_KEY",
        secret=True,
        help="When set, clients must present it: Authorization: Bearer, X-API-Key or ?api_key=.",
    )

    @field_validator("model")
    @classmethod
    def _known_model(cls, value: str) -> str:
        if value == "auto":
            return MODEL_ID
        if value not in WORDS and not value.endswith(".nemo") and not HUB_ID.fullmatch(value):
            raise ValueError(f"must be {', '.join(WORDS)}, the path of a .nemo file, or a hub id such as {MODEL_ID}")
        return value

    @field_validator("att_ctx")
    @classmethod
    def _left_and_right(cls, value: tuple[int, ...]) -> tuple[int, ...]:
        if len(value) != 2 or min(value) < 0:
            raise ValueError("must be two whole numbers, left and right frames, as in 70,1")
        return value

    @field_validator("graph_batches")
    @classmethod
    def _ascending(cls, value: tuple[int, ...]) -> tuple[int, ...]:
        if not value or list(value) != sorted(set(value)) or value[0] < 1:
            raise ValueError("must be ascending whole numbers from 1, as in 1,8,32")
        return value

    @model_validator(mode="after")
    def _only_knobs_that_work(self) -> Settings:
        if self.look_ahead_ms is not None:
            if self.look_ahead_ms % FRAME_MS:
                raise ValueError(
                    f"--look-ahead-ms={self.look_ahead_ms} (ASR_LOOK_AHEAD_MS) is no multiple of {FRAME_MS}"
                )
            if "att_ctx" in self.model_fields_set and self.context[1] != self.look_ahead_ms // FRAME_MS:
                raise ValueError(
                    f"--look-ahead-ms={self.look_ahead_ms} (ASR_LOOK_AHEAD_MS) contradicts --att-ctx (ASR_ATT_CTX): "
                    "give one of them"
                )
        if self.model_revision is not None and self.hub_id is None:
            raise ValueError(f"--model-revision (ASR_MODEL_REVISION) would have no effect on --model={self.model}")
        return self

    @property
    def context(self) -> tuple[int, int]:
        """`att_ctx` without its aliases: what the flag or variable means to a model."""
        left, right = self.att_ctx
        return ATT_CTX_ALIASES.get((left, right), (left, right))

    @property
    def asked_look_ahead_ms(self) -> int:
        """The look-ahead in ms, however it was asked for."""
        return self.context[1] * FRAME_MS if self.look_ahead_ms is None else self.look_ahead_ms

    @property
    def seats(self) -> int:
        """Streams at once."""
        return self.max_streams or self.max_batch

    @property
    def largest_step(self) -> int:
        """Streams that can come together in one step."""
        return min(self.max_batch, self.seats)

    @property
    def hub_id(self) -> str | None:
        """The hub's name of the model, if that is where it comes from."""
        return self.model if HUB_ID.fullmatch(self.model) and not self.model.endswith(".nemo") else None
