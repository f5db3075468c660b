"""Environments by name: which interpreter runs a server, how it is made, what is in it.

"light" is the harness's own. Others hold third-party packages only and lie in a cache shared by checkouts, under a
name that hashes their requirements; our code comes to them by PYTHONPATH. Knows nothing of what the packages do.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import platform
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from importlib import metadata
from pathlib import Path
from typing import Any, BinaryIO

from servers.common.devices import cuda_is_visible
from servers.common.settings import BaseServerSettings
from yapbench import builds, catalog, image
from yapbench.errors import UsageError, YapbenchError

LIGHT = "light"
CHECKOUT = Path(__file__).resolve().parent.parent
COMPLETE = ".complete"
CPU_ONLY = CHECKOUT / "servers" / "cpu_only.txt"
OF_NO_SERVER = {"bench": CHECKOUT / "benchmarks" / "requirements.txt"}
"""Environments that no catalogue server runs in, made by `yapbench install <name>`, and their requirements."""
OF_OWN_PINS = frozenset({"vllm"})
"""Environments whose files say every version themselves: constraints.txt has others of the same packages."""

_QUIET_PIP = {"PIP_DISABLE_PIP_VERSION_CHECK": "1", "PIP_NO_INPUT": "1"}


class InstallFailed(YapbenchError):
    """An environment could not be made; `log_path` holds all that pip said."""

    def __init__(self, environment: str, step: str, log_path: Path, log_tail: str) -> None:
        self.environment, self.step, self.log_path = environment, step, log_path
        super().__init__(f"environment {environment!r}: {step} failed, see {log_path}\n{log_tail}")


@dataclass(frozen=True)
class Environment:
    """One environment that is not the harness's own."""

    name: str
    requirements: tuple[Path, ...]
    constraints: Path | None
    root: Path
    forbidden: Path | None = None
    """Constraints that no package may break: all of its lines count."""
    alone: Path | None = None
    """Requirements installed last and without what they ask for, whose pins could not be had beside the others."""
    torch: image.ImageTorch | None = None
    """The image's PyTorch, on which it stands."""

    @property
    def lines(self) -> list[str]:
        """What its files ask for."""
        return [line for path in self.requirements for line in requirement_lines(path)]

    @property
    def pins(self) -> list[str]:
        """The versions that its constraints say of that."""
        names = {requirement_name(line) for line in self.lines}
        found = requirement_lines(self.constraints) if self.constraints else []
        return [pin for pin in found if requirement_name(pin) in names]

    @property
    def path(self) -> Path:
        """Its folder. Other requirements, pins of them, another Python or PyTorch of the image make another folder."""
        content: dict[str, Any] = {
            "requirements": sorted(set(self.lines)),
            "pins": sorted(self.pins),
            "python": [*sys.version_info[:2], platform.machine()],
        }
        if self.forbidden:
            content["forbidden"] = sorted(requirement_lines(self.forbidden))
        if self.alone:
            content["alone"] = sorted(requirement_lines(self.alone))
        if self.torch:
            content["torch"] = [self.torch.version, str(self.torch.folder)]
        digest = hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
        return self.root / f"{self.name}-{digest[:12]}"

    @property
    def python(self) -> Path:
        return self.path / ("Scripts/python.exe" if sys.platform == "win32" else "bin/python")

    def is_complete(self) -> bool:
        return (self.path / COMPLETE).is_file()


def environment(name: str) -> Environment:
    """The environment called `name`, for every catalogue server that runs in it, or one of OF_NO_SERVER.

    On a machine without a GPU no package of NVIDIA's may come into it: gigabytes that nothing here could run. Where the
    image's Python has a PyTorch that satisfies the pins, it stands on that one.
    """
    servers = [entry for entry in catalog.CATALOG if name in names_of(entry)]
    files = [OF_NO_SERVER[name]] if name in OF_NO_SERVER else [requirements_file(entry, name) for entry in servers]
    alone = [file for file in map(_alone_file, files) if file.is_file()]
    root = os.environ.get("YAPBENCH_ENVS") or "~/.cache/yapbench/envs"
    gpu = cuda_is_visible()
    made = Environment(
        name,
        tuple(files),
        None if name in OF_OWN_PINS else CHECKOUT / "constraints.txt",
        Path(root).expanduser().resolve(),
        None if gpu else CPU_ONLY,
        alone[0] if alone else None,
    )
    return replace(made, torch=image.torch_for([*made.lines, *made.pins], gpu=gpu))


def names_of(entry: catalog.CatalogEntry) -> tuple[str, ...]:
    """Every environment that the server, or a process of its own, may run in; the usual one first."""
    return (entry.environment, *dict(entry.others), *dict(entry.beside))


def requirements_file(entry: catalog.CatalogEntry, name: str) -> Path:
    """requirements.txt for the server's usual environment, requirements-<name>.txt for another.

    Where there is a requirements-<name>-cpu.txt it stands for it on a machine without a GPU.
    """
    folder = CHECKOUT / "servers" / entry.name
    if name == entry.environment:
        return folder / "requirements.txt"
    for_cpu = folder / f"requirements-{name}-cpu.txt"
    return for_cpu if for_cpu.is_file() and not cuda_is_visible() else folder / f"requirements-{name}.txt"


def _alone_file(requirements: Path) -> Path:
    """What is installed last and without what it asks for stands beside the other requirements."""
    return requirements.with_name(f"{requirements.stem}-alone.txt")


def interpreter(name: str) -> Path:
    """The Python that runs servers of environment `name`. Raises UsageError with the command that makes it.

    YAPBENCH_PYTHON, where it is set, stands for every environment: nothing is made then, and nothing looked for.
    """
    if given := os.environ.get("YAPBENCH_PYTHON"):
        return Path(given)
    if name == LIGHT:
        return Path(sys.executable)
    found = environment(name)
    if not found.is_complete():
        usual = [entry.name for entry in catalog.CATALOG if name in (entry.environment, *dict(entry.beside))]
        usual += [name] if name in OF_NO_SERVER else []
        other = [f"{entry.name} {flag}" for entry in catalog.CATALOG for n, flag in entry.others if n == name]
        commands = " or ".join(f"`yapbench install {words}`" for words in usual + other)
        raise UsageError(f"environment {name!r} is not there: run {commands}")
    return found.python


def install(server: str, flags: Sequence[str] = (), *, say: Callable[[str], None] = print) -> Path:
    """Make what `server` needs when started with `flags`, unless it is there; returns its interpreter.

    What a process of its own runs in is made too. Raises InstallFailed, and UsageError for flags that the server does
    not take.
    """
    if server in OF_NO_SERVER:
        return build(environment(server), say=say)
    entry = catalog.lookup(server)
    name = catalog.environment_of_flags(entry, flags)
    for other in beside(entry, catalog.settings_of_flags(entry, flags)):
        build(environment(other), say=say)
    if name != LIGHT:
        return build(environment(name), say=say)
    missing = [package for package, version in _packages(requirements_of(server)).items() if version is None]
    if missing:
        raise UsageError(f"{server} lacks {', '.join(missing)} in {sys.prefix}: run `make setup`")
    say(f"{server} runs in the harness's own environment, {sys.prefix}: nothing to do")
    for other, flag in entry.others:
        if not environment(other).is_complete():
            say(f"with {flag} it needs another: yapbench install {server} {flag}")
    return Path(sys.executable)


def build(wanted: Environment, *, say: Callable[[str], None] = print) -> Path:
    """Make an environment, unless it is there; returns its interpreter.

    One builder at a time; a half-made one is made again from nothing. Raises InstallFailed.
    """
    if wanted.is_complete():
        say(f"environment {wanted.name!r} is ready: {wanted.path}")
        return wanted.python
    wanted.root.mkdir(parents=True, exist_ok=True)
    with _lock(wanted, say) as lock:
        if wanted.is_complete():
            say(f"environment {wanted.name!r} has been made meanwhile: {wanted.path}")
            return wanted.python
        if wanted.path.exists():
            say(f"removing what an interrupted build left in {wanted.path}")
            shutil.rmtree(wanted.path)
        log_path = wanted.root / f"{wanted.path.name}.log"
        log_path.unlink(missing_ok=True)
        files = [word for path in wanted.requirements for word in ("-r", str(path))]
        pins = [word for path in (wanted.constraints, wanted.forbidden) if path for word in ("-c", str(path))]
        began_s = time.monotonic()

        def run(step: str, argv: Sequence[str]) -> None:
            say(f"environment {wanted.name!r}: {step} ...")
            _run(wanted, step, argv, log_path, lock)

        below = ["--system-site-packages"] if wanted.torch else []
        run("python -m venv", [sys.executable, "-m", "venv", *below, str(wanted.path)])
        if pin := _torch_pin(wanted):
            say(f"environment {wanted.name!r}: {pin}, {'which the image has' if wanted.torch else 'for this driver'}")
            extra = wanted.root / f"{wanted.path.name}.torch.txt"
            extra.write_text(f"{pin}\n", encoding="utf-8")
            pins += ["-c", str(extra)]
        run("pip install", [str(wanted.python), "-m", "pip", "install", *files, *pins])
        if wanted.alone:
            run(
                "pip install --no-deps",
                [str(wanted.python), "-m", "pip", "install", "--no-deps", "-r", str(wanted.alone)],
            )
        (wanted.path / COMPLETE).touch()
        say(f"environment {wanted.name!r} is ready after {time.monotonic() - began_s:.0f} s: {wanted.path}")
    return wanted.python


def _torch_pin(wanted: Environment) -> str:
    """What holds pip to the PyTorch that this environment is to have; "" where pip may choose.

    Raises UsageError when no build that pip finds runs with this machine's driver.
    """
    if wanted.torch:
        return wanted.torch.pin
    driver = builds.driver() if "torch" in map(requirement_name, wanted.lines) else None
    return builds.pin_for(driver, wanted.python, wanted.constraints) if driver else ""


def beside(entry: catalog.CatalogEntry, settings: BaseServerSettings) -> dict[str, str]:
    """Environments that processes of the server's own run in with `settings`, each with the server's variable for it.

    Settings that bring such a process's Python themselves, or need none, say so by `beside`.
    """
    wanted: Collection[str] = getattr(settings, "beside", dict(entry.beside))
    return {name: variable for name, variable in entry.beside if name in wanted}


def interpreters_beside(entry: catalog.CatalogEntry, settings: BaseServerSettings) -> dict[str, str]:
    """The same by variable, each with the Python. Raises UsageError with the command that makes a missing one."""
    return {variable: str(interpreter(name)) for name, variable in beside(entry, settings).items()}


def fingerprint(server: str, name: str | None = None, *, others: Iterable[str] = ()) -> dict[str, Any]:
    """What the server runs on in environment `name` (default: its usual one), and `others`, its own processes' ones.

    {"python", "packages": {direct requirement: version or None}, "sha256"}; with others: "beside": {name: the same}.
    """
    name = name or catalog.lookup(server).environment
    names = requirements_of(server, name)
    python = interpreter(name)
    if python == Path(sys.executable):
        found: dict[str, Any] = {"python": platform.python_version(), "packages": _packages(names)}
    else:
        done = subprocess.run(
            [str(python), "-I", "-c", _FINGERPRINT, *names],
            capture_output=True,
            text=True,
            check=True,
        )
        found = json.loads(done.stdout)
    if next_to_it := {other: fingerprint(server, other) for other in others}:
        found["beside"] = next_to_it
    canonical = json.dumps(found, sort_keys=True, separators=(",", ":"))
    return found | {"sha256": hashlib.sha256(canonical.encode()).hexdigest()}


def requirements_of(server: str, name: str | None = None) -> list[str]:
    """Names of the server's direct requirements in environment `name`; [] when there is no such file."""
    entry = catalog.lookup(server)
    file = requirements_file(entry, name or entry.environment)
    lines = requirement_lines(file) + requirement_lines(_alone_file(file))
    return sorted({requirement_name(line) for line in lines})


def requirement_lines(path: Path) -> list[str]:
    """The requirements of a file, those of files it takes in by `-r` too; comments and pip options left out."""
    if not path.is_file():
        return []
    found: list[str] = []
    for raw in path.read_text(encoding="utf-8").splitlines():
        line = re.sub(r"(^|\s)#.*$", "", raw).strip()
        if included := re.match(r"(?:-r|--requirement)[\s=]\s*(\S+)", line):
            found += requirement_lines(path.parent / included[1])
        elif line and not line.startswith("-"):
            found.append(line)
    return found


def requirement_name(line: str) -> str:
    """`Pipecat_AI[x]>=1; python_version>"3"` -> `pipecat-ai`."""
    name = re.match(r"[A-Za-z0-9][A-Za-z0-9._-]*", line)
    return re.sub(r"[-_.]+", "-", name[0]).lower() if name else line


_FINGERPRINT = """
import json, platform, sys
from importlib import metadata
def version(name):
    try: return metadata.version(name)
    except metadata.PackageNotFoundError: return None
print(json.dumps({"python": platform.python_version(), "packages": {n: version(n) for n in sys.argv[1:]}}))
"""


def _packages(names: Sequence[str]) -> dict[str, str | None]:
    found: dict[str, str | None] = dict.fromkeys(names)
    for name in names:
        with contextlib.suppress(metadata.PackageNotFoundError):
            found[name] = metadata.version(name)
    return found


@contextlib.contextmanager
def _lock(wanted: Environment, say: Callable[[str], None]) -> Iterator[BinaryIO]:
    """Held by this build, and by the pip it has started: a killed builder's pip must not write into the next one."""
    import fcntl  # not on Windows, where this module must still import

    with (wanted.root / f"{wanted.path.name}.lock").open("wb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say(f"environment {wanted.name!r}: waiting for another process that makes it")
            fcntl.flock(file, fcntl.LOCK_EX)
        yield file


def _run(wanted: Environment, step: str, argv: Sequence[str], log_path: Path, lock: BinaryIO) -> None:
    with log_path.open("ab") as log:
        done = subprocess.run(
            argv,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            env=os.environ | _QUIET_PIP,
            pass_fds=[lock.fileno()],
            check=False,
        )
    if done.returncode != 0:
        text = log_path.read_text(errors="replace")
        tail = "\n".join(text.splitlines()[-10:])
        if wanted.forbidden and "ResolutionImpossible" in text:
            tail += (
                f"\n{wanted.forbidden.name} keeps some packages out: there is no GPU here, and pip needs an index or a "
                "folder with PyTorch's CPU wheels (PIP_EXTRA_INDEX_URL, PIP_FIND_LINKS)"
            )
        raise InstallFailed(wanted.name, step, log_path, tail)
