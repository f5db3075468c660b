"""Which servers take part, one declaration each. Imports nothing but the standard library: it is read before the
packages are known to be there.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

CHECKOUT: Final = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Need:
    """A package that must be there: what Python imports, what pip calls it, the least version if that matters."""

    module: str
    package: str = ""
    least: str = ""

    @property
    def words(self) -> str:
        """As pip takes it: torch>=2.11."""
        return (self.package or self.module) + (f">={self.least}" if self.least else "")


@dataclass(frozen=True)
class Bar:
    """What a server must reach beside its bare model at one load level. Exactly one limit is given."""

    words: str
    level: float
    least_share_of_rate: float | None = None
    """Answers a second / the highest rate that the bare model reached in the same mode."""
    most_added_p95_ms: float | None = None
    """p95 of the answers - p95 of the bare model's single calls in the same mode, `calls` of them."""
    calls: int = 1
    """So many calls of the model lie between the end of speech and the answer to it."""
    of: Mapping[str, Any] = field(default_factory=dict)
    """Values that a setting must have been asked for to be held against the bar; None: not given."""


@dataclass(frozen=True)
class Pair:
    """Two settings that are compared in each mode: `first`, and what `then` changes in it (None: not given)."""

    words: str
    first: Mapping[str, Any]
    then: Mapping[str, Any]


@dataclass(frozen=True)
class Counts:
    """Which of a point's values are its rate and its times, and how they are said."""

    rate: str = "rps"
    p50_ms: str = "latency_p50_ms"
    p95_ms: str = "latency_p95_ms"
    unit: str = "/s"
    """Behind a rate; the bare program says the same of its own."""
    words: str = "rates are answers per second, times those from when a request was meant to be sent"


@dataclass(frozen=True)
class Bench:
    """One server's part. `bare` is a program that is started beside the server, see bare.py for what it is asked."""

    server: str
    grid: str
    bare: str
    defaults: Mapping[str, Any]
    """Laid over the grid's parameters unless the command line says otherwise."""
    runtimes: Mapping[str, tuple[Need, ...]]
    """Backend -> what it needs beside SERVER_NEEDS."""
    backend_of: Mapping[str, str] = field(default_factory=dict)
    """Model -> backend, by name or by the end of a path; any other model: the first of `runtimes`."""
    only_of: Mapping[str, str] = field(default_factory=dict)
    """Parameter -> the one backend, or the device, that has it: left out of the grid for others."""
    mode: tuple[str, ...] = ()
    """Parameters that change the bare model too: a bare process for each combination."""
    dear: tuple[str, ...] = ()
    """Parameters that, set to true, make a start longer with every batch size: estimated apart, by batch size, and the
    bare model is asked for its smallest and largest batch only."""
    batch_sizes: str = "batch_buckets"
    """The parameter that lists the sizes that the server's batches have, or is the largest."""
    counts: Counts = Counts()
    anchors: tuple[Mapping[str, Any], ...] = ()
    """Settings that come before the widest-first order, because bars compare them or people start from them."""
    pairs: tuple[Pair, ...] = ()
    bars: tuple[Bar, ...] = ()

    def backend(self, model: str) -> str:
        """What serves `model`."""
        ends = (name for end, name in self.backend_of.items() if model.endswith(end))
        return next(ends, next(iter(self.runtimes)))


HARNESS_NEEDS: Final = (
    Need("aiohttp"),
    Need("dotenv", "python-dotenv"),
    Need("numpy"),
    Need("pandas"),
    Need("psutil"),
    Need("pyarrow"),
    Need("pydantic"),
    Need("pydantic_settings", "pydantic-settings"),
    Need("pynvml", "nvidia-ml-py"),
    Need("scipy"),
    Need("soundfile"),
    Need("soxr"),
    Need("uvloop"),
    Need("yaml", "pyyaml"),
)
"""What sending, measuring and storing import."""

PAGE_NEEDS: Final = (Need("jinja2"), Need("matplotlib"))
"""What only the HTML page imports: without them everything but the page is made, and that is said."""

SERVER_NEEDS: Final = (
    Need("dotenv", "python-dotenv"),
    Need("fastapi"),
    Need("httptools"),
    Need("numpy"),
    Need("prometheus_client", "prometheus-client"),
    Need("pydantic_settings", "pydantic-settings"),
    Need("soxr"),
    Need("uvicorn"),
    Need("uvloop"),
    Need("websockets"),
)
"""What every server of the catalogue imports."""

_STREAMS: Final = Counts(
    rate="audio_s_per_s",
    p50_ms="flush_p50_ms",
    p95_ms="flush_p95_ms",
    unit=" audio s/s",
    words="rates are seconds of audio finished per second, times those from the end message to the final text",
)

_CHUNKS: Final = Counts(
    rate="audio_s_per_s",
    p50_ms="flush_p50_ms",
    p95_ms="flush_p95_ms",
    unit=" audio s/s",
    words="rates are seconds of audio finished per second, times those from a file's last byte, or a stream's flush, "
    "to the text",
)

_TODAY: Final = {"dtype": "bfloat16", "torch_compile": False, "batch_buckets": "1,2,4,6", "window_ms": 5}

_MANY: Final = {"look_ahead_ms": 80, "dtype": "float32", "max_batch": 256, "step_ms": 20, "cuda_graphs": False}
_FAST: Final = {**_MANY, "pace": 0}
"""As fast as it is taken: live streams would never show the highest rate."""

_FILES: Final = {"client": "parakeet_upload", "batch_size": 64, "window_ms": 20, "precision": "fp16"}
"""At once and through no VAD: what the batches themselves can do."""
_LIVE: Final = {"client": "parakeet", "batch_size": 16, "window_ms": 100, "precision": "fp16"}

_SEATS: Final = {
    "client": "kyutai",
    "seats": 400,
    "lm_dtype": "bfloat16",
    "cuda_graphs": False,
    "refuse_late": False,
    "concurrency": "1,64,400",
}
"""Live. Three levels of three seconds, or a setting would take two minutes of the budget."""
_RUSH: Final = {**_SEATS, "pace": 0}
"""As fast as they are taken: a step may take longer than its audio."""

_BEHIND_VLLM: Final = {
    "transcription_delay_ms": 480,
    "vllm_max_num_seqs": 128,
    "vllm_max_num_batched_tokens": 4096,
    "vllm_kv_cache_dtype": "auto",
}
"""Live."""
_HURRY: Final = {**_BEHIND_VLLM, "pace": 0, "inbound_queue_max": 4000, "inbound_audio_max_s": 600}
"""As fast as it is taken: whole utterances wait in the gateway."""

BENCHES: Final = (
    Bench(
        server="smart_turn",
        grid="sweeps/smart_turn.yaml",
        bare="benchmarks/bare/smart_turn.py",
        defaults={"model": "random", "device": "cuda", "concurrency": [1, 4, 16, 64]},
        runtimes={
            "v2-torch": (Need("torch", least="2.11"), Need("safetensors")),
            "v3-onnx": (Need("onnxruntime"), Need("pipecat", "pipecat-ai")),
        },
        backend_of={"v3-onnx": "v3-onnx", ".onnx": "v3-onnx"},
        only_of={"dtype": "v2-torch", "torch_compile": "v2-torch", "cuda_graphs": "cuda"},
        mode=("model", "device", "dtype", "torch_compile", "cuda_graphs"),
        dear=("torch_compile",),
        anchors=(
            _TODAY,
            {**_TODAY, "idle_gap_ms": 0},
            {**_TODAY, "torch_compile": True},
            {**_TODAY, "cuda_graphs": True},
        ),
        pairs=(
            Pair(
                "the older policy, a fixed window of 5 ms; then today's, which also closes after 1 ms without arrival",
                {"batch_buckets": "1,2,4,6", "window_ms": 5, "idle_gap_ms": 0},
                {"idle_gap_ms": None},
            ),
        ),
        bars=(
            Bar("64 clients: at least 0.90 of the bare model's rate", 64, least_share_of_rate=0.90),
            Bar("1 client: p95 at most the bare model's + 2 ms", 1, most_added_p95_ms=2.0),
        ),
    ),
    Bench(
        server="fastconformer",
        grid="sweeps/fastconformer.yaml",
        bare="benchmarks/bare/fastconformer.py",
        # Three levels of three seconds, or a setting would take two minutes of the budget.
        defaults={"model": "random", "device": "cuda", "concurrency": [1, 64, 256], "duration_s": 3},
        runtimes={
            "nemo": (
                Need("torch", least="2.11"),
                Need("nemo", "nemo_toolkit"),
                Need("omegaconf"),
                Need("sentencepiece"),
            )
        },
        only_of={"cuda_graphs": "cuda", "graph_batches": "cuda"},
        # Not cuda_graphs: the bare model is what NeMo gives, and the server's own graphs are held against it, too.
        mode=("model", "device", "dtype", "look_ahead_ms", "decoder", "threads"),
        batch_sizes="max_batch",
        counts=_STREAMS,
        anchors=(_FAST, _MANY, {**_FAST, "cuda_graphs": True}, {**_FAST, "dtype": "bfloat16"}),
        pairs=(Pair("the step as NeMo runs it; then recorded as CUDA graphs", _FAST, {"cuda_graphs": True}),),
        bars=(
            Bar("256 streams: at least 0.90 of the bare model's rate", 256, least_share_of_rate=0.90, of={"pace": 0}),
            Bar(
                "1 stream: p95 at most one step of the bare model + 10 ms", 1, most_added_p95_ms=10.0, of={"pace": None}
            ),
        ),
    ),
    Bench(
        server="parakeet",
        grid="sweeps/parakeet.yaml",
        bare="benchmarks/bare/parakeet.py",
        defaults={"model": "random", "device": "cuda", "concurrency": [1, 16, 128], "duration_s": 3},
        runtimes={
            "nemo": (
                Need("torch", least="2.11"),
                Need("nemo", "nemo_toolkit"),
                Need("onnxruntime"),
                Need("python_multipart", "python-multipart"),
                Need("silero_vad", "silero-vad"),
                Need("soundfile"),
            )
        },
        mode=("model", "device", "precision", "threads"),
        batch_sizes="batch_size",
        counts=_CHUNKS,
        anchors=(_FILES, _LIVE, {**_FILES, "precision": "fp32"}),
        pairs=(
            Pair(
                "files that wait 20 ms for others at most; then while the model is free nobody waits",
                _FILES,
                {"window_ms": 0},
            ),
        ),
        bars=(
            Bar(
                "128 files: at least 0.90 of the bare model's rate",
                128,
                least_share_of_rate=0.90,
                of={"client": "parakeet_upload"},
            ),
            Bar(
                "1 file: p95 at most the bare model's + the 10 ms that a batch waits + 10 ms",
                1,
                most_added_p95_ms=20.0,
                of={"client": "parakeet_upload"},
            ),
        ),
    ),
    Bench(
        server="kyutai",
        grid="sweeps/kyutai.yaml",
        bare="benchmarks/bare/kyutai.py",
        defaults={"model": "random", "device": "cuda", "duration_s": 3},
        runtimes={
            "torch": (
                Need("torch", least="2.11"),
                Need("transformers", least="5.23"),
                Need("msgpack"),
                Need("safetensors"),
                Need("soundfile"),
                Need("tokenizers"),
            )
        },
        only_of={"cuda_graphs": "cuda", "graph_batches": "cuda"},
        # Not cuda_graphs: the bare model is what transformers gives, and the server's own graphs are held against it.
        mode=("model", "device", "lm_dtype", "codec_dtype", "threads"),
        batch_sizes="seats",
        counts=_STREAMS,
        anchors=(_RUSH, _SEATS, {**_RUSH, "cuda_graphs": True}, {**_RUSH, "lm_dtype": "float32"}),
        pairs=(Pair("the step as PyTorch runs it; then recorded as CUDA graphs", _RUSH, {"cuda_graphs": True}),),
        bars=(
            Bar("400 streams: at least 0.90 of the bare model's rate", 400, least_share_of_rate=0.90, of={"pace": 0}),
            Bar(
                "1 stream: p95 at most eight steps of the bare model (the last frame and the delay) + 40 ms",
                1,
                most_added_p95_ms=40.0,
                calls=8,
                of={"pace": None},
            ),
        ),
    ),
    Bench(
        server="voxtral",
        grid="sweeps/voxtral.yaml",
        bare="benchmarks/bare/voxtral.py",
        defaults={"model": "random", "concurrency": [1, 32, 100], "duration_s": 3},
        runtimes={
            "vllm": (Need("vllm", least="0.32"), Need("mistral_common", "mistral-common"), Need("soundfile")),
        },
        mode=(
            "model",
            "transcription_delay_ms",
            "max_connections",
            "vllm_max_num_seqs",
            "vllm_max_num_batched_tokens",
            "vllm_max_model_len",
            "vllm_kv_cache_dtype",
            "vllm_dtype",
            "vllm_gpu_memory_utilization",
            "vllm_enforce_eager",
        ),
        batch_sizes="max_connections",
        counts=_STREAMS,
        anchors=(_HURRY, _BEHIND_VLLM, {**_HURRY, "vllm_kv_cache_dtype": "fp8"}),
        pairs=(Pair("keys and values as the weights; then in fp8", _HURRY, {"vllm_kv_cache_dtype": "fp8"}),),
        bars=(
            Bar("100 streams: at least 0.90 of the bare engine's rate", 100, least_share_of_rate=0.90, of={"pace": 0}),
            Bar(
                "1 stream: p95 at most the bare engine's from its commit to its done + 10 ms",
                1,
                most_added_p95_ms=10.0,
                of={"pace": None},
            ),
        ),
    ),
)


def lookup(server: str) -> Bench | None:
    """The declaration of `server`, if it has one."""
    return next((bench for bench in BENCHES if bench.server == server), None)
