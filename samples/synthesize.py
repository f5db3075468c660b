"""Speaks the planned clips and writes the committed audio with its manifest: `python -m samples.synthesize`.

Needs flite and espeak-ng; the same versions write the same bytes. Nothing else in the project needs either, because
what this writes is committed.
"""

from __future__ import annotations

import argparse
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import numpy as np

from samples import encoding, manifest, plan
from samples.errors import SamplesError
from samples.manifest import Clip, Kind, Label
from samples.plan import Planned
from samples.pool import Length, Paragraph, Sentence, Split, paragraphs, sentences
from samples.sound import babble, levelled, mixed, with_faint_noise
from samples.speech import WORD_ERROR_S, speak
from samples.turns import Turn, complete, cut
from samples.voices import Voice
from samples.word import Word

LICENCE: Final = "CC0-1.0"
GAP_S: Final = 0.4
"""Silence between the paragraphs of long.mp3, besides the tail each brings."""
NOISY_SNR_DB: Final = 10.0
NOISY_SEED: Final = 7


@dataclass(frozen=True, slots=True)
class Made:
    """A clip and its samples at 16 kHz, shape (n,)."""

    clip: Clip
    turn: Turn


def make(planned: Planned) -> Made | None:
    """Speaks one planned clip; None for a cut turn whose text has no place to cut. Raises SamplesError."""
    text = planned.text
    spoken, rate_hz, words = speak(text.text, planned.voice, seed=planned.seed)
    samples = levelled(encoding.at_16k(spoken, sample_rate_hz=rate_hz), sample_rate_hz=encoding.SAMPLE_RATE_HZ)
    shape = cut if planned.label is Label.CUT else complete
    turn = shape(samples, words, text.text, sample_rate_hz=encoding.SAMPLE_RATE_HZ)
    if turn is None:
        return None
    noisy = with_faint_noise(turn.samples, seed=zlib.crc32(planned.id.encode()) + planned.seed)
    turn = replace(turn, samples=noisy)
    suffix = ".flac" if planned.kind is Kind.TURN else ".opus"
    file = f"{planned.kind.value}s/{planned.id}{suffix}"
    return Made(describe(turn, planned, clip_id=planned.id, file=file), turn)


def describe(turn: Turn, planned: Planned, *, clip_id: str, file: str) -> Clip:
    """The manifest's line for `turn`."""
    return Clip(
        id=clip_id,
        file=file,
        text=turn.text,
        language=planned.text.language,
        words=turn.words,
        word_error_s=WORD_ERROR_S[planned.voice.speaker],
        speech_end_s=round(turn.speech_end_s, 4),
        duration_s=round(len(turn.samples) / encoding.SAMPLE_RATE_HZ, 6),
        voice=planned.voice.name,
        seed=planned.seed,
        licence=LICENCE,
        label=planned.label,
        split=planned.text.split,
        kind=planned.kind,
    )


def make_all() -> Iterator[Made]:
    """Every committed clip, in the manifest's order."""
    for label in Label:
        made = (made for planned in plan.turns(label) if (made := make(planned)) is not None)
        for _, clip in zip(range(plan.TURNS_PER_LABEL), made, strict=False):
            yield clip
    for planned in plan.references():
        if (reference := make(planned)) is not None:
            yield reference
    yield from make_extras()


def make_extras() -> Iterator[Made]:
    """mid.wav (about 10 s), long.mp3 (about 60 s) and short-noisy.wav (about 5 s under babble)."""
    medium = paragraphs(language="en", tiny=False, length=Length.MEDIUM)
    long = paragraphs(language="en", tiny=False, length=Length.LONG)
    short = paragraphs(language="en", tiny=False, length=Length.SHORT)
    yield _extra("mid", ".wav", [medium[3]], Voice("rms"))
    yield _extra("long", ".mp3", [long[0], long[3], long[7], long[9]], Voice("slt"))
    yield _under_babble(_extra("short-noisy", ".wav", [short[2]], Voice("slt")))


def _extra(clip_id: str, suffix: str, parts: Sequence[Paragraph], voice: Voice) -> Made:
    """`parts` joined into one clip, its split held_out only if every part's is."""
    turns = [made.turn for part in parts if (made := make(Planned(part, voice, 0, Kind.EXTRA))) is not None]
    gap = with_faint_noise(np.zeros(round(GAP_S * encoding.SAMPLE_RATE_HZ), np.float32), seed=len(parts))
    samples, words = turns[0].samples, turns[0].words
    for turn in turns[1:]:
        began_s = (len(samples) + len(gap)) / encoding.SAMPLE_RATE_HZ
        words += tuple(Word(w.word, round(w.start_s + began_s, 4), round(w.end_s + began_s, 4)) for w in turn.words)
        samples = np.concatenate([samples, gap, turn.samples])
    tail_s = len(turns[-1].samples) / encoding.SAMPLE_RATE_HZ - turns[-1].speech_end_s
    end_s = len(samples) / encoding.SAMPLE_RATE_HZ - tail_s
    joined = Turn(samples, words, " ".join(part.text for part in parts), end_s)
    split = Split.HELD_OUT if all(part.split is Split.HELD_OUT for part in parts) else Split.TRAIN
    planned = Planned(replace(parts[0], split=split), voice, 0, Kind.EXTRA)
    return Made(describe(joined, planned, clip_id=clip_id, file=clip_id + suffix), joined)


def _under_babble(made: Made) -> Made:
    speakers = [Voice("rms"), Voice("awb"), Voice("kal16"), Voice("slt", pitch=0.9)]
    texts = sentences(language="en", tiny=False, split=Split.TRAIN)[:24]
    crowd = [_spoken(text, speakers[index % len(speakers)]) for index, text in enumerate(texts)]
    noise = babble(crowd, len(made.turn.samples), seed=NOISY_SEED, talkers=6, sample_rate_hz=encoding.SAMPLE_RATE_HZ)
    samples = mixed(made.turn.samples, noise, snr_db=NOISY_SNR_DB, sample_rate_hz=encoding.SAMPLE_RATE_HZ)
    return Made(replace(made.clip, seed=NOISY_SEED), replace(made.turn, samples=samples))


def _spoken(text: Sentence, voice: Voice) -> np.typing.NDArray[np.float32]:
    samples, rate_hz, _ = speak(text.text, voice)
    return encoding.at_16k(samples, sample_rate_hz=rate_hz)


def write_all(folder: Path) -> list[Clip]:
    """Writes every clip below `folder`, then the manifest; files of an older plan are removed."""
    clips: list[Clip] = []
    for made in make_all():
        path = folder / made.clip.file
        path.parent.mkdir(parents=True, exist_ok=True)
        encoding.write(path, made.turn.samples)
        clips.append(made.clip)
    wanted = {folder / clip.file for clip in clips}
    for path in folder.rglob("*"):
        if path.suffix in encoding.SUFFIXES and path not in wanted:
            path.unlink()
    manifest.write(folder / "manifest.jsonl", clips)
    return clips


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m samples.synthesize", description=__doc__)
    parser.add_argument("--out", type=Path, default=Path(__file__).with_name("audio"), help="folder to write")
    out: Path = parser.parse_args().out
    try:
        clips = write_all(out)
    except SamplesError as error:
        parser.exit(1, f"{error}\n")
    size_mb = sum((out / clip.file).stat().st_size for clip in clips) / 1e6
    print(f"{len(clips)} clips, {sum(clip.duration_s for clip in clips):.0f} s, {size_mb:.2f} MB in {out}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
