"""flite through its shared library: 16-bit samples, and word times from the segments' own ends.

The program `flite` prints segments without saying which word they belong to; the library keeps that tree, so no
boundary has to be guessed. Samples are those of `flite -voice NAME`, bit for bit (a test compares).
"""

from __future__ import annotations

import ctypes as C
import threading
from functools import cache
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from samples.errors import EngineMissing, SynthesisError
from samples.word import Word

MEAN_F0_HZ: Final = {"slt": 172.0, "rms": 98.0, "awb": 132.0, "kal16": 95.0}
"""The speakers' own mean pitch, as stored in their voices."""

OWN_STRETCH: Final = {"kal16": 1.1}
"""Duration factor a voice comes with, where it is not 1."""

# Paths from a token: down to its words, over to their syllables, down to the segments.
_BEFORE_FIRST: Final = b"daughter.R:SylStructure.daughter.daughter.R:Segment.p.end"
_LAST: Final = b"daughtern.R:SylStructure.daughtern.daughtern.end"
_ONE_AT_A_TIME: Final = threading.Lock()


class _Voice(C.Structure):
    _fields_ = (("name", C.c_char_p), ("features", C.c_void_p))


class _Wave(C.Structure):
    _fields_ = (
        ("type", C.c_char_p),
        ("sample_rate", C.c_int),
        ("num_samples", C.c_int),
        ("num_channels", C.c_int),
        ("samples", C.POINTER(C.c_short)),
    )


_SIGNATURES: Final[dict[str, tuple[Any, ...]]] = {  # result, then arguments
    "flite_init": (C.c_int,),
    "flite_synth_text": (C.c_void_p, C.c_char_p, C.c_void_p),
    "delete_utterance": (None, C.c_void_p),
    "utt_wave": (C.POINTER(_Wave), C.c_void_p),
    "utt_relation": (C.c_void_p, C.c_void_p, C.c_char_p),
    "relation_head": (C.c_void_p, C.c_void_p),
    "item_next": (C.c_void_p, C.c_void_p),
    "item_feat_string": (C.c_char_p, C.c_void_p, C.c_char_p),
    "ffeature_float": (C.c_float, C.c_void_p, C.c_char_p),
    "feat_set_float": (None, C.c_void_p, C.c_char_p, C.c_float),
}


def speak(text: str, *, speaker: str, pitch: float, rate: float) -> tuple[NDArray[np.int16], int, tuple[Word, ...]]:
    """Mono int16 samples, shape (n,); their rate in Hz; one Word per blank-separated part of `text` (ASCII).

    Raises EngineMissing without libflite or that speaker, SynthesisError if flite reads the text otherwise.
    """
    library = _library()
    voice = _load_voice(speaker)
    features = C.cast(voice, C.POINTER(_Voice)).contents.features
    with _ONE_AT_A_TIME:
        library.feat_set_float(features, b"int_f0_target_mean", MEAN_F0_HZ[speaker] * pitch)
        library.feat_set_float(features, b"duration_stretch", OWN_STRETCH.get(speaker, 1.0) / rate)
        # The statistical voices draw their noise from the C library's rand(): set as in a fresh process.
        C.CDLL(None).srand(1)
        utterance = library.flite_synth_text(text.encode("ascii"), voice)
        if not utterance:
            raise SynthesisError("flite", text, "no utterance")
        try:
            wave = library.utt_wave(utterance).contents
            pcm = np.ctypeslib.as_array(wave.samples, (wave.num_samples,)).copy()
            sample_rate_hz = int(wave.sample_rate)
            words = _words(library, utterance, text, last_s=len(pcm) / sample_rate_hz)
        finally:
            library.delete_utterance(utterance)
    return pcm, sample_rate_hz, words


def _words(library: C.CDLL, utterance: int, text: str, *, last_s: float) -> tuple[Word, ...]:
    """One Word per token: from the end of the segment before its first one to the end of its last one."""
    expected = [part.strip(",.?") for part in text.split()]
    words: list[Word] = []
    token = library.relation_head(library.utt_relation(utterance, b"Token"))
    while token:
        start_s = library.ffeature_float(token, _BEFORE_FIRST)
        end_s = min(library.ffeature_float(token, _LAST), last_s)
        words.append(Word(library.item_feat_string(token, b"name").decode(), round(start_s, 4), round(end_s, 4)))
        token = library.item_next(token)
    if [word.word for word in words] != expected:
        raise SynthesisError("flite", text, f"read as {[word.word for word in words]}")
    if silent := [word.word for word in words if not word.start_s < word.end_s]:
        raise SynthesisError("flite", text, f"no time for {silent}")
    return tuple(words)


@cache
def _library() -> C.CDLL:
    try:
        library = C.CDLL("libflite.so.1", mode=C.RTLD_GLOBAL)
        for language in ("libflite_cmulex.so.1", "libflite_usenglish.so.1"):
            C.CDLL(language, mode=C.RTLD_GLOBAL)
    except OSError as error:
        raise EngineMissing("flite", cause=str(error)) from error
    for name, (result, *arguments) in _SIGNATURES.items():
        function = getattr(library, name)
        function.restype, function.argtypes = result, arguments
    library.flite_init()
    return library


@cache
def _load_voice(speaker: str) -> int:
    name = f"cmu_us_{speaker}"
    try:
        register = getattr(C.CDLL(f"libflite_{name}.so.1", mode=C.RTLD_GLOBAL), f"register_{name}")
    except OSError as error:
        raise EngineMissing("flite", cause=str(error)) from error
    register.restype, register.argtypes = C.c_void_p, (C.c_char_p,)
    return int(register(None))
