"""What was made once is read back as it was; what is damaged is made again; what cannot be kept is said."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import soundfile

from yapbench.corpora.cache import Kept, Made, SpeechCache
from yapbench.corpus import Word
from yapbench.errors import UsageError

SAMPLES = (np.random.default_rng(0).integers(-(2**23), 2**23, 4000) / 2**23).astype(np.float32)


class Maker:
    """Counts how often it was needed."""

    def __init__(self) -> None:
        self.count = 0

    def __call__(self) -> Made:
        self.count += 1
        return Made(samples=SAMPLES, sample_rate_hz=8000, words=(Word("hi", 0.1, 0.2),), facts={"gain": 0.5, "of": "é"})


def test_a_clip_is_made_once_and_read_back_exactly(tmp_path: Path) -> None:
    make = Maker()
    first, again = (SpeechCache(tmp_path / "new").get({"text": "hi"}, make) for _ in range(2))
    assert make.count == 1
    assert first == again
    assert (first.duration_s, first.words, first.facts) == (0.5, (Word("hi", 0.1, 0.2),), {"gain": 0.5, "of": "é"})
    samples, rate_hz = soundfile.read(first.path, dtype="float32")
    assert np.array_equal(samples, SAMPLES)
    assert rate_hz == 8000


def test_another_recipe_is_another_clip_and_the_same_samples_the_same_bytes(tmp_path: Path) -> None:
    one, other = (SpeechCache(tmp_path).get({"text": text}, Maker()) for text in ("a", "b"))
    assert one.path != other.path
    assert one.path.read_bytes() == other.path.read_bytes()


@pytest.mark.parametrize("suffix", [".wav", ".json"])
@pytest.mark.parametrize("damage", ["gone", "cut", "changed"])
def test_a_damaged_clip_is_made_again(tmp_path: Path, suffix: str, damage: str) -> None:
    make, cache = Maker(), SpeechCache(tmp_path)
    path = cache.get({}, make).path.with_suffix(suffix)
    content = path.read_bytes()
    changed = {"cut": content[:-7], "changed": content[:100] + b"?" + content[101:]}
    path.write_bytes(changed[damage]) if damage in changed else path.unlink()
    kept = cache.get({}, make)
    assert kept.path.with_suffix(suffix).read_bytes() == content
    assert make.count == 2


def test_several_at_once_agree_and_leave_nothing_half_done(tmp_path: Path) -> None:
    def get(_: int) -> Kept:
        return SpeechCache(tmp_path).get({"text": "hi"}, Maker())

    with ThreadPoolExecutor(8) as pool:
        found = set(map(str, pool.map(get, range(24))))
    assert len(found) == 1
    assert sorted(path.suffix for path in tmp_path.rglob("*.*")) == [".json", ".wav"]


def test_a_folder_that_cannot_be_written_is_named_with_its_variable(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder")
    with pytest.raises(UsageError, match=r"file/speech: speech cannot be kept there: .*; YAPBENCH_CACHE moves it"):
        SpeechCache.of_user({"YAPBENCH_CACHE": str(tmp_path / "file")}).get({}, Maker())


def test_the_users_folder_is_under_the_home_unless_the_variable_says_otherwise() -> None:
    assert SpeechCache.of_user({}).folder == Path("~/.cache/yapbench/speech").expanduser()
    assert SpeechCache.of_user({"YAPBENCH_CACHE": "/var/cache"}).folder == Path("/var/cache/speech")
