"""Accuracy and AUC of a checkpoint on every split, answered by the code that serves it.

`python -m servers.smart_turn.tiny.evaluate [FOLDER]` prints them again. Knows nothing of the training.
"""

from __future__ import annotations

import argparse
import json
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray

from samples import plan, turns
from samples.manifest import Label
from samples.pool import Split
from samples.sound import levelled, with_faint_noise
from samples.speech import speak
from servers.common.interfaces import Audio
from servers.smart_turn.lengths import SAMPLE_RATE_HZ
from servers.smart_turn.model_v2 import SmartTurnV2
from servers.smart_turn.model_v2_load import load_network
from servers.smart_turn.tiny import data
from servers.smart_turn.weights import TINY

THRESHOLD: Final = 0.5
FRESH_SEED: Final = 1_000_003
"""Added to the trainer's seed: no clip judged here was ever drawn there."""

Labelled = tuple[list[Audio], NDArray[np.bool_]]


def evaluate(folder: Path, *, texts: int | None = None, per_text: int = 1, seed: int = 0) -> dict[str, Any]:
    """Scores by split of the checkpoint in `folder`; `texts` of each split only. Needs flite and espeak-ng."""
    torch.set_num_threads(1)  # these clips are short: a second thread mostly waits
    detector = SmartTurnV2(load_network(folder), device=torch.device("cpu"), dtype=torch.float32)
    parts = {
        f"{split} texts, {voices} voices": drawn(split, speakers, texts=texts, per_text=per_text, seed=seed)
        for split in Split
        for voices, speakers in (("known", data.KNOWN), ("unseen", (data.UNSEEN,)))
    }
    parts |= {f"committed clips, {split}": committed(split, most=texts) for split in Split}
    return {name: score(detector, *part) for name, part in parts.items()}


def drawn(split: Split, speakers: Sequence[str], *, texts: int | None, per_text: int, seed: int) -> Labelled:
    """New clips of a split's texts, made as those of the training are."""
    rng = np.random.default_rng(seed + FRESH_SEED)
    made = data.renditions(data.texts(split)[:texts], speakers=speakers, per_text=per_text, rng=rng)
    return data.labelled(made, rng)


def committed(split: Split, *, most: int | None = None) -> Labelled:
    """The labelled clips of samples/audio, spoken again: the same sound before it was rounded to 16 bits."""
    clips: list[Audio] = []
    labels: list[bool] = []
    for label in Label:
        made = 0
        for planned in plan.turns(label):
            samples, rate_hz, words = speak(planned.text.text, planned.voice, seed=planned.seed)
            shape = turns.cut if label is Label.CUT else turns.complete
            samples = levelled(samples, sample_rate_hz=rate_hz)
            turn = shape(samples, words, planned.text.text, sample_rate_hz=rate_hz)
            if turn is None:
                continue
            if planned.text.split is split:
                noise_seed = zlib.crc32(planned.id.encode()) + planned.seed
                clips.append(with_faint_noise(turn.samples, seed=noise_seed))
                labels.append(label is Label.COMPLETE)
            made += 1
            if made == plan.TURNS_PER_LABEL:
                break
    return clips, np.array(labels)


def score(detector: SmartTurnV2, clips: Sequence[Audio], labels: NDArray[np.bool_]) -> dict[str, Any]:
    """What `detector` makes of clips whose labels are known; `auc_of_length` is what their length alone gives."""
    found = np.array([detector.predict([clip])[0] for clip in clips])
    sizes = np.array([len(clip) for clip in clips], np.float64)
    return {
        "complete": int(labels.sum()),
        "cut": int((~labels).sum()),
        "seconds": round(float(sizes.sum()) / SAMPLE_RATE_HZ, 1),
        "accuracy": round(float(((found > THRESHOLD) == labels).mean()), 3),
        "auc": round(auc(found, labels), 3),
        "auc_of_length": round(auc(sizes, labels), 3),
    }


def auc(scores: NDArray[np.float64], labels: NDArray[np.bool_]) -> float:
    """Share of pairs, a complete clip and a cut one, that `scores` put in the right order; a tie counts half."""
    above = scores[labels][:, None] - scores[~labels][None]
    return float(((above > 0) + 0.5 * (above == 0)).mean())


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m servers.smart_turn.tiny.evaluate", description=__doc__)
    parser.add_argument("folder", type=Path, nargs="?", default=TINY)
    print(json.dumps(evaluate(parser.parse_args(argv).folder), indent=2))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
