"""Write golden trials and their summaries: `python -m tests.golden.write summaries`, or `... write trial`.

`summaries`: summary.json of every golden trial, from its raw rows as the code is now. `trial`: the raw rows of one
trial of the current schema version; once per version, refused where the folder is there already.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from tests.yapbench import made_up, made_up_sessions
from yapbench import measures, store
from yapbench.schema import MACHINE, SCHEMA_VERSION

HERE = Path(__file__).resolve().parent
GPU = {"gpu_model": "Made-up GPU", "memory_mib": 81_920}


def trials() -> list[Path]:
    """Folders of the golden trials, the oldest version first."""
    return sorted(HERE.glob("trial-v*"), key=lambda path: int(path.name.removeprefix("trial-v")))


def write_summaries() -> None:
    """What `yapbench report` leaves beside each trial."""
    for folder in trials():
        store.write_json(folder / "summary.json", measures.summary(store.read_trial(folder)))


def write_trial(folder: Path) -> None:
    """Two repeats of 2 and 4 streams with words, partials, failures, a certificate and a GPU's samples."""
    trial = made_up_sessions.trial(
        folder,
        levels=(2, 4),
        repeats=2,
        count=8,
        failing_from=4,
        failing=0.3,
        wrong=0.4,
        seed=SCHEMA_VERSION,
        certificate=made_up_sessions.CERTIFICATE,
    )
    (folder / "notebook.ipynb").unlink()
    samples = trial.machine.to_dict("records") + _gpu_rows(sorted({int(at) for at in trial.machine["at_ns"]}))
    store.write_table(folder / store.MACHINE_FILE, [{str(k): v for k, v in row.items()} for row in samples], MACHINE)
    machine = trial.info["machine"] | {"gpus": [GPU]}
    store.write_json(folder / store.TRIAL, trial.info | {"machine": machine})


def _gpu_rows(at: list[int]) -> list[dict[str, Any]]:
    """A card at 100 W, 40 % busy, that holds 2 GiB of the server's."""
    return [
        {"schema_version": SCHEMA_VERSION, "at_ns": at_ns, "source": "gpu0", "metric": metric, "value": value}
        for at_ns in at
        for metric, value in (
            ("util_percent", 40.0),
            ("energy_mj", 100e3 * (at_ns - made_up.START_NS) / 1e9),
            ("vram_server_bytes", float(2 << 30)),
        )
    ]


if __name__ == "__main__":
    if sys.argv[1:] == ["summaries"]:
        write_summaries()
    elif sys.argv[1:] == ["trial"]:
        new = HERE / f"trial-v{SCHEMA_VERSION}"
        if new.exists():
            raise SystemExit(f"{new.name} is there already: golden rows are never written again")
        write_trial(new)
        write_summaries()
    else:
        raise SystemExit(__doc__)
