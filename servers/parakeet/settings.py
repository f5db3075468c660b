"""The knobs of the Parakeet server. Imports no model runtime."""

from __future__ import annotations

from typing import ClassVar, Final, Literal

from pydantic import SecretStr, field_validator, model_validator

from servers.common.audio import SAMPLE_RATE_HZ
from servers.common.hub import HUB_ID
from servers.common.settings import BaseServerSettings, knob

MODEL_ID: Final = "nvidia/parakeet-tdt-0.6b-v2"
WORDS: Final = ("auto", "tiny", "random")
MAX_SPEECH_MS: Final = 20_000
"""A chunk of live speech, where neither max_speech_ms nor a smaller max_audio_s says otherwise."""


class Settings(BaseServerSettings):
    """Field name = flag = notebook parameter."""

    server: ClassVar[str] = "parakeet"
    environment: ClassVar[str] = "nemo"

    model: str = knob(
        MODEL_ID,
        env="MODEL_ID",
        help="A hub id, a .nemo file, tiny (small, knows a few sentences, for tests), random (the real size, random "
        "weights). auto is the default.",
        min_length=1,
    )
    model_revision: str | None = knob(
        None,
        env="MODEL_REVISION",
        help="Commit, tag or branch of a model from the hub; default: main. Refused for others.",
        min_length=1,
    )
    device: str = knob(
        "cuda",
        env="DEVICE",
        help="cuda or cuda:N, which must be there, cpu, or auto (a GPU if there is one).",
        pattern=r"^(auto|cpu|cuda(:\d+)?)$",
    )
    precision: Literal["fp16", "fp32", "bf16"] = knob(
        "fp16",
        env="MODEL_PRECISION",
        help="Of encoder and decoder; the mel spectrogram stays fp32. On a CPU fp16 is replaced by fp32; /status says "
        "what is in force.",
    )
    batch_size: int = knob(16, env="BATCH_SIZE", help="Chunks of audio in one model call.", ge=1, le=1024)
    window_ms: float = knob(
        100.0,
        env="BATCH_WINDOW_MS",
        help="How long a batch stays open for more chunks at most; 0 = nobody waits while the model is free.",
        ge=0,
        le=10_000,
    )
    idle_gap_ms: float = knob(
        10.0,
        env="BATCH_IDLE_GAP_MS",
        help="The batch also closes after so long without an arrival; 0 = it always stays open for the whole window.",
        ge=0,
        le=10_000,
    )
    queue_limit: int = knob(
        256, env="QUEUE_LIMIT", help="Chunks that may wait for a batch; one more is refused.", ge=1, le=65_536
    )
    processing_timeout_s: float = knob(
        60.0, env="PROCESSING_TIMEOUT", help="Seconds a chunk may take, waiting included.", gt=0, le=3600
    )
    target_sample_rate: int = knob(
        SAMPLE_RATE_HZ,
        env="TARGET_SAMPLE_RATE",
        help="Hz that the model hears; whatever comes in is resampled to it.",
        ge=SAMPLE_RATE_HZ,
        le=SAMPLE_RATE_HZ,
    )
    max_audio_s: float = knob(
        30.0,
        env="MAX_AUDIO_DURATION",
        help="Seconds of audio given to the model at once; longer files are cut at pauses.",
        ge=2,
        le=600,
    )
    max_upload_mb: float = knob(
        200.0, env="MAX_UPLOAD_MB", help="Megabytes (10^6 bytes) of an upload.", gt=0, le=100_000
    )
    max_file_s: float = knob(7200.0, env="MAX_FILE_DURATION", help="Seconds of audio in an upload.", gt=0, le=360_000)
    upload_timeout_s: float = knob(
        300.0, env="UPLOAD_TIMEOUT_S", help="Seconds that an upload may take to arrive.", gt=0, le=86_400
    )
    max_requests: int = knob(
        64, env="MAX_REQUESTS", help="Uploads being received or transcribed; one more is refused.", ge=1, le=65_536
    )
    max_sessions: int = knob(128, env="MAX_SESSIONS", help="WebSocket sessions; one more is refused.", ge=1, le=65_536)
    vad_threshold: float = knob(
        0.5, env="VAD_THRESHOLD", help="Speech begins where the VAD's probability reaches it.", gt=0, lt=1
    )
    silence_ms: float = knob(
        500.0, env="VAD_SILENCE_MS", help="A chunk of live speech is closed after so much silence.", ge=64, le=5000
    )
    min_speech_ms: float = knob(
        96.0,
        env="VAD_MIN_SPEECH_MS",
        help="A sound shorter than this, with silence around it, is no speech and makes no chunk.",
        ge=0,
        le=2000,
    )
    pad_ms: float = knob(
        200.0, env="VAD_PAD_MS", help="Audio before and after the speech that belongs to its chunk.", ge=0, le=1000
    )
    max_speech_ms: float | None = knob(
        None,
        env="MAX_SPEECH_MS",
        help="A chunk of live speech is closed when it is so long, at its latest pause where there is one. Default: "
        f"{MAX_SPEECH_MS}, or max_audio_s where that is less.",
        ge=1000,
        le=600_000,
    )
    partials_ms: float = knob(
        0.0,
        env="PARTIALS_MS",
        help="While a chunk is open, its text so far is sent every so many ms; 0 = never. Each costs a model call.",
        ge=0,
        le=60_000,
    )
    idle_timeout_s: float = knob(
        150.0,
        env="IDLE_TIMEOUT_S",
        help="A session from which nothing came for so long is closed with 4000; 0 = never.",
        ge=0,
        le=86_400,
    )
    threads: int | None = knob(
        None,
        env="THREADS",
        help="CPU threads of a model call on a CPU; default: the CPUs this process may use.",
        ge=1,
        le=256,
    )
    api_key: SecretStr | None = knob(
        None,
        env="PARAKEET_API_KEY",
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

    @model_validator(mode="after")
    def _only_knobs_that_work(self) -> Settings:
        if self.model_revision is not None and self.hub_id is None:
            raise ValueError(f"--model-revision (MODEL_REVISION) would have no effect on --model={self.model}")
        if self.max_speech_ms is not None and self.max_speech_ms > self.max_audio_s * 1000:
            raise ValueError(
                f"--max-speech-ms={self.max_speech_ms:g} (MAX_SPEECH_MS) is more than --max-audio-s="
                f"{self.max_audio_s:g} (MAX_AUDIO_DURATION) allows"
            )
        return self

    @property
    def hub_id(self) -> str | None:
        """The hub's name of the model, if that is where it comes from."""
        return self.model if HUB_ID.fullmatch(self.model) and not self.model.endswith(".nemo") else None

    @property
    def longest_speech_ms(self) -> float:
        """A chunk of live speech at most."""
        return self.max_speech_ms or min(MAX_SPEECH_MS, self.max_audio_s * 1000)

    @property
    def max_upload_bytes(self) -> int:
        """`max_upload_mb` as a number of bytes."""
        return round(self.max_upload_mb * 1e6)
