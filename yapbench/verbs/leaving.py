"""Files of a verb that makes its utterances itself: <verb>_metrics.jsonl, <verb>_errors.txt, a table by --output."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pandas as pd

from yapbench import store
from yapbench.verbs import quick, records
from yapbench.verbs.options import Options
from yapbench.verbs.target import Target


def leave(verb: str, place: Target, rows: Sequence[dict[str, Any]], options: Options) -> None:
    """Write them into the folder of quick looks and say where they are."""
    folder = quick.LOOKS / place.entry.name / verb
    folder.mkdir(parents=True, exist_ok=True)
    print(f"files: {records.write(verb, folder, rows)}")
    if options.output is not None:
        options.output.parent.mkdir(parents=True, exist_ok=True)
        flat = [{name: value for name, value in row.items() if name != "missing"} for row in rows]
        store.write_text(options.output, pd.DataFrame(flat).to_csv(index=False))
        print(f"table: {options.output}")
