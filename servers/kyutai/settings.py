"""The knobs of the Kyutai server. Imports no model runtime."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, ClassVar, Final, Literal

from pydantic import SecretStr, TypeAdapter, ValidationError, field_validator, model_validator

from servers.common import hub
from servers.common.settings import BaseServerSettings, IntList, knob
from servers.kyutai import config_toml

MODEL_ID: Final = "kyutai/stt-1b-en_fr"
WORDS: Final = ("auto", "tiny", "random")
SAMPLE_RATE_HZ: Final = 24_000
FRAME_SAMPLES: Final = 1920
"""80 ms: what one step of the model hears."""
FRAME_S: Final = FRAME_SAMPLES / SAMPLE_RATE_HZ


class Settings(BaseServerSettings):
    """Field name = flag = notebook parameter."""

    server: ClassVar[str] = "kyutai"
    environment: ClassVar[str] = "torch"
    required_secrets: ClassVar[tuple[str, ...]] = ("api_keys",)

    host: str = knob("0.0.0.0", env="YAP_ADDR", help="Address to listen on.", min_length=1)
    port: int = knob(8000, env="YAP_PORT", help="TCP port; 0 takes a free one and logs it.", ge=0, le=65535)
    config: Path | None = knob(
        None,
        env="KYUTAI_CONFIG",
        help="A moshi-server TOML. What it says counts where neither flag nor environment does; tables that would "
        "have no effect are named in the log.",
    )
    model: str = knob(
        MODEL_ID,
        env="KYUTAI_MODEL",
        help="A hub id, a folder with a checkpoint in transformers' layout, tiny (small, knows a few sentences, for "
        "tests), random (the 1b model's size, random weights). auto is the default.",
        min_length=1,
    )
    model_revision: str | None = knob(
        None,
        env="KYUTAI_MODEL_REVISION",
        help="Commit, tag or branch of a model from the hub; default: main. Refused for others.",
        min_length=1,
    )
    pause_heads: Literal["auto", "require", "off"] = knob(
        "auto",
        env="KYUTAI_PAUSE_HEADS",
        help="The semantic-VAD heads behind `prs`. auto: where the checkpoint or its candle twin in the hub's cache "
        "has them, else prs is empty; require: refuse to start without; off: never.",
    )
    device: str = knob(
        "cuda",
        env="KYUTAI_DEVICE",
        help="cuda or cuda:N, which must be there, cpu, or auto (a GPU if there is one).",
        pattern=r"^(auto|cpu|cuda(:\d+)?)$",
    )
    lm_dtype: Literal["bfloat16", "float16", "float32"] = knob(
        "bfloat16",
        env="KYUTAI_LM_DTYPE",
        help="Precision of the language model. On a CPU float16 is replaced by float32; /status says what is in force.",
    )
    codec_dtype: Literal["float32", "bfloat16", "float16"] = knob(
        "float32", env="KYUTAI_CODEC_DTYPE", help="Precision of Mimi, the audio codec. float32 as upstream."
    )
    seats: int = knob(
        64, env="KYUTAI_SEATS", help="Streams at once (batch_size of a TOML); one more is refused.", ge=1, le=4096
    )
    graph_batches: IntList = knob(
        (1, 8, 32, 64),
        env="KYUTAI_GRAPH_BATCHES",
        help="Batch sizes that are recorded as CUDA graphs, ascending, up to seats, which is added; a step takes the "
        "smallest one that holds the live streams.",
    )
    cuda_graphs: bool = knob(
        True,
        env="KYUTAI_CUDA_GRAPHS",
        help="Record the step as CUDA graphs on a GPU. Where recording fails the log says so and steps run without. "
        "Unverified until run on CUDA.",
    )
    step_ms: float = knob(
        10.0,
        env="KYUTAI_STEP_MS",
        help="How often the server looks which streams have a frame of 80 ms ready; those are stepped together.",
        gt=0,
        le=80,
    )
    delay_tokens: int | None = knob(
        None,
        env="KYUTAI_DELAY_TOKENS",
        help="Frames of 80 ms by which text trails audio (asr_delay_in_tokens of a TOML). Default: the checkpoint's.",
        ge=0,
        le=100,
    )
    codebooks: int | None = knob(
        None,
        env="KYUTAI_CODEBOOKS",
        help="Mimi codebooks that are computed and heard, from the first one on. Default: all of the checkpoint's.",
        ge=1,
        le=32,
    )
    temperature: float = knob(
        0.0, env="KYUTAI_TEMPERATURE", help="Of the text tokens; 0 takes the likeliest.", ge=0, le=2
    )
    timing: Literal["early", "moshi"] = knob(
        "early",
        env="KYUTAI_TIMING",
        help="early: a frame's step hears that frame; moshi: only the one before, as moshi-server, 80 ms later.",
    )
    refuse_late: bool = knob(
        True,
        env="KYUTAI_REFUSE_LATE",
        help="Refuse a new stream when the measured steps say that with it the model would fall behind real time.",
    )
    max_buffer_s: float = knob(
        120.0,
        env="KYUTAI_MAX_BUFFER_S",
        help="Audio of one stream that may wait for the model; beyond it no more is read from that client for a while.",
        gt=0,
        le=3600,
    )
    marker_patience_ms: float = knob(
        500.0,
        env="KYUTAI_MARKER_PATIENCE_MS",
        help="A client that has sent a Marker and then no audio for so long gets its answer by silence that the server "
        "puts in, which counts in no word's time. 0 = it waits for audio, as moshi-server.",
        ge=0,
        le=60_000,
    )
    ready_timeout_s: float = knob(
        30.0,
        env="KYUTAI_READY_TIMEOUT_S",
        help="A connection on / that says nothing for so long is closed with 4000; 0 = never.",
        ge=0,
        le=86_400,
    )
    idle_timeout_s: float = knob(
        120.0,
        env="KYUTAI_IDLE_TIMEOUT_S",
        help="A stream from which nothing came for so long is closed with 4000; 0 = never.",
        ge=0,
        le=86_400,
    )
    max_file_s: float = knob(
        7200.0, env="KYUTAI_MAX_FILE_S", help="Seconds of audio in a file sent by POST.", gt=0, le=360_000
    )
    max_upload_mb: float = knob(
        200.0, env="KYUTAI_MAX_UPLOAD_MB", help="Megabytes (10^6 bytes) of such a file.", gt=0, le=100_000
    )
    upload_stall_s: float = knob(
        30.0,
        env="KYUTAI_UPLOAD_STALL_S",
        help="An upload may take so many seconds, and one more for every 4000 bytes of it that have come; then 408.",
        gt=0,
        le=3600,
    )
    post_wait_s: float = knob(
        60.0, env="KYUTAI_POST_WAIT_S", help="Seconds that a POST waits for a free seat before 503.", ge=0, le=3600
    )
    threads: int = knob(1, env="KYUTAI_THREADS", help="CPU threads of a model step on a CPU.", ge=1, le=256)
    api_keys: SecretStr | None = knob(
        None,
        env="KYUTAI_API_KEY",
        secret=True,
        help="Required: the keys that clients may present (header kyutai-api-key, or ?auth_id=), comma separated. "
        "Replaces authorized_ids of a TOML; public_token counts only when it is given here.",
    )

    @model_validator(mode="before")
    @classmethod
    def _with_config(cls, values: dict[str, Any]) -> dict[str, Any]:
        """What the TOML says stands behind flags and environment."""
        if not (path := values.get("config")):
            return values
        given = config_toml.read(Path(path)).settings
        for name, value in given.items():
            cls._check_of_config(name, value, path=path)
        return {**given, **values}

    @classmethod
    def _check_of_config(cls, name: str, value: Any, *, path: object) -> None:
        """Raises ValueError that names the file and its key: later checks know flags and variables only."""
        field = cls.model_fields[name]
        declared: Any = field.annotation
        for limit in field.metadata:
            declared = Annotated[declared, limit]
        try:
            TypeAdapter(declared).validate_python(value)
        except ValidationError as error:
            key = config_toml.KEYS.get(name, name)
            reason = str(error.errors()[0]["msg"])
            raise ValueError(f"--config={path}: {key} = {value!r}: {reason[:1].lower()}{reason[1:]}") from None

    @field_validator("model")
    @classmethod
    def _known_model(cls, value: str) -> str:
        if value == "auto":
            return MODEL_ID
        if value not in WORDS and "/" not in value:
            raise ValueError(f"must be {', '.join(WORDS)}, a folder's path, or a hub id such as {MODEL_ID}")
        return value

    @field_validator("graph_batches")
    @classmethod
    def _ascending(cls, value: tuple[int, ...]) -> tuple[int, ...]:
        if not value or list(value) != sorted(set(value)) or value[0] < 1:
            raise ValueError("must be ascending whole numbers from 1, as in 1,8,32")
        return value

    @model_validator(mode="after")
    def _only_knobs_that_work(self) -> Settings:
        if self.model_revision is not None and self.hub_id is None:
            raise ValueError(f"--model-revision (KYUTAI_MODEL_REVISION) would have no effect on --model={self.model}")
        return self

    @property
    def hub_id(self) -> str | None:
        """The hub's name of the model, if that is where it comes from: not a folder that is there."""
        return hub.id_of(self.model)

    @property
    def keys(self) -> tuple[str, ...]:
        """Those that clients may present."""
        given = "" if self.api_keys is None else self.api_keys.get_secret_value()
        return tuple(key for part in given.split(",") if (key := part.strip()))
