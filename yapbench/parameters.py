"""A notebook's flat parameters: what each of them is for, and how those of the load become a LoadProfile.

Knows names and values; knows no server, and starts nothing.
"""

from __future__ import annotations

import ast
import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from yapbench import clients
from yapbench.capacity.options import SearchOptions
from yapbench.clients.framing import samples_per_frame
from yapbench.errors import UsageError
from yapbench.load import LoadProfile, parse_levels
from yapbench.pacing.streaming import WHOLE_FILES, StreamOptions

CLIENT: Final = "client"
"""Which of the server's wires is spoken (CatalogEntry.clients)."""

LOAD_PARAMETERS: Final = (
    "profile",
    "concurrency",
    "requests",
    "duration_s",
    "warmup",
    "repeats",
    "seed",
    "timeout_s",
    "period_s",
    "load_workers",
)
"""Notebook parameters that make a LoadProfile; `profile` is its kind, `concurrency` its levels."""

STREAM_PARAMETERS: Final = ("frame_ms", "pace", "eos", "phases", "post_wait_s", "dial_ahead_s", "retries")
"""Notebook parameters that make a LoadProfile's StreamOptions; only for clients that stream."""

AUDIO_PARAMETERS: Final = ("corpus", "noise", "snr_db")
"""Notebook parameters that say what is sent (docs/corpora.md)."""

PRICE_PARAMETERS: Final = ("price_per_hour", "currency", "price_source", "duty")
"""Notebook parameters that say what an hour of the machine costs, where that was found, and in which share of it the
streams speak; they are stored and change no measurement."""

HARNESS_PARAMETERS: Final = (
    *(*AUDIO_PARAMETERS, "url", "sweep", "out_dir", "slo_ms", "trace", "server_commit"),
    *PRICE_PARAMETERS,
)
"""Notebook parameters for the harness itself; what is sent, `trace` and `server_commit` can change a result."""

SERVER: Final = "server"
"""Which server is measured, in a notebook for any of them."""

SEARCH_PARAMETERS: Final = ("most", "start", "resolution", "most_probes")
"""Notebook parameters that have load levels searched for instead of named: with `most` there is a search."""

SCRIPT_PARAMETERS: Final = ("wrong_words", "revised_words")
"""Notebook parameters for servers that say what a script tells them (echo_script.py)."""

OWN: Final = (SERVER, CLIENT, *LOAD_PARAMETERS, *SEARCH_PARAMETERS, *STREAM_PARAMETERS, *HARNESS_PARAMETERS)
"""All that every notebook may have. A server's knob of the same name (echo has a `seed`) gets the same value."""

DEFAULT_REQUESTS: Final = 130
"""Counted requests a level when neither `requests` nor `duration_s` is given: enough for a p95 (docs/measures.md)."""

DEFAULT_STREAM_S: Final = 15.0
"""Seconds a level in their place where audio is streamed, and a request takes as long as its speech."""

_RENAMED: Final = {"profile": "kind", "concurrency": "levels", "load_workers": "workers"}


def profile(given: Mapping[str, Any], *, client: str) -> LoadProfile:
    """The load that these parameters ask for. Raises UsageError naming a parameter that cannot be."""
    values = {_RENAMED.get(name, name): given[name] for name in LOAD_PARAMETERS if name in given}
    values["levels"] = parse_levels(values.get("levels", given.get("most", 1)))
    stream = _stream(given, client)
    if "requests" not in values and "duration_s" not in values:
        values |= {"duration_s": DEFAULT_STREAM_S} if stream else {"requests": DEFAULT_REQUESTS}
    return LoadProfile(**values, stream=stream)


def search(given: Mapping[str, Any], *, words: bool) -> SearchOptions | None:
    """How the capacity is looked for, where `most` asks for that; `words`: what is sent has texts that are scored.

    Raises UsageError for load levels beside it, and for search parameters without it.
    """
    asked = {name: given[name] for name in SEARCH_PARAMETERS if name in given}
    if not asked:
        return None
    if "most" not in asked:
        raise UsageError(f"{', '.join(asked)}: a search for the capacity needs `most`, the largest load to try")
    for name in ("concurrency", "profile", "requests"):
        if name in given:
            raise UsageError(f"{name}={given[name]!r}: a search chooses its loads itself, and probes last duration_s")
    if "resolution" in asked:
        asked["resolution"] = number("resolution", asked["resolution"])
    asked.setdefault("start", min(4, asked["most"]) if type(asked["most"]) is int else 4)
    repeats = given.get("repeats", 3)
    return SearchOptions(**asked, slo_ms=float(given.get("slo_ms", 100)), repeats=repeats, baseline=words)


def _stream(given: Mapping[str, Any], client: str) -> StreamOptions | None:
    """How the client streams; None where it does not."""
    asked = {name: given[name] for name in STREAM_PARAMETERS if name in given}
    if not clients.streams(client):
        for name, value in asked.items():
            raise UsageError(f"{name}={value!r} is for clients that stream; {client!r} sends requests")
        return None
    if clients.uploads(client):
        for name, value in asked.items():
            raise UsageError(f"{name}={value!r} is for clients that stream; {client!r} sends whole files")
        return WHOLE_FILES
    for name in asked.keys() - {"eos", "phases", "retries"}:
        asked[name] = number(name, asked[name])
    retries = asked.get("retries", 0)
    if isinstance(retries, bool) or not isinstance(retries, int):
        raise UsageError(f"retries is {retries!r}; it must be a whole number from 0")
    options = StreamOptions(**asked)
    clients.require_end(client, options)
    samples_per_frame(options.frame_ms, clients.CODECS[client].sample_rate_hz)
    return options


def number(name: str, value: object) -> float:
    """As a float, so that 80 and 80.0 are one trial."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise UsageError(f"{name} is {value!r}; it must be a number")
    return float(value)


def check_price(given: Mapping[str, Any]) -> None:
    """Raise UsageError for a price, or a share of an hour, that cannot be one."""
    if "price_per_hour" in given and not number("price_per_hour", given["price_per_hour"]) >= 0:
        raise UsageError(f"price_per_hour is {given['price_per_hour']!r}; it must be 0 or more")
    if "duty" in given and not 0 < number("duty", given["duty"]) <= 1:
        raise UsageError(f"duty is {given['duty']!r}; it must be above 0 and at most 1")


def declared(notebook: Path) -> dict[str, Any]:
    """The parameters of a notebook with their defaults, as its cell tagged `parameters` has them."""
    cells = json.loads(notebook.read_text(encoding="utf-8"))["cells"]
    sources = ["".join(c["source"]) for c in cells if "parameters" in c["metadata"].get("tags", [])]
    return {
        node.target.id: ast.literal_eval(node.value)
        for source in sources
        for node in ast.parse(source).body
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name) and node.value is not None
    }
