"""The knobs of the Voxtral gateway and of the engine behind it. Imports no model runtime."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import ClassVar, Final, Literal

from pydantic import SecretStr, field_validator, model_validator

from servers.common import hub
from servers.common.settings import BaseServerSettings, knob

MODEL_ID: Final = "mistralai/Voxtral-Mini-4B-Realtime-2602"
WORDS: Final = ("auto", "tiny", "random")
SAMPLE_RATE_HZ: Final = 16_000
STEP_S: Final = 0.08
"""What one step of the model hears, and one delta stands for."""
STEP_BYTES: Final = 2560
"""The same as PCM16."""
LEFT_PAD_STEPS: Final = 33
"""Tokens before the first step: one BOS, 32 of silence; the delay's own come on top (mistral_common's tekken.json)."""
RIGHT_PAD_STEPS: Final = 11
"""Steps that the engine puts after the last audio, beside the delay's own (vLLM's realtime serving)."""
TRAINED_DELAYS_MS: Final = (*range(80, 1201, 80), 2400)
"""The model card's: others are answered with a warning."""


class Settings(BaseServerSettings):
    """Field name = flag = notebook parameter."""

    server: ClassVar[str] = "voxtral"
    required_secrets: ClassVar[tuple[str, ...]] = ("api_key",)

    host: str = knob("0.0.0.0", env="SERVER_BIND_HOST", help="Address to listen on.", min_length=1)
    port: int = knob(8000, env="SERVER_PORT", help="TCP port; 0 takes a free one and logs it.", ge=0, le=65535)
    model: str = knob(
        MODEL_ID,
        env="VOXTRAL_MODEL_ID",
        help="A hub id, a folder with a checkpoint in Mistral's layout, tiny (small, for tests), random (the real "
        "size, random weights). auto is the default.",
        min_length=1,
    )
    model_revision: str | None = knob(
        None,
        env="VOXTRAL_MODEL_REVISION",
        help="Commit, tag or branch of a model from the hub; default: main. Refused for others.",
        min_length=1,
    )
    served_model_name: str | None = knob(
        None,
        env="VOXTRAL_SERVED_MODEL_NAME",
        help="The only model that a client's session.update may name. Default: what --model says.",
        min_length=1,
    )
    model_dir: Path = knob(
        Path("models/voxtral"),
        env="VOXTRAL_MODEL_DIR",
        help="Private copies of the model's folder are made here: links, and a tekken.json with the delay.",
    )
    transcription_delay_ms: int = knob(
        400,
        env="VOXTRAL_TRANSCRIPTION_DELAY_MS",
        help="By how much text trails audio: a multiple of 80 from 80 to 2400; trained are 80..1200 and 2400. One "
        "value for the engine, a change is a restart of it.",
        ge=80,
        le=2400,
        multiple_of=80,
    )
    max_connections: int = knob(
        100,
        env="MAX_CONCURRENT_CONNECTIONS",
        help="Sessions at once; one more is refused. Must leave the engine a seat free: below --vllm-max-num-seqs.",
        ge=1,
        le=100_000,
    )
    idle_timeout_s: float = knob(
        150.0,
        env="WS_IDLE_TIMEOUT_S",
        help="A session without a message for so long, and with nothing owed to it, is closed with 4000; an utterance "
        "that is fed nothing counts as idle. 0 = never.",
        ge=0,
        le=86_400,
    )
    watchdog_tick_s: float = knob(
        5.0, env="WS_WATCHDOG_TICK_S", help="How often idle and overlong sessions are looked for.", gt=0, le=600
    )
    max_connection_duration_s: float = knob(
        5400.0,
        env="WS_MAX_CONNECTION_DURATION_S",
        help="A session that has lasted so long is closed with 4003. 0 = never.",
        ge=0,
        le=604_800,
    )
    inbound_queue_max: int = knob(
        256,
        env="WS_INBOUND_QUEUE_MAX",
        help="Messages with audio of one session that may wait; one more is refused (inbound_queue_full).",
        ge=1,
        le=1_000_000,
    )
    inbound_audio_max_s: float = knob(
        60.0,
        env="WS_INBOUND_AUDIO_MAX_S",
        help="Seconds of audio of one session that may wait; beyond it the oldest is dropped, and the client is told "
        "(status overload_drop).",
        gt=0,
        le=3600,
    )
    max_append_s: float = knob(
        30.0, env="WS_MAX_APPEND_S", help="Seconds of audio in one message; more is refused.", gt=0, le=300
    )
    message_window_s: float = knob(
        60.0, env="WS_MESSAGE_WINDOW_SECONDS", help="The window of --max-messages-per-window.", gt=0, le=3600
    )
    max_messages_per_window: int = knob(
        5000,
        env="WS_MAX_MESSAGES_PER_WINDOW",
        help="Messages of one session; more are refused (message_rate_limited). 0 = any number.",
        ge=0,
        le=10_000_000,
    )
    cancel_window_s: float = knob(
        60.0, env="WS_CANCEL_WINDOW_SECONDS", help="The window of --max-cancels-per-window.", gt=0, le=3600
    )
    max_cancels_per_window: int = knob(
        50,
        env="WS_MAX_CANCELS_PER_WINDOW",
        help="Cancelled utterances of one session; more are refused (cancel_rate_limited). 0 = any number.",
        ge=0,
        le=1_000_000,
    )
    segment_s: float = knob(
        240.0,
        env="VOXTRAL_SEGMENT_S",
        help="A longer utterance goes on in a new request to the engine at its next pause: a step costs more the "
        "longer a request is.",
        gt=0,
        le=36_000,
    )
    segment_max_s: float = knob(
        300.0,
        env="VOXTRAL_SEGMENT_MAX_S",
        help="Where no pause has come, it goes on here, and the engine hears the last seconds twice. Held below the "
        "engine's context.",
        gt=0,
        le=36_000,
    )
    pause_ms: float = knob(
        400.0, env="VOXTRAL_PAUSE_MS", help="So long a silence is a pause between segments.", ge=80, le=10_000
    )
    overlap_s: float = knob(
        2.0,
        env="VOXTRAL_OVERLAP_S",
        help="What is heard twice where a segment ends without a pause, beside the delay.",
        ge=0.5,
        le=30,
    )
    engine_lag_max_s: float = knob(
        5.0,
        env="VOXTRAL_ENGINE_LAG_MAX_S",
        help="Audio of one session that may be with the engine unanswered; more waits in the gateway.",
        ge=1,
        le=600,
    )
    engine_stall_s: float = knob(
        5.0,
        env="VOXTRAL_ENGINE_STALL_S",
        help="A request that owes a step and brings none for so long is given up (engine_stalled). 0 = never.",
        ge=0,
        le=600,
    )
    rut_s: float = knob(
        15.0,
        env="VOXTRAL_RUT_S",
        help="So many seconds of loud audio without a word, and the utterance goes on in a new request. 0 = never.",
        ge=0,
        le=600,
    )
    engine_start_timeout_s: float = knob(
        900.0,
        env="VOXTRAL_ENGINE_START_TIMEOUT_S",
        help="From the engine's start to its first answer.",
        gt=0,
        le=36_000,
    )
    engine_python: Path | None = knob(
        None,
        env="VOXTRAL_ENGINE_PYTHON",
        help="The Python that has vLLM. Default: the program vllm of PATH.",
    )
    engine_command: str | None = knob(
        None,
        env="VOXTRAL_ENGINE_COMMAND",
        help="Starts the engine instead, as a shell would read it; the gateway appends model, address and the rest.",
        min_length=1,
    )
    engine_url: str | None = knob(
        None,
        env="VLLM_REALTIME_URL",
        help="ws://host:port/v1/realtime of an engine that somebody else runs, with this delay: none is started here.",
        pattern=r"^wss?://",
    )
    engine_key: SecretStr | None = knob(
        None, env="VLLM_REALTIME_API_KEY", secret=True, help="The key of the engine at --engine-url."
    )
    vllm_gpu_memory_utilization: float = knob(
        0.92, env="VLLM_GPU_MEMORY_UTILIZATION", help="vLLM's flag of that name; on a CPU left out.", gt=0, le=1
    )
    vllm_max_model_len: int = knob(
        67_500, env="VLLM_MAX_MODEL_LEN", help="vLLM's flag of that name: steps of 80 ms.", ge=256, le=10_000_000
    )
    vllm_max_num_seqs: int = knob(
        128, env="VLLM_MAX_NUM_SEQS", help="vLLM's flag of that name: utterances at once.", ge=2, le=100_000
    )
    vllm_max_num_batched_tokens: int = knob(
        4096, env="VLLM_MAX_NUM_BATCHED_TOKENS", help="vLLM's flag of that name.", ge=64, le=10_000_000
    )
    vllm_kv_cache_dtype: str = knob(
        "auto", env="VLLM_KV_CACHE_DTYPE", help="vLLM's flag of that name: auto, fp8 ...", min_length=1
    )
    vllm_enforce_eager: bool = knob(
        False, env="VLLM_ENFORCE_EAGER", help="vLLM's flag of that name; always on on a CPU."
    )
    vllm_dtype: Literal["bfloat16", "float16", "float32", "auto"] = knob(
        "bfloat16", env="VLLM_DTYPE", help="vLLM's flag --dtype."
    )
    vllm_compilation_config: str | None = knob(
        None, env="VLLM_COMPILATION_CONFIG", help="vLLM's flag --compilation-config, JSON.", min_length=1
    )
    vllm_tokenizer_mode: str = knob(
        "mistral", env="VLLM_TOKENIZER_MODE", help="vLLM's flag of that name.", min_length=1
    )
    vllm_config_format: str = knob("mistral", env="VLLM_CONFIG_FORMAT", help="vLLM's flag of that name.", min_length=1)
    vllm_load_format: str = knob("mistral", env="VLLM_LOAD_FORMAT", help="vLLM's flag of that name.", min_length=1)
    api_key: SecretStr | None = knob(
        None,
        env="VOXTRAL_API_KEY",
        secret=True,
        help="Required: the keys that clients may present (?api_key=, X-API-Key or Bearer), comma separated.",
    )

    @field_validator("model")
    @classmethod
    def _known_model(cls, value: str) -> str:
        if value == "auto":
            return MODEL_ID
        if value not in WORDS and "/" not in value:
            raise ValueError(f"must be {', '.join(WORDS)}, a folder's path, or a hub id such as {MODEL_ID}")
        return value

    @field_validator("engine_command")
    @classmethod
    def _readable_command(cls, value: str | None) -> str | None:
        if value is not None and not shlex.split(value):
            raise ValueError("must name a program")
        return value

    @model_validator(mode="after")
    def _settings_that_fit(self) -> Settings:
        if self.model_revision is not None and self.hub_id is None:
            raise ValueError(f"--model-revision (VOXTRAL_MODEL_REVISION) would have no effect on --model={self.model}")
        if self.engine_url is None and self.max_connections >= self.vllm_max_num_seqs:
            raise ValueError(
                f"--max-connections={self.max_connections} (MAX_CONCURRENT_CONNECTIONS) must be below "
                f"--vllm-max-num-seqs={self.vllm_max_num_seqs} (VLLM_MAX_NUM_SEQS): sessions above it would wait in "
                "silence"
            )
        if self.segment_max_s < self.segment_s:
            raise ValueError(
                f"--segment-max-s={self.segment_max_s:g} (VOXTRAL_SEGMENT_MAX_S) must not be below "
                f"--segment-s={self.segment_s:g}"
            )
        if self.engine_url is None and self.context_s < self.segment_max_s + self.overlap_s:
            raise ValueError(
                f"--segment-max-s={self.segment_max_s:g} and --overlap-s={self.overlap_s:g} do not fit the engine's "
                f"context: --vllm-max-model-len={self.vllm_max_model_len} holds {self.context_s:.0f} s"
            )
        return self

    @property
    def delay_steps(self) -> int:
        """The delay in steps of 80 ms."""
        return self.transcription_delay_ms // 80

    @property
    def context_s(self) -> float:
        """The longest request of the engine in seconds of audio: what padding and delay leave of its context."""
        used = LEFT_PAD_STEPS + RIGHT_PAD_STEPS + self.delay_steps
        return (self.vllm_max_model_len - used) * STEP_S

    @property
    def client_model(self) -> str:
        """The model's name on the wire."""
        return self.served_model_name or self.model

    @property
    def hub_id(self) -> str | None:
        """The hub's name of the model, if that is where it comes from: not a folder that is there."""
        return hub.id_of(self.model)

    @property
    def beside(self) -> tuple[str, ...]:
        """Environments of which the engine has to be given the Python: none where it brings its own."""
        own = (self.engine_python, self.engine_command, self.engine_url)
        return () if any(given is not None for given in own) else ("vllm",)
