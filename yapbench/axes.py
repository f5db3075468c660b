"""What varies in a sweep, and how it is said: "2 sessions", "window 5 ms", "8 clients".

Knows names, units and word order; knows no measurement.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from yapbench.obtained import ENGINE, ENGINE_PARTS, SENT

_UNITS: Final = {"_ms": "ms", "_s": "s", "_secs": "s", "_bytes": "bytes", "_hz": "Hz", "_db": "dB"}
_NAMES: Final = {
    "window_ms": "window",
    "idle_gap_ms": "idle gap",
    "batch_buckets": "buckets",
    "max_secs": "audio limit",
    "snr_db": "SNR",
    "torch_compile": "compile",
    "cuda_graphs": "CUDA graphs",
    "client": "wire",
    "frame_ms": "frame",
    "eos": "end of speech",
    "look_ahead_ms": "look-ahead",
    "transcription_delay_ms": "delay",
    "att_ctx": "left context",
    "batch_size": "largest batch",
    "max_batch": "largest batch",
    "max_streams": "seats",
    "lm_dtype": "dtype",
    "codec_dtype": "codec's dtype",
    "vllm_dtype": "dtype",
    "vllm_kv_cache_dtype": "KV cache",
    "vllm_max_model_len": "context",
    "vllm_max_num_batched_tokens": "tokens a batch",
    "vllm_max_num_seqs": "engine's seats",
    "vllm_enforce_eager": "eager",
}
_COUNTED: Final = {"sessions": "session", "threads": "thread"}
"""Settings that count things: said as "2 sessions"."""

_SPOKEN: Final = {
    "eos": {"commit": "commit by the client", "silence": "silence, the server finds the end", "file": "whole files"},
    "pace": {"1": "live", "0": "as fast as accepted"},
    "phases": {"random": "random phases", "aligned": "frames all at once", "ends": "all end at once"},
}

_SAY_THEMSELVES: Final = (
    ENGINE,
    "server",
    "model",
    "dtype",
    "lm_dtype",
    "precision",
    "device",
    "torch_compile",
    "client",
    "decoder",
)
"""Settings whose values need no name beside them."""


def varying(settings: Sequence[Mapping[str, Any]]) -> tuple[str, ...]:
    """Names of the settings with more than one value, in alphabetical order.

    Where several of those that choose what computes vary, `engine` stands for them: not every model has them all.
    """
    names = separate(settings)
    parts = [name for name in names if name in ENGINE_PARTS]
    left_out = parts if len(parts) > 1 else [ENGINE]
    found = {*names, ENGINE} if len(parts) > 1 else set(names)
    return tuple(sorted(found - set(left_out)))


def separate(settings: Sequence[Mapping[str, Any]]) -> tuple[str, ...]:
    """`varying`, with each part of the engine by itself."""
    names = {name for setting in settings for name in setting} - {ENGINE}
    return tuple(sorted(n for n in names if len({_key(s.get(n)) for s in settings}) > 1))


def values(settings: Iterable[Mapping[str, Any]], name: str) -> list[Any]:
    """The distinct values of one setting, ascending: numbers by size, lists by length, then by text."""
    found = {_key(s.get(name)): s.get(name) for s in settings}
    return [found[key] for key in sorted(found, key=lambda k: _order(found[k]))]


def title(name: str) -> str:
    """A setting's name for a column head or an axis, with its unit."""
    word, unit = _word_and_unit(name)
    return f"{word}, {unit}" if unit else word


def words(name: str, value: object) -> str:
    """One setting's value as said in a sentence."""
    if name in _COUNTED:
        return f"{plain(value)} {_COUNTED[name]}{'' if value == 1 else 's'}"
    if name in _SAY_THEMSELVES:
        return plain(value)
    if name == "snr_db" and plain(value) in ("clean", "none"):
        return "no noise"
    if name in _SPOKEN and plain(value) in _SPOKEN[name]:
        return _SPOKEN[name][plain(value)]
    word, unit = _word_and_unit(name)
    if value is None and name not in SENT:
        return f"default {word}"
    return f"{word} {plain(value)} {unit}".rstrip()


def label(setting: Mapping[str, Any], names: Iterable[str]) -> str:
    """The values of `names` in one line; "this setting" when nothing varies."""
    return " · ".join(words(name, setting.get(name)) for name in names) or "this setting"


def plain(value: object) -> str:
    """A value without a superfluous ".0"; None as "none"."""
    if value is None:
        return "none"
    if isinstance(value, bool):
        return "on" if value else "off"
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    if isinstance(value, (list, tuple)):
        return ",".join(plain(item) for item in value)
    return str(value)


def stored(infos: Iterable[Mapping[str, Any]], path: Sequence[str]) -> list[str]:
    """The distinct values that trials stored at a path of trial.json, as text, in the order of the trials."""
    found: dict[str, None] = {}
    for info in infos:
        value: Any = info
        for key in path:
            value = value.get(key) if isinstance(value, Mapping) else None
        if value not in (None, ""):
            found[plain(value)] = None
    return list(found)


def level_words(kind: str, level: float, *, streams: bool = False) -> str:
    """A load level: "8 clients" (or streams) of a closed loop, "50 requests/s" (or calls) of an open one."""
    number = plain(float(level))
    if kind == "poisson":
        return f"{number} {'calls' if streams else 'requests'}/s"
    if kind == "burst":
        return f"bursts of {number}"
    return f"{number} {'stream' if streams else 'client'}{'' if level == 1 else 's'}"


def level_title(kind: str, *, streams: bool = False) -> str:
    """The same for an axis."""
    what = "calls" if streams else "requests"
    names = {"poisson": f"{what} per second offered", "burst": f"{'streams' if streams else what} per burst"}
    return names.get(kind, "streams at a time" if streams else "clients at a time")


def _word_and_unit(name: str) -> tuple[str, str]:
    for suffix, unit in _UNITS.items():
        if name.endswith(suffix):
            return _NAMES.get(name, name.removesuffix(suffix).replace("_", " ")), unit
    return _NAMES.get(name, name.replace("_", " ")), ""


def _key(value: object) -> str:
    return plain(value)


def _order(value: object) -> tuple[int, float, str]:
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return (0, float(value), "")
    return (1, float(len(plain(value))), plain(value))
