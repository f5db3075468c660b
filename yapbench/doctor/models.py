"""Each server with each of its models: are its weights here, and does it run on this machine as it is?"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from servers.common.errors import StartupRefused
from servers.common.settings import BaseServerSettings, table
from yapbench import catalog, envs
from yapbench.catalog import CatalogEntry
from yapbench.doctor.environments import Place, as_typed
from yapbench.doctor.finding import Finding
from yapbench.doctor.gpus import Graphics
from yapbench.errors import UsageError
from yapbench.verbs import environment as variables
from yapbench.verbs import fetch

WEIGHTS = "weights"
TINY = "tiny"
"""The model that lies in the checkout, in a folder of that name."""

FIT = "servers that fit this machine"


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """One server with one model, and its other settings as the environment and .env have them."""

    server: str
    model: str = ""
    """As in --model; "" for a server that has none."""
    environment: str = envs.LIGHT
    beside: tuple[str, ...] = ()
    """Environments of processes of its own: what takes the GPU runs there."""
    device: str = "auto"
    """auto, cpu, cuda or cuda:N."""
    device_variable: str = "DEVICE"
    """The environment variable of that setting; "" where there is none, and the server takes what it sees."""
    vram_gb: float = 0.0
    """About what it takes of a GPU; 0: it uses none."""
    weights: str = ""
    """Where they lie."""
    lack: str = ""
    """Why the weights cannot be used; "" when they can, or when there are none."""
    remedy: str = ""
    """The command that brings them."""
    comes_along: bool = True
    """They are part of what `make setup` installs."""
    refused: str = ""
    """Why the settings in force refuse it."""

    @property
    def words(self) -> str:
        """As one types it after a verb."""
        return f"{self.server} --model={self.model}" if self.model else self.server


def look() -> tuple[Candidate, ...]:
    """Every server and model of the catalogue."""
    with _hub_variables():
        return tuple(
            look_at(entry, model, vram_gb)
            for entry in catalog.CATALOG
            for model, vram_gb in entry.models or (("", 0.0),)
        )


def look_at(entry: CatalogEntry, model: str, vram_gb: float, flags: Mapping[str, Any] | None = None) -> Candidate:
    """One model, with other settings of the server's where `flags` has some. Reads no weights: only whether their files
    are there."""
    given = {**(flags or {}), **({"model": model} if model else {})}
    try:
        settings: Any = catalog.parsed_settings(entry, given)
    except UsageError as error:
        return Candidate(server=entry.name, model=model, refused=str(error).removeprefix(f"{entry.name}: "))
    place, lack, weights = "", "", fetch.weights_of(entry)
    if weights is not None:
        try:
            place = as_typed(weights.find(settings))
        except StartupRefused as refused:
            lack = str(refused)
    hub_id = getattr(settings, "hub_id", None)
    environment = catalog.environment_of(entry, given)
    return Candidate(
        server=entry.name,
        model=model,
        environment=environment,
        beside=tuple(name for name, _ in entry.beside),
        device=getattr(settings, "device", "auto"),
        device_variable=_variable_of(settings, "device"),
        vram_gb=vram_gb,
        weights=place,
        lack=lack,
        remedy=_remedy(entry, model, is_of_hub=hub_id is not None),
        comes_along=environment == envs.LIGHT and not entry.beside and hub_id is None,
    )


def weights_findings(found: Sequence[Candidate]) -> list[Finding]:
    """One line for each model that has weights; those that come with the harness are needed."""
    lines = []
    for one in found:
        if one.weights:
            lines.append(Finding(True, f"{one.words}: {one.weights}", needed=one.comes_along, heading=WEIGHTS))
        elif one.lack:
            lines.append(Finding(False, f"{one.words}: not here", one.remedy, needed=one.comes_along, heading=WEIGHTS))
    return lines


def fit_findings(found: Sequence[Candidate], places: Mapping[str, Place], graphics: Graphics) -> list[Finding]:
    """One line a server and model: ready, or what it lacks and the one line that gives it all of that."""
    return [fit(one, places[one.environment], graphics, beside=[places[name] for name in one.beside]) for one in found]


def fit(one: Candidate, place: Place, graphics: Graphics, *, beside: Sequence[Place] = ()) -> Finding:
    """Whether this one would start and serve now."""
    if one.refused:
        remedy = "change that setting in the environment or in .env"
        return Finding(False, f"{one.words}: refused: {one.refused}", remedy, needed=False, heading=FIT)
    lacks: dict[str, str] = {}
    for needed in (place, *beside):
        if not needed.is_complete:
            lacks[f"environment {needed.name}"] = needed.install
    if one.lack:
        lacks["its weights"] = one.remedy
    where, problem, remedy = device(one, next(iter(beside), place), graphics)
    if problem:
        lacks[problem] = remedy
    if lacks:
        what = f"{one.words}: needs {' and '.join(lacks)}"
        return Finding(False, what, " && ".join(lacks.values()), needed=False, heading=FIT)
    return Finding(True, f"{one.words}: ready, on {where}", needed=False, heading=FIT)


def device(one: Candidate, place: Place, graphics: Graphics) -> tuple[str, str, str]:
    """Where it would run; what is wrong with that, and what mends it."""
    asked_gpu = one.device.startswith("cuda")
    # An environment that is still to be made will have a PyTorch for the machine's GPU.
    usable = bool(graphics.cards) and (place.wheel is None or place.wheel.suits(graphics))
    number = int(one.device.partition(":")[2] or 0) if asked_gpu else 0
    if not one.vram_gb or one.device == "cpu" or not (usable or asked_gpu):
        return "the CPU", "", ""
    if not usable or number >= len(graphics.cards):
        return "", f"a GPU for --device={one.device} ({one.device_variable})", f"yapbench up {one.words} --device=auto"
    free_gb = [card.free_bytes / 1e9 for card in graphics.cards]
    if free_gb[number] >= one.vram_gb:
        return f"cuda:{number}, of which it takes about {one.vram_gb:g} GB at most", "", ""
    held = graphics.cards[number].held
    problem = f"about {one.vram_gb:g} GB of GPU memory (cuda:{number} has {free_gb[number]:.1f} GB free"
    problem += f"; {held})" if held else ")"
    roomy = next((i for i, free in enumerate(free_gb) if free >= one.vram_gb), None)
    if not one.device_variable:
        chosen = f"CUDA_VISIBLE_DEVICES={roomy} yapbench up {one.words}"
        return "", problem, "nvidia-smi shows who holds the memory" if roomy is None else chosen
    other = "cpu" if roomy is None else f"cuda:{roomy}"
    return "", problem, f"yapbench up {one.words} --device={other}"


def _variable_of(settings: BaseServerSettings, name: str) -> str:
    """The environment variable of a setting; "" without one."""
    return next((knob.env[0] for knob in table(type(settings)) if knob.name == name and knob.env), "")


def _remedy(entry: CatalogEntry, model: str, *, is_of_hub: bool) -> str:
    if is_of_hub:
        return f"yapbench fetch {entry.name} --model={model}"
    if model == TINY:
        return f"git restore servers/{entry.name}/{TINY}"
    return getattr(fetch.weights_of(entry), "INSTALL", "make setup")  # a package that the server names


@contextlib.contextmanager
def _hub_variables() -> Iterator[None]:
    """What .env says of the hub's folders counts here as for a server, but does not stay."""
    before = {name: os.environ.get(name) for name in fetch.HUB_VARIABLES}
    variables.adopt(fetch.HUB_VARIABLES)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
