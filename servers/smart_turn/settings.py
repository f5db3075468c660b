"""The knobs of the Smart Turn server. Imports no model runtime."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import SecretStr, field_validator, model_validator

from servers.common.devices import cuda_is_visible
from servers.common.hub import HUB_ID
from servers.common.settings import BaseServerSettings, IntList, knob

Backend = Literal["v3-onnx", "v2-torch"]
V2_MODEL_ID = "pipecat-ai/smart-turn-v2"
WORDS = ("auto", "v2", "v3-onnx", "tiny", "random")
V3_MAX_SECS = 8.0
V2_MAX_SECS = 16.0
IGNORED_BY_V3 = ("dtype", "torch_compile", "cuda_graphs")


class Settings(BaseServerSettings):
    """Field name = flag = notebook parameter."""

    server: ClassVar[str] = "smart_turn"

    model: str = knob(
        "auto",
        env="MODEL_ID",
        help="auto (v2 with a GPU, else v3-onnx), v2 (from the hub), v3-onnx (from the pipecat-ai wheel), tiny (small, "
        "for tests), random (v2's size, random weights), a v3 .onnx file, a v2 checkpoint's folder or hub id.",
        min_length=1,
    )
    model_revision: str | None = knob(
        None,
        env="MODEL_REVISION",
        help="Commit, tag or branch of a model from the hub; default: main. Refused for others.",
        min_length=1,
    )
    device: str = knob(
        "auto",
        env="DEVICE",
        help="auto (a GPU if there is one), cpu, cuda or cuda:N, which must be there. v3-onnx runs on the CPU only.",
        pattern=r"^(auto|cpu|cuda(:\d+)?)$",
    )
    auth_key: SecretStr | None = knob(
        None,
        env="AUTH_KEY",
        secret=True,
        help="When set, requests must carry it: Authorization: Key <AUTH_KEY>.",
    )
    threshold: float = knob(0.5, env="THRESHOLD", help="A probability above it is prediction 1 (complete).", ge=0, le=1)
    max_secs: float | None = knob(
        None,
        env="MAX_SECS",
        help="Seconds of audio that count, the last ones. Default: what the model takes (v3: 8, v2: 16).",
        gt=0,
        le=16,
    )
    batch_buckets: IntList = knob(
        (1, 2, 4, 6), env="BATCH_BUCKETS", help="Batch sizes, ascending; the last is the largest batch."
    )
    window_ms: float = knob(
        5.0,
        env="MICRO_BATCH_WINDOW_MS",
        help="How long a batch stays open for more requests while a session is free; 0 = not at all.",
        ge=0,
        le=1000,
    )
    idle_gap_ms: float = knob(
        1.0,
        env="BATCH_IDLE_GAP_MS",
        help="The batch also closes after so long without an arrival; 0 = always wait the whole window.",
        ge=0,
        le=1000,
    )
    sessions: int = knob(
        0,
        env="SESSIONS",
        help="Model sessions of one thread each; 0 = one for each CPU this process may use, at most 8; one on a GPU.",
        ge=0,
        le=64,
    )
    queue_limit: int = knob(
        64, env="QUEUE_LIMIT", help="Requests that may wait for a batch; more get 503.", ge=1, le=100_000
    )
    deadline_ms: float = knob(
        2500.0,
        env="DEADLINE_MS",
        help="A request not answered by then gets 504 (Pipecat's client gives up after 3000).",
        gt=0,
        le=600_000,
    )
    max_body_bytes: int = knob(
        4 * 1024 * 1024,
        env="MAX_BODY_BYTES",
        help="Longest body; more gets 413. 4 MiB hold 16 s at 48 kHz.",
        ge=1024,
        le=1 << 30,
    )
    body_timeout_s: float = knob(
        30.0, env="BODY_TIMEOUT_S", help="Seconds that a body may take to arrive; then 408.", gt=0, le=3600
    )
    dtype: Literal["bfloat16", "float32"] | None = knob(
        None,
        env="DTYPE",
        help="Precision of v2; default: bfloat16 on a GPU, float32 on a CPU. Refused on v3-onnx, which is int8.",
    )
    torch_compile: bool | None = knob(
        None, env="TORCH_COMPILE", help="Compile v2 (default: on a GPU). Refused on v3-onnx."
    )
    cuda_graphs: bool | None = knob(
        None, env="CUDA_GRAPHS", help="Record CUDA graphs of v2 (default: no). Refused on v3-onnx."
    )
    pytorch_cuda_alloc_conf: str = knob(
        "expandable_segments:True",
        env="PYTORCH_CUDA_ALLOC_CONF",
        help="PyTorch's own variable for its CUDA allocator (v2 on a GPU).",
    )

    @field_validator("batch_buckets")
    @classmethod
    def _ascending(cls, value: tuple[int, ...]) -> tuple[int, ...]:
        if not value or list(value) != sorted(set(value)) or value[0] < 1 or value[-1] > 1024:
            raise ValueError("must be ascending whole numbers from 1 to 1024, as in 1,2,4,6")
        return value

    @field_validator("model")
    @classmethod
    def _known_model(cls, value: str) -> str:
        if value == V2_MODEL_ID:
            return "v2"
        if value not in WORDS and not value.endswith(".onnx") and "/" not in value:
            raise ValueError(f"must be {', '.join(WORDS)}, the path of a .onnx file, or a v2 checkpoint's ./folder")
        return value

    @model_validator(mode="after")
    def _only_knobs_that_work(self) -> Settings:
        if self.backend == "v3-onnx":
            self._refuse_what_v3_ignores()
        if self.model_revision is not None and self.hub_id is None:
            raise ValueError(f"--model-revision (MODEL_REVISION) would have no effect on --model={self.model}")
        if self.cuda_graphs and self.sessions > 1:
            raise ValueError("--cuda-graphs (CUDA_GRAPHS) shares memory between batches: it needs --sessions=1")
        return self

    def _refuse_what_v3_ignores(self) -> None:
        given = [name for name in IGNORED_BY_V3 if getattr(self, name) is not None]
        if given:
            names = " and ".join(f"--{name.replace('_', '-')} ({name.upper()})" for name in given)
            raise ValueError(f"{names} would have no effect on v3-onnx: leave it out")
        if self.device.startswith("cuda"):
            raise ValueError(f"--device={self.device} (DEVICE): v3-onnx runs on the CPU only; --model=v2 takes a GPU")
        if self.max_secs is not None and self.max_secs > V3_MAX_SECS:
            message = f"--max-secs={self.max_secs:g} (MAX_SECS) is more than v3 looks at"
            raise ValueError(f"{message}: at most {V3_MAX_SECS:g}")

    @property
    def backend(self) -> Backend:
        """What serves `model`, decided without a model runtime."""
        if self.model == "auto":
            on_gpu = self.device.startswith("cuda") or (self.device == "auto" and cuda_is_visible())
            return "v2-torch" if on_gpu else "v3-onnx"
        return "v3-onnx" if self.model == "v3-onnx" or self.model.endswith(".onnx") else "v2-torch"

    @property
    def environment(self) -> str:
        """Name of the environment that has the backend's packages."""
        return "light" if self.backend == "v3-onnx" else "torch"

    @property
    def hub_id(self) -> str | None:
        """The hub's name of the model, if it can be one: a folder of that name is looked for first."""
        if self.backend == "v3-onnx":
            return None
        return V2_MODEL_ID if self.model in ("auto", "v2") else self.model if HUB_ID.fullmatch(self.model) else None

    @property
    def kept_secs(self) -> float:
        """Seconds of audio that count."""
        longest = V3_MAX_SECS if self.backend == "v3-onnx" else V2_MAX_SECS
        return longest if self.max_secs is None else self.max_secs
