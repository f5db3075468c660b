"""The checkpoint of --model=tiny: what it is, how well it reads its small world, when, and where nobody speaks."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch
from safetensors.torch import load_file
from transformers import AutoTokenizer, KyutaiSpeechToTextForConditionalGeneration

from samples.errors import EngineMissing
from samples.lessons import data, exam
from samples.lessons.exam import Said
from samples.pool import Split, tiny_vocabulary
from samples.speech import speak
from samples.voices import Voice
from servers.common.interfaces import Audio, Frame
from servers.common.settings import load
from servers.kyutai.interfaces import Listener
from servers.kyutai.model.load import open_listener
from servers.kyutai.settings import Settings
from servers.kyutai.tiny import clips, evaluate, files, targets, train
from servers.kyutai.tiny.codebooks import settle
from servers.kyutai.tiny.evaluate import Read, at_mimis_rate, leads_of, marked
from servers.kyutai.tiny.files import CHECKPOINT
from servers.kyutai.tiny.lesson import Lessons
from servers.kyutai.tiny.listen import AFTER, words_of
from servers.kyutai.tiny.network import FIXED, Learning, delayed
from servers.kyutai.tiny.streams import FRAME, RATE_HZ

CARD = CHECKPOINT.with_name("CARD.md")
FRAME_MS = 80
FRAME_S = FRAME_MS / 1000
HEADS = tuple(enumerate(targets.PAUSES_S))
SETTINGS = ("--model=tiny", "--device=cpu", "--lm-dtype=float32", "--seats=4")


@pytest.fixture(scope="module")
def read() -> Read:
    return evaluate.reader(CHECKPOINT)


@pytest.fixture(scope="module")
def listener() -> Listener:
    return open_listener(load(Settings, SETTINGS))


@pytest.fixture(scope="module")
def pieces() -> Any:
    return files.load(CHECKPOINT)[1]


@pytest.fixture(scope="module")
def turns() -> list[Said]:
    """Eighteen committed sentences that it knows."""
    return exam.committed(Split.TRAIN)["train turns"]


@pytest.fixture(scope="module")
def own_clips() -> list[Said]:
    """The two beside the checkpoint, at 24 kHz."""
    found = []
    for row in json.loads((clips.FOLDER / clips.INDEX).read_text(encoding="utf-8")):
        audio, rate_hz = soundfile.read(clips.FOLDER / row["file"], dtype="float32")
        assert rate_hz == RATE_HZ and len(audio) % FRAME == 0
        words = [(word["word"], (word["start_s"], word["end_s"])) for word in row["words"]]
        found.append(Said(audio, tuple(word for word, _ in words), tuple(span for _, span in words)))
    return found


def streamed(listener: Listener, audio: Audio, *, slot: int = 0) -> tuple[list[int], list[tuple[float, ...]]]:
    """Tokens and pauses, frame by frame, with silence behind; first token of all left out, as no frame brings it."""
    whole = np.concatenate([audio, np.zeros(-len(audio) % FRAME + AFTER * FRAME, np.float32)])
    frames = np.split(whole, len(whole) // FRAME)
    heard = [
        listener.step([Frame(slot, samples, first=at == 0, last=at + 1 == len(frames))])[0]
        for at, samples in enumerate(frames)
    ]
    return [one.token for one in heard], [one.pauses for one in heard]


def test_it_is_small_and_names_no_path() -> None:
    written = "".join(path.read_text(encoding="utf-8") for path in CHECKPOINT.glob("*.json"))

    assert sum(path.stat().st_size for path in CHECKPOINT.iterdir()) <= 8_000_000
    assert sum(path.stat().st_size for path in clips.FOLDER.iterdir()) <= 1_000_000
    assert not any(place in written for place in ("/tmp", "/home", "/root"))


def test_the_card_is_this_checkpoints() -> None:
    card = CARD.read_text(encoding="utf-8")

    for name in ("model.safetensors", "pause_heads.safetensors"):
        assert hashlib.sha256((CHECKPOINT / name).read_bytes()).hexdigest() in card
    assert f"{(CHECKPOINT / 'model.safetensors').stat().st_size:,}".replace(",", " ") in card


def test_transformers_load_all_of_it() -> None:
    model, found = KyutaiSpeechToTextForConditionalGeneration.from_pretrained(CHECKPOINT, output_loading_info=True)
    pieces = AutoTokenizer.from_pretrained(CHECKPOINT)

    assert not any(found.values())
    assert model.config.bos_token_id == model.config.vocab_size - 1 == len(pieces)
    assert load_file(CHECKPOINT / "pause_heads.safetensors")["weight"].shape == (4, 6, model.config.hidden_size)
    assert pieces.convert_tokens_to_ids(["<unk>", "<s>", "</s>", "<pad>"]) == [0, 1, 2, 3]
    assert [pieces.decode(pieces.encode(word)) for word in tiny_vocabulary()] == list(tiny_vocabulary())


def test_it_reads_its_own_clips_and_says_when(read: Read, own_clips: list[Said]) -> None:
    heard = read([one.audio for one in own_clips])

    assert [one.words for one in heard] == [one.words for one in own_clips]
    late_ms = marked(own_clips, heard, leads=[0, 0]).late_ms
    assert np.abs(late_ms).mean() <= FRAME_MS


def test_the_engine_reads_as_the_whole_clip_is_read(listener: Listener, pieces: Any, own_clips: list[Said]) -> None:
    for slot, one in enumerate(own_clips):
        tokens, _ = streamed(listener, one.audio, slot=slot)

        assert words_of([targets.PAD, *tokens], pieces)[0] == one.words


def test_generate_writes_the_same_tokens(own_clips: list[Said], listener: Listener) -> None:
    model = KyutaiSpeechToTextForConditionalGeneration.from_pretrained(CHECKPOINT).eval()
    audio = own_clips[0].audio

    with torch.inference_mode():
        theirs = model.generate(input_values=torch.from_numpy(audio)[None, None], audio_window_size=None)[0]

    ours, _ = streamed(listener, audio)
    assert theirs[2:].tolist() == ours[: len(theirs) - 2]


def test_it_reads_the_committed_turns(read: Read, turns: list[Said]) -> None:
    heard = read([at_mimis_rate(one) for one in turns])

    marks = marked(turns, heard, leads=[0] * len(turns))
    assert marks.clips == 18 and marks.exact >= 15
    assert marks.rate <= 0.05
    assert np.abs(marks.late_ms).mean() <= FRAME_MS


def test_it_does_not_matter_when_a_clip_begins(read: Read, turns: list[Said]) -> None:
    leads = leads_of(len(turns), seed=1)
    assert all(lead % FRAME for lead in leads)

    heard = read([at_mimis_rate(one, lead=lead) for one, lead in zip(turns, leads, strict=True)])

    marks = marked(turns, heard, leads=leads)
    assert marks.rate <= 0.1
    assert np.abs(marks.late_ms).mean() <= FRAME_MS


@pytest.mark.slow
def test_it_reads_a_minute(read: Read, turns: list[Said]) -> None:
    (whole,) = exam.joined([*turns, *turns[:9]], parts=27)
    audio = at_mimis_rate(whole)

    (heard,) = read([audio])

    assert len(audio) > 60 * RATE_HZ
    assert marked([whole], [heard], leads=[0]).rate <= 0.1


@pytest.mark.parametrize("loudness", [0.0, 1e-4, 1e-3])
def test_silence_and_noise_are_no_words(read: Read, loudness: float) -> None:
    noise = loudness * np.random.default_rng(0).standard_normal(10 * RATE_HZ)

    (heard,) = read([noise.astype(np.float32)])

    assert heard.words == ()


def test_a_longer_pause_is_noticed_and_speech_is_none(listener: Listener, own_clips: list[Said]) -> None:
    one = own_clips[0]
    silence = np.zeros(4 * RATE_HZ, np.float32)

    _, pauses = streamed(listener, np.concatenate([one.audio, silence]))

    ended = round(one.spans_s[-1][1] / FRAME_S)
    speaking = np.array(pauses[8 : ended - 2])
    assert (speaking[:, 1:] > 0.5).mean() <= 0.1
    assert all(pauses[ended + round((length_s + 0.5) / FRAME_S)][head] > 0.5 for head, length_s in HEADS)


@pytest.fixture
def untrained() -> Learning:
    torch.manual_seed(0)
    return Learning()


def test_the_short_way_through_the_first_layers_is_theirs(untrained: Learning) -> None:
    audio = 0.1 * torch.randn(2, 4 * FRAME)
    seen = audio[:, None]
    with torch.no_grad():
        for layer in untrained.model.codec_model.encoder.encoder_seanet.layers[:FIXED]:
            seen = layer(seen)

    assert torch.allclose(delayed(audio), seen, atol=0.01 * float(seen.abs().max()))


def test_codes_come_to_mean_what_the_latents_meant(untrained: Learning) -> None:
    audio = 0.1 * torch.randn(8, 60 * FRAME)
    with torch.no_grad():
        latents = untrained.latents(audio)
        left = settle(untrained, latents.flatten(0, 1))
        codes = untrained.model.codec_model.quantizer.encode(latents.transpose(1, 2)).permute(1, 2, 0)
        text = torch.full((8, 61), targets.PAD)
        round_codes, _ = untrained.written_by(untrained.squeezed(latents), text)
        by_codes, _ = untrained.written_from(codes, text)

    assert left < 0.1
    assert (by_codes - round_codes).square().mean() < 0.1 * round_codes.square().mean()


@pytest.fixture(scope="module")
def lessons(tmp_path_factory: pytest.TempPathFactory) -> Lessons:
    """A dozen clips."""
    try:
        speak("Hello.", Voice("slt"))
    except EngineMissing:
        pytest.skip("needs flite")
    orders = data.ordered(data.Amount(per_sentence=0, per_paragraph=0, made=12), seed=1)
    return Lessons(data.packed(orders, tmp_path_factory.mktemp("speech"), processes=1), seed=1)


def weights(folder: Path) -> dict[str, Any]:
    return dict(load_file(folder / "model.safetensors"))


@pytest.mark.slow
def test_the_trainer_learns_and_writes_a_checkpoint(
    tmp_path: Path, lessons: Lessons, turns: list[Said], capsys: pytest.CaptureFixture[str]
) -> None:
    extent = train.Extent(steps=2, code_steps=1, look_every=100, settle_batches=6)

    train.train(extent, lessons, {"known sentences": turns[:2]}, out=tmp_path / "new", seed=1)

    assert "| known sentences |" in capsys.readouterr().out
    made, shipped = weights(tmp_path / "new"), weights(CHECKPOINT)
    assert {name: value.shape for name, value in made.items()} == {name: one.shape for name, one in shipped.items()}
    assert all(value.isfinite().all() for value in made.values())
    assert {path.name for path in (tmp_path / "new").iterdir()} == {path.name for path in CHECKPOINT.iterdir()}


@pytest.mark.slow
def test_a_checkpoint_learns_on_with_its_codes(tmp_path: Path, lessons: Lessons) -> None:
    extent = train.Extent(steps=0, code_steps=1, look_every=100, settle_batches=0)

    train.train(extent, lessons, {}, out=tmp_path / "new", seed=1, older=CHECKPOINT)

    made, shipped = weights(tmp_path / "new"), weights(CHECKPOINT)
    changed = {name.split(".")[0] for name in made if not torch.equal(made[name], shipped[name])}
    assert changed == {"model", "lm_head"}
