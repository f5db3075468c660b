"""How well the tiny checkpoint reads: word error rates by split and look-ahead, offline and masked as in a stream.

`python -m servers.fastconformer.tiny.evaluate [FILE]` prints the tables of CARD.md. Needs flite.
"""

from __future__ import annotations

import argparse
import logging
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Final, Literal

import torch
from nemo.collections.asr.models import ASRModel

from samples.lessons.exam import Said, Score, committed, marked, splits
from samples.pool import Split
from servers.common.interfaces import Audio
from servers.fastconformer.tiny.network import CONTEXTS

TINY: Final = Path(__file__).with_name("tiny.nemo")
FRAME_MS: Final = 80
Decoder = Literal["rnnt", "ctc"]


def transcripts(
    model: ASRModel, clips: Sequence[Audio], *, context: Sequence[int], decoder: Decoder = "rnnt"
) -> list[str]:
    """What `model` writes for each clip when every frame sees `context` and no more."""
    return [found.text for found in hypotheses(model, clips, context=context, decoder=decoder)]


def hypotheses(
    model: ASRModel, clips: Sequence[Audio], *, context: Sequence[int], decoder: Decoder = "rnnt", batch: int = 16
) -> list[Any]:
    """NeMo's own hypothesis for each clip: text, pieces and their frames."""
    model.eval()
    model.encoder.set_default_att_context_size(list(context))
    order = sorted(range(len(clips)), key=lambda at: len(clips[at]))
    found: list[Any] = [None] * len(clips)
    for begin in range(0, len(order), batch):
        chosen = order[begin : begin + batch]
        sizes = torch.tensor([len(clips[at]) for at in chosen])
        audio = torch.zeros(len(chosen), int(sizes.max()))
        for row, at in enumerate(chosen):
            audio[row, : len(clips[at])] = torch.from_numpy(clips[at])
        with torch.inference_mode():
            encoded, lengths = model(input_signal=audio, input_signal_length=sizes)
            decoded = _decoded(model, encoded, lengths, decoder)
        for at, hypothesis in zip(chosen, decoded, strict=True):
            found[at] = hypothesis
    return found


def _decoded(model: ASRModel, encoded: Any, lengths: Any, decoder: Decoder) -> Any:
    if decoder == "rnnt":
        return model.decoding.rnnt_decoder_predictions_tensor(
            encoder_output=encoded, encoded_lengths=lengths, return_hypotheses=True
        )
    return model.ctc_decoding.ctc_decoder_predictions_tensor(
        model.ctc_decoder(encoder_output=encoded), decoder_lengths=lengths, return_hypotheses=True
    )


def score(model: ASRModel, said: Sequence[Said], *, context: Sequence[int], decoder: Decoder = "rnnt") -> Score:
    """The word errors of `model` on `said`."""
    return marked(said, transcripts(model, [one.audio for one in said], context=context, decoder=decoder))


def table(model: ASRModel, named: dict[str, list[Said]], *, decoder: Decoder) -> Iterable[str]:
    """Lines of Markdown: splits down, look-aheads across, WER in per cent."""
    contexts = sorted(CONTEXTS)
    yield "| clips | n | words | " + " | ".join(f"{right * FRAME_MS} ms" for _, right in contexts) + " |"
    yield "| --- " * (3 + len(contexts)) + "|"
    for name, said in named.items():
        scores = [score(model, said, context=context, decoder=decoder) for context in contexts]
        cells = " | ".join(f"{100 * one.rate:.1f}" for one in scores)
        yield f"| {name} | {len(said)} | {scores[0].words} | {cells} |"


def load(path: Path) -> ASRModel:
    """The checkpoint on the CPU, ready to be asked."""
    return ASRModel.restore_from(str(path), map_location="cpu").eval()


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m servers.fastconformer.tiny.evaluate", description=__doc__)
    parser.add_argument("file", type=Path, nargs="?", default=TINY)
    parser.add_argument("--every", type=int, default=1, help="only every so many-th clip")
    asked = parser.parse_args(argv)
    torch.set_num_threads(1)
    logging.getLogger("nemo_logger").setLevel(logging.ERROR)
    named = splits(every=asked.every)
    for split in Split:
        named |= {f"committed, {name}": said for name, said in committed(split).items()}
    model = load(asked.file)
    for decoder in ("rnnt", "ctc"):
        print(f"\n{decoder}\n")
        for line in table(model, named, decoder=decoder):
            print(line, flush=True)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
