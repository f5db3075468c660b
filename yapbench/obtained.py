"""What a trial's server really ran: its settings, with what was left to the server as the server chose it.

A trial that asked for a compiled model and got an eager one is told apart here. Knows trial.json; knows no number.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

ENGINE: Final = "engine"
"""The name under which ENGINE_PARTS are said as one: "tiny bfloat16, compiled"."""

ENGINE_PARTS: Final = ("model", "device", "dtype", "lm_dtype", "precision", "torch_compile", "cuda_graphs")
"""Settings that choose what computes. Some models have not all of them."""

SENT: Final = ("corpus", "noise", "snr_db")
"""What is sent may vary like a setting of the server."""

SPOKEN: Final = ("frame_ms", "pace", "eos", "phases")
"""How utterances are streamed may vary too; of a trial of streams, so may the wire (`client`)."""

STAND_INS: Final = {
    "tiny": "tiny is a small test checkpoint: its speed and its decisions say nothing of the model it stands in for",
    "random": "random has the real size and random weights: it is for speed, its decisions mean nothing",
}
"""Models that are measured in place of others, and what must be said of them."""

SMALL_WORLDS: Final = frozenset({"tiny"})
"""Those of them that know the words of a few texts only."""

UNSCORED: Final = frozenset({"random"})
"""Those of them whose words mean nothing: no word error rate is told."""

LOOK_AHEAD: Final = "look_ahead_ms"
"""What of the audio to come a streaming model waits for before it decides, however it was asked for."""

DELAY: Final = "transcription_delay_ms"
"""By how much a streaming model's text trails the audio that it has heard."""

WAITS: Final = (LOOK_AHEAD, DELAY)
"""Settings that are a trade in themselves: a model that waits longer knows more before it says a word."""

PRECISIONS: Final = {"float32": "fp32", "float16": "fp16", "bfloat16": "bf16"}
"""What a server's dtype is called where its setting is a `precision`."""

COMPILE_STATES: Final = {"ready": "compiled", "failed": "compile failed", "off": "eager"}
"""The server's word for how compiling ended, and ours."""


def setting_of(info: Mapping[str, Any]) -> dict[str, Any]:
    """The settings of a trial's `info` with the obtained device, dtype and compiled state in place of the asked ones.

    So with the look-ahead, which can be asked for in two ways, and the delay. `engine` is added where there is a model
    to speak of.
    """
    asked = info.get("asked") or {}
    setting = _settings(info) | {name: asked[name] for name in SENT if name in asked}
    if streamed(info):
        how = {"client": info.get("client"), **info["load"]["stream"]}
        setting |= {name: how[name] for name in ("client", *SPOKEN) if how.get(name) is not None}
    found = info.get("obtained") or {}
    for name in WAITS:
        if name in setting and (value := waited(found, name)) is not None:
            setting[name] = value
            if name == LOOK_AHEAD and "att_ctx" in setting:  # left,right; the right part is the look-ahead
                setting["att_ctx"] = str(setting["att_ctx"]).partition(",")[0]
    if "model" not in setting:
        return setting
    for name in ("device", "dtype"):
        if name in setting and found.get(name):
            setting[name] = str(found[name]).removeprefix("torch.")
    if "lm_dtype" in setting and found.get("dtype"):
        setting["lm_dtype"] = str(found.get("lm_dtype") or found["dtype"]).removeprefix("torch.")
    if "precision" in setting and found.get("dtype"):
        dtype = str(found["dtype"]).removeprefix("torch.")
        setting["precision"] = PRECISIONS.get(dtype, dtype)
    if "torch_compile" in setting:
        setting["torch_compile"] = compiled(info) or "eager"
    if "cuda_graphs" in setting:
        setting["cuda_graphs"] = bool(setting["cuda_graphs"])
    return {**setting, ENGINE: _engine(setting, model_name(info))}


def waited(status: Mapping[str, Any], name: str) -> Any:
    """One of WAITS as a server's /status has it, by itself or among its settings; None where it has none."""
    value = status.get(name)
    return (status.get("settings") or {}).get(name) if value is None and name == DELAY else value


def _settings(info: Mapping[str, Any]) -> dict[str, Any]:
    """The server's settings: as the trial has them, or, of a server that ran already, as that server said."""
    own = dict(info.get("settings") or {})
    if not (info.get("asked") or {}).get("url"):
        return own
    said = (info.get("obtained") or {}).get("settings") or {}
    return {name: said.get(name, value) for name, value in own.items()}


def streamed(info: Mapping[str, Any]) -> bool:
    """Whether a trial's utterances were streamed, rather than sent as one request each."""
    return bool((info.get("load") or {}).get("stream"))


def compiled(info: Mapping[str, Any]) -> str:
    """ "compiled", "compile failed" or "eager"; "" when the server does not say."""
    facts = (info.get("obtained") or {}).get("compile")
    state = str(facts.get("state", "")) if isinstance(facts, dict) else ""
    return COMPILE_STATES.get(state, state)


def compile_words(status: Mapping[str, Any]) -> str:
    """How compiling ended and how long it took, for one line; "" where there was nothing to compile."""
    facts = status.get("compile")
    if not isinstance(facts, dict) or facts.get("state") in (None, "off"):
        return ""
    shapes = f"{facts.get('shapes_ready')} of {facts.get('shapes')} shapes"
    text = f"{COMPILE_STATES.get(facts['state'], facts['state'])} after {facts.get('seconds', 0):.1f} s ({shapes})"
    return f"{text}: {facts['error']}" if facts.get("error") else text


def model_name(info: Mapping[str, Any]) -> str:
    """What the model is called in a report: as it was asked for, or by what `auto` came to."""
    asked = str(_settings(info).get("model") or "")
    backend = (info.get("obtained") or {}).get("backend")
    return str(backend) if asked == "auto" and backend else asked


def _engine(setting: Mapping[str, Any], model: str) -> str:
    names = ("dtype", "lm_dtype", "precision")
    words = [model, *(str(setting[name]) for name in names if setting.get(name))]
    if str(setting.get("device") or "cpu") not in ("cpu", "auto"):
        words.append(f"on {setting['device']}")
    text = " ".join(word for word in words if word)
    state = setting.get("torch_compile")
    text = f"{text}, {state}" if state in ("compiled", "compile failed") else text
    return f"{text}, CUDA graphs" if setting.get("cuda_graphs") else text
