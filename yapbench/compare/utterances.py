"""WER before and after, paired by utterance: the words that both sides heard to their end, each counted once.

Knows scores; does not know how a text is scored.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from yapbench.compare import draws, metrics
from yapbench.compare.effect import Sampled, effect
from yapbench.compare.pair import FEWEST, Compared, Pair
from yapbench.stats import SEED
from yapbench.streams.measures import Measured


def wer(found: Compared, pair: Pair, measured: Sequence[Sequence[Measured]]) -> None:
    """Whole utterances are drawn, with all their showings in all rounds on both sides.

    The same audio mostly brings the same errors, so that a second showing is no second sample. `measured`: of both
    sides' counted rows.
    """
    tables = [_errors(rows, side) for rows, side in zip(pair.counted, measured, strict=True)]
    both = sorted(set(tables[0]["utterance"]) & set(tables[1]["utterance"]))
    if len(both) < FEWEST:
        found.omitted.append((metrics.WER.title, f"fewer than {FEWEST} utterances that both sides heard to their end"))
        return
    rng = np.random.default_rng(SEED)
    weights = rng.multinomial(len(both), np.full(len(both), 1 / len(both)), size=draws.REPLICATES).astype(np.float64)
    rounds = range(1 + max(int(rows["round"].max()) for rows in pair.counted))
    sides, said = [], 0.0
    for table in tables:
        shown = table[table["utterance"].isin(both)]
        whole = shown.groupby("utterance")[["errors", "words"]].mean().loc[both]
        errors, words = whole["errors"].to_numpy(), whole["words"].to_numpy()
        once = shown.groupby(["round", "utterance"])[["errors", "words"]].mean()
        by_round = once.groupby("round").sum().reindex(rounds)
        each = (by_round["errors"] / by_round["words"]).to_numpy(dtype=np.float64)
        said = float(words.sum())
        sides.append(Sampled(float(errors.sum()) / said, (weights @ errors) / (weights @ words), each, len(both)))
    found.add(
        metrics.WER,
        lambda: effect(
            metrics.WER,
            sides[0],
            sides[1],
            paired=pair.level.paired,
            freedom=len(both) - 1.0,
            inflation=len(both) / (len(both) - 1),
            least_variance=2 / said**2,  # as if one word more had been wrong on each side
        ),
    )


def _errors(rows: pd.DataFrame, measured: Sequence[Measured]) -> pd.DataFrame:
    """Of each stream that ended well and in which something is said: round, utterance, errors, words."""
    kept = []
    for number, name, item in zip(rows["round"], rows["utterance_id"], measured, strict=True):
        if item.score is not None and item.score.has_reference and item.stream.ok:
            kept.append((number, name, item.score.words.errors.total, item.score.words.errors.reference))
    return pd.DataFrame(kept, columns=["round", "utterance", "errors", "words"])
