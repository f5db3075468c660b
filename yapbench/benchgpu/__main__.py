"""`python -m yapbench.benchgpu --budget-s=480`: a GPU grid within a time budget, under the interpreter it is given.

Reads flags and looks for packages with the standard library alone; only then is anything else imported.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from servers.common.devices import cuda_is_visible
from yapbench.benchgpu import needs
from yapbench.benchgpu.declared import BENCHES, CHECKOUT, HARNESS_NEEDS, PAGE_NEEDS, SERVER_NEEDS, Bench, Need, lookup

USAGE = 2


def read_flags(words: Sequence[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m yapbench.benchgpu", description=__doc__)
    parser.add_argument("--budget-s", type=float, default=480.0, help="seconds in all, archive included [480]")
    parser.add_argument("--out", type=Path, default=CHECKOUT / "runs" / "bench-gpu", help="results [runs/bench-gpu]")
    parser.add_argument("--server", action="append", help="one of those declared; may be repeated [all that can]")
    parser.add_argument("--model", help="as the server takes it [random: the real size, no download]")
    parser.add_argument("--device", help="cuda, cuda:1 or cpu [cuda]")
    parser.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", help="a parameter of the grid")
    parser.add_argument("--python", type=Path, default=Path(sys.executable), help="runs server and bare model [this]")
    parser.add_argument("--bare-s", type=float, default=0.5, help="seconds of the bare model for a batch size [0.5]")
    return parser.parse_args(words)


def main(words: Sequence[str] | None = None) -> int:
    """0: something was measured; 2: a wrong value, a missing package, no GPU; 6: every setting failed; 7: none ran."""
    started_s = time.monotonic()
    flags = read_flags(words)
    benches = [bench for bench in map(lookup, flags.server or [each.server for each in BENCHES]) if bench]
    if len(benches) < len(flags.server or ()):
        return _refuse(f"--server: those declared are {', '.join(bench.server for bench in BENCHES)}")
    if not str(flags.device or "cuda").startswith("cpu") and not cuda_is_visible():
        return _refuse("no CUDA device is visible here; --device=cpu (make: DEVICE=cpu) runs the same on the CPU")
    try:
        lacking = {bench.server: missing([bench], flags.model, flags.python) for bench in benches}
    except (OSError, ValueError) as problem:
        return _refuse(f"--python: {problem}")
    can = [bench for bench in benches if not lacking[bench.server]]
    if not can or (flags.server and len(can) < len(benches)):
        every = dict.fromkeys(name for names in lacking.values() for name in names)
        print(f"missing: {' '.join(every)}", file=sys.stderr)
        return USAGE
    for bench in benches:
        if bench not in can:
            print(f"{bench.server} is left out, missing: {' '.join(lacking[bench.server])}", flush=True)
    return _run(flags, can, started_s)


def missing(benches: Sequence[Bench], model: str | None, python: Path) -> list[str]:
    """What pip would have to install, here for the harness and in `python` for the servers."""
    harness = needs.missing(_rows(HARNESS_NEEDS))
    wanted = [*SERVER_NEEDS]
    for bench in benches:
        wanted += bench.runtimes[bench.backend(model or str(bench.defaults.get("model", "")))]
    served = needs.missing_in(python, _rows(wanted), checkout=CHECKOUT)
    return list(dict.fromkeys([*harness, *served]))


def _rows(wanted: Sequence[Need]) -> list[tuple[str, str, str]]:
    return [(need.module, need.package, need.least) for need in wanted]


def _run(flags: argparse.Namespace, benches: Sequence[Bench], started_s: float) -> int:
    os.environ["YAPBENCH_PYTHON"] = str(flags.python)  # every environment is this interpreter (envs.py)
    from servers.common.errors import StartupRefused
    from yapbench.benchgpu.cells import read_overrides
    from yapbench.benchgpu.run import Asked, run
    from yapbench.errors import YapbenchError

    named = {"model": flags.model, "device": flags.device}
    try:
        overrides = read_overrides(flags.set) | {name: value for name, value in named.items() if value is not None}
        asked = Asked(
            benches=benches,
            overrides=overrides,
            budget_s=flags.budget_s,
            started_s=started_s,
            out=flags.out.resolve(),
            python=flags.python,
            bare_s=flags.bare_s,
            page_lacks=needs.missing(_rows(PAGE_NEEDS)),
        )
        return int(run(asked))
    except YapbenchError as problem:
        print(f"bench-gpu: {problem}", file=sys.stderr)
        return int(problem.exit_code)
    except StartupRefused as problem:  # weights that are not there are found out when a trial's identity is asked for
        return _refuse(str(problem))


def _refuse(reason: str) -> int:
    print(f"bench-gpu: {reason}", file=sys.stderr)
    return USAGE


if __name__ == "__main__":
    sys.exit(main())
