"""The bare model beside the server: a program of its own, kept running between the settings and asked in turns.

Knows the program's JSON lines; knows no model. What it is told: the mode as flags, the clips, the CPUs.
"""

from __future__ import annotations

import json
import os
import select
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np

from yapbench.catalog import written
from yapbench.corpus import Corpus
from yapbench.errors import YapbenchError

RATE_HZ = 16_000


class BareFailed(YapbenchError):
    """The program said why it cannot run, ended, or did not answer in time."""


class Bare:
    """One bare model in one mode. `ask` blocks; the process ends with this object's `stop`, and with its owner."""

    def __init__(
        self,
        program: Path,
        *,
        python: Path,
        mode: Mapping[str, Any],
        clips: Path,
        checkout: Path,
        log_path: Path,
        cpus: Sequence[int] | None = None,
    ) -> None:
        flags = [f"--{name.replace('_', '-')}={written(value)}" for name, value in mode.items() if value is not None]
        pinned = [f"--cpus={','.join(map(str, cpus))}"] if cpus else []
        self._log_path = log_path
        paths = os.pathsep.join(filter(None, [str(checkout), os.environ.get("PYTHONPATH")]))
        with log_path.open("ab") as log:
            self._process = subprocess.Popen(
                [str(python), str(program), f"--clips={clips}", *pinned, *flags],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                env=os.environ | {"PYTHONPATH": paths},
                cwd=checkout,
            )
        self._pending = b""

    def facts(self, *, timeout_s: float) -> dict[str, Any]:
        """What it runs on, from its first line. Raises BareFailed with its reason."""
        said = self._read(timeout_s)
        if "facts" not in said:
            raise BareFailed(str(said.get("error", "its first line says nothing")))
        return dict(said["facts"])

    def ask(self, batch_sizes: Sequence[int], *, seconds: float, timeout_s: float) -> list[dict[str, Any]]:
        """Measure some batch sizes now, `seconds` each. Raises BareFailed."""
        question = json.dumps({"batch_sizes": list(batch_sizes), "seconds": seconds})
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(f"{question}\n".encode())
            self._process.stdin.flush()
        except BrokenPipeError:
            raise BareFailed(self._last_words()) from None
        return list(self._read(timeout_s)["sizes"])

    def stop(self) -> None:
        """End it. Harmless when it has ended."""
        with self._process as process:
            process.kill()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _read(self, timeout_s: float) -> dict[str, Any]:
        assert self._process.stdout is not None
        pipe, deadline_s = self._process.stdout.fileno(), time.monotonic() + timeout_s
        while b"\n" not in self._pending:
            if not select.select([pipe], [], [], max(0.0, deadline_s - time.monotonic()))[0]:
                raise BareFailed(f"no answer within {timeout_s:.0f} s")
            piece = os.read(pipe, 1 << 16)
            if not piece:
                raise BareFailed(self._last_words())
            self._pending += piece
        line, _, self._pending = self._pending.partition(b"\n")
        value = json.loads(line)
        return value if isinstance(value, dict) else {}

    def _last_words(self) -> str:
        lines = self._log_path.read_text(encoding="utf-8", errors="replace").strip().splitlines()
        return f"it ended: {lines[-1] if lines else 'without a word'}"


def write_clips(corpus: Corpus, path: Path) -> None:
    """The corpus as the bare program reads it: what a client sends, at the model's rate."""
    clips = {str(number): utterance.audio(RATE_HZ) for number, utterance in enumerate(corpus)}
    with path.open("wb") as file:
        np.savez(file, allow_pickle=False, **clips)
