"""How well the tiny checkpoint reads: word error rates by split and look-ahead, offline and masked as in a stream.

`python -m servers.fastconformer.tiny.evaluate [FILE]` prints the tables of CARD.md. Needs flite.
"""

from __future__ import annotations

import argparse
import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np
import soundfile
import torch
from nemo.collections.asr.models import ASRModel

from samples import manifest
from samples.pool import Split, sentences, spoken_words
from samples.sound import levelled
from samples.speech import speak
from samples.voices import Voice
from servers.common.audio import SAMPLE_RATE_HZ
from servers.common.interfaces import Audio
from servers.fastconformer.tiny import texts
from servers.fastconformer.tiny.data import KEPT_RATES, UNHEARD_VOICE, VOICES
from servers.fastconformer.tiny.network import CONTEXTS
from servers.fastconformer.tiny.texts import Text, Words

AUDIO: Final = Path(manifest.__file__).parent / "audio" / "manifest.jsonl"
TINY: Final = Path(__file__).with_name("tiny.nemo")
FRAME_MS: Final = 80
TAIL_S: Final = 0.3
Decoder = Literal["rnnt", "ctc"]


@dataclass(frozen=True, slots=True)
class Said:
    """One test clip, 16 kHz float32 of shape (n,), its words and, where that is known, when each of them ends."""

    audio: Audio
    words: Words
    ends_s: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True)
class Score:
    """Word errors of a split; its rate is a share, above 1 where much was heard that nobody said."""

    errors: int
    words: int

    @property
    def rate(self) -> float:
        return self.errors / self.words


def splits(*, every: int = 1) -> dict[str, list[Said]]:
    """The test clips by name; every `every`-th of each split for a quick look. Raises EngineMissing without flite."""
    train, held_out = texts.known(Split.TRAIN), texts.known(Split.HELD_OUT)
    foreign = [
        Text(tuple(spoken_words(row.text)), row.text) for row in sentences(language="en", tiny=False, split=Split.TRAIN)
    ]
    long_train, long_held_out = (texts.known_paragraphs(split) for split in Split)
    named = {
        "known sentences": spoken(train, VOICES, turns=2, every=every),
        "new sentences": spoken(held_out, VOICES, turns=6, every=every),
        "known paragraphs": spoken(long_train, VOICES, turns=6, every=every),
        "new paragraphs": spoken(long_held_out, VOICES, turns=6, every=every),
        "new sentences, 12 joined": joined(spoken(held_out, VOICES, turns=6, every=every), parts=12),
        "known sentences, unheard voice": spoken(train, (UNHEARD_VOICE,), turns=1, every=every),
        "new sentences, unheard voice": spoken(held_out, (UNHEARD_VOICE,), turns=2, every=every),
        "foreign words": spoken(foreign[:60], VOICES, turns=1, every=every),
    }
    return {name: said for name, said in named.items() if said}


def committed(split: Split) -> dict[str, list[Said]]:
    """The project's own clips of tiny texts in known voices, so that nothing has to be spoken: turns and paragraphs."""
    clips = [clip for clip in manifest.load(AUDIO) if "-tiny-" in clip.id and clip.split is split]
    clips = [clip for clip in clips if clip.label is not manifest.Label.CUT and clip.voice != UNHEARD_VOICE]
    return {
        f"{split} {kind}s": [_read(clip) for clip in clips if clip.kind is kind]
        for kind in (manifest.Kind.TURN, manifest.Kind.PARAGRAPH)
    }


def _read(clip: manifest.Clip) -> Said:
    audio, rate_hz = soundfile.read(AUDIO.parent / clip.file, dtype="float32")
    assert rate_hz == SAMPLE_RATE_HZ, "the committed clips are at 16 kHz"
    return Said(audio, tuple(spoken_words(clip.text)))


def spoken(chosen: Sequence[Text], voices: Sequence[str], *, turns: int, every: int = 1) -> list[Said]:
    """Each text `turns` times, voices and the rates kept for testing in turn; of all that every `every`-th."""
    planned: list[tuple[Text, Voice]] = []
    for turn in range(turns):
        for at, text in enumerate(chosen):
            rate = KEPT_RATES[(at + turn // len(voices)) % len(KEPT_RATES)]
            planned.append((text, Voice(voices[(at + turn) % len(voices)], 1.0, rate)))
    return [say(text, voice) for text, voice in planned[::every]]


def say(text: Text, voice: Voice) -> Said:
    """As a person would send it: the usual level, a little silence behind."""
    samples, rate_hz, words = speak(text.written, voice)
    assert rate_hz == SAMPLE_RATE_HZ, "flite speaks at 16 kHz"
    tail = np.zeros(int(TAIL_S * SAMPLE_RATE_HZ), np.float32)
    audio = np.concatenate([levelled(samples, sample_rate_hz=rate_hz), tail])
    return Said(audio, text.words, tuple(word.end_s for word in words))


def joined(said: Sequence[Said], *, parts: int) -> list[Said]:
    """`parts` clips after one another, again and again: streams of half a minute."""
    found = []
    for at in range(0, len(said) - parts + 1, parts):
        row = said[at : at + parts]
        found.append(Said(np.concatenate([one.audio for one in row]), tuple(word for one in row for word in one.words)))
    return found


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
    heard = transcripts(model, [one.audio for one in said], context=context, decoder=decoder)
    errors = sum(distance(one.words, text.split()) for one, text in zip(said, heard, strict=True))
    return Score(errors, sum(len(one.words) for one in said))


def distance(reference: Sequence[str], heard: Sequence[str]) -> int:
    """Fewest words to put in, leave out or change."""
    row = list(range(len(heard) + 1))
    for at, word in enumerate(reference, start=1):
        before, row[0] = row[0], at
        for to, other in enumerate(heard, start=1):
            before, row[to] = row[to], min(row[to] + 1, row[to - 1] + 1, before + (word != other))
    return row[-1]


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
