"""The engine's command line and environment, from the settings. Starts nothing.

Flags and their meaning: vLLM 0.32, `vllm serve --help`. The key travels by environment: a command line can be read by
every user of the machine.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from servers.common.devices import cuda_is_visible
from servers.common.errors import StartupRefused
from servers.common.settings import table
from servers.voxtral.program import program
from servers.voxtral.settings import Settings

KEY_VARIABLE: Final = "VLLM_API_KEY"
TINY_ON_CPU: Final = {
    "VLLM_CPU_KVCACHE_SPACE": "1",  # GB
    "VLLM_ENABLE_V1_MULTIPROCESSING": "0",  # its worker within the engine core, as on one GPU: a third less to start
    "OMP_NUM_THREADS": "1",  # matrices too small to be shared out
}
"""Variables that the tiny model is given unless they are set."""
OURS: Final = ("VOXTRAL_", "STATUS_KEY")
"""Variables that are the gateway's, secrets among them, and none of the engine's business."""


def argv(settings: Settings, *, folder: Path, port: int) -> list[str]:
    """The words that start the engine. Raises StartupRefused where there is no vLLM."""
    return [*program(settings), *_model(settings, folder), *flags(settings, port=port)]


def flags(settings: Settings, *, port: int) -> list[str]:
    """Address, limits and formats. On a CPU without those that only a GPU knows, and always eager."""
    on_gpu = cuda_is_visible()
    given: dict[str, object] = {
        "host": "127.0.0.1",
        "port": port,
        "served-model-name": settings.client_model,
        "tokenizer-mode": settings.vllm_tokenizer_mode,
        "config-format": settings.vllm_config_format,
        "load-format": "dummy" if settings.model == "random" else settings.vllm_load_format,
        "dtype": settings.vllm_dtype,
        "max-model-len": settings.vllm_max_model_len,
        "max-num-seqs": settings.vllm_max_num_seqs,
        "max-num-batched-tokens": settings.vllm_max_num_batched_tokens,
        "kv-cache-dtype": settings.vllm_kv_cache_dtype,
        "generation-config": "vllm",  # else it looks for a file that Mistral's layout does not have, with retries
        "uvicorn-log-level": "warning",  # else two lines for each utterance, and one for each look at /health
    }
    if on_gpu:
        given["gpu-memory-utilization"] = settings.vllm_gpu_memory_utilization
    if settings.vllm_compilation_config is not None:
        given["compilation-config"] = settings.vllm_compilation_config
    eager = ["--enforce-eager"] if settings.vllm_enforce_eager or not on_gpu else []
    return [f"--{name}={value}" for name, value in given.items()] + eager


def environment(settings: Settings, *, key: str, inherited: Mapping[str, str] = os.environ) -> dict[str, str]:
    """What the engine gets: ours without the gateway's own variables, the key, no report of its use to its makers."""
    own = {name for knob in table(type(settings)) for name in knob.env}
    kept = {name: value for name, value in inherited.items() if name not in own and not name.startswith(OURS)}
    kept.setdefault("VLLM_NO_USAGE_STATS", "1")
    kept.setdefault("PYTHONUNBUFFERED", "1")
    if settings.model == "tiny" and not cuda_is_visible():
        kept = TINY_ON_CPU | kept
    return kept | {KEY_VARIABLE: key}


def check(settings: Settings) -> None:
    """Raises StartupRefused for what the engine would refuse only minutes later."""
    config = settings.vllm_compilation_config
    if config is not None:
        try:
            json.loads(config)
        except ValueError as error:
            raise StartupRefused(f"--vllm-compilation-config (VLLM_COMPILATION_CONFIG) is no JSON: {error}") from error
    if not cuda_is_visible() and config is not None:
        raise StartupRefused("--vllm-compilation-config (VLLM_COMPILATION_CONFIG): nothing is compiled on a CPU")


def _model(settings: Settings, folder: Path) -> list[str]:
    """`vllm serve` takes the model as a word, the module as a flag."""
    return [str(folder)] if program(settings)[-1:] == ["serve"] else [f"--model={folder}"]
