"""Words and characters right and wrong, over all utterances of a level: WER and its kin, each a ratio of sums.

Pure; knows scores of utterances and which of them ended well; knows no time.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from yapbench import stats, wer
from yapbench.stats import Estimate, Resample
from yapbench.streams import pooling

NO_REFERENCE: Final = "no utterance with a reference"
_COUNTED: Final = (
    *("words", "errors", "rate", "substitutions", "deletions", "insertions", "unordered", "heard"),
    *("raw_words", "raw_errors", "characters", "character_errors", "raw_characters", "raw_character_errors"),
)
_OF: Final = {
    "wer": ("errors", "words"),
    "wer_unordered": ("unordered", "words"),
    "wer_raw": ("raw_errors", "raw_words"),
    "substitutions": ("substitutions", "words"),
    "deletions": ("deletions", "words"),
    "insertions": ("insertions", "words"),
    "cer": ("character_errors", "characters"),
    "cer_raw": ("raw_character_errors", "raw_characters"),
}
"""What is divided by what, over the utterances that ended well and in which something is said."""

Counts = tuple[float, ...]


def counts(score: wer.Score | None) -> Counts:
    """The numbers of one score in the order of `_COUNTED`; NaN without a reference."""
    if score is None:
        return (math.nan,) * len(_COUNTED)
    errors = score.words.errors
    return (
        *(errors.reference, errors.total, errors.rate or 0.0, errors.substitutions, errors.deletions),
        *(errors.insertions, score.unordered, errors.hypothesis, score.raw_words.reference, score.raw_words.total),
        *(score.characters.reference, score.characters.total),
        *(score.raw_characters.reference, score.raw_characters.total),
    )


def accuracy(
    each: Sequence[Counts], *, ok: Sequence[bool], audio_s: Sequence[float], drawn: Resample
) -> dict[str, Estimate]:
    """By name, of utterances with these `counts`; an utterance in which nothing is said is asked for made up words.

    `ok`: it ended well; `audio_s`: its length. All in the order of `drawn`.
    """
    columns = np.array(each, dtype=np.float64).reshape(-1, len(_COUNTED)).T
    table = dict(zip(_COUNTED, columns, strict=True))
    ended_well = np.asarray(ok, dtype=bool)
    spoken = table["words"] > 0
    well, silent = spoken & ended_well, (table["words"] == 0) & ended_well

    def rate(above: str, below: str | None, chosen: NDArray[np.bool_]) -> Estimate:
        divisor = table[below] if below else np.ones(len(each))
        return pooling.ratio(drawn, table[above], np.where(chosen, divisor, np.nan), NO_REFERENCE)

    audio_min = np.where(silent, np.asarray(audio_s, dtype=np.float64) / 60, np.nan)
    return {
        **{name: rate(above, below, well) for name, (above, below) in _OF.items()},
        "wer_mean": rate("rate", None, well),
        "wer_strict": rate("errors", "words", spoken),
        "empty_share": stats.fraction(int((well & (table["heard"] == 0)).sum()), int(well.sum())),
        "made_up_words_per_min": pooling.ratio(drawn, table["insertions"], audio_min, "no utterance without speech"),
    }
