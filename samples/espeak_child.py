"""Run as a program, in a process of its own: one text through libespeak-ng, word and phoneme events kept.

Standard library only. Input: text, speaker, words per minute and pitch (0-99) as JSON on stdin. Output: one line of
JSON, then the 16-bit samples. A fresh process for each text because the library carries state from one text to
the next (samples shift and differ), and because the program `espeak-ng` prints no times for its built-in voices.
"""

from __future__ import annotations

import ctypes as C
import json
import sys
from typing import Any, Final

NO_LIBRARY: Final = 3
"""Exit status when libespeak-ng cannot be loaded."""
NO_SPEAKER: Final = 4

_SYNCHRONOUS, _PHONEME_EVENTS, _DO_NOT_EXIT = 2, 1, 0x8000
_UTF8, _END_PAUSE = 1, 0x1000
_RATE, _PITCH = 1, 3
_LIST_END, _WORD, _PHONEME = 0, 1, 7


class _Event(C.Structure):
    _fields_ = (
        ("type", C.c_int),
        ("unique_identifier", C.c_uint),
        ("text_position", C.c_int),  # in characters, from 1
        ("length", C.c_int),
        ("audio_position", C.c_int),
        ("sample", C.c_int),
        ("user_data", C.c_void_p),
        ("phoneme", C.c_char * 8),
    )


_Receive: Any = C.CFUNCTYPE(C.c_int, C.POINTER(C.c_short), C.c_int, C.POINTER(_Event))


def main() -> int:
    asked = json.load(sys.stdin)
    try:
        library = C.CDLL("libespeak-ng.so.1")
    except OSError as error:
        print(error, file=sys.stderr)
        return NO_LIBRARY
    pcm = bytearray()
    words: list[tuple[int, int]] = []  # (character of the text from 0, sample)
    pauses: list[int] = []  # samples

    def receive(samples: Any, count: int, events: Any) -> int:
        if samples and count:
            pcm.extend(C.string_at(samples, 2 * count))
        at = 0
        while events[at].type != _LIST_END:
            event = events[at]
            if event.type == _WORD:
                words.append((event.text_position - 1, event.sample))
            elif event.type == _PHONEME and event.phoneme.startswith(b"_"):
                pauses.append(event.sample)
            at += 1
        return 0

    callback = _Receive(receive)
    sample_rate_hz = library.espeak_Initialize(_SYNCHRONOUS, 0, None, _PHONEME_EVENTS | _DO_NOT_EXIT)
    library.espeak_SetSynthCallback(callback)
    if library.espeak_SetVoiceByName(asked["speaker"].encode()) != 0:
        return NO_SPEAKER
    library.espeak_SetParameter(_RATE, asked["rate_wpm"], 0)
    library.espeak_SetParameter(_PITCH, asked["pitch"], 0)
    text = asked["text"].encode()
    library.espeak_Synth(text, C.c_size_t(len(text) + 1), 0, 0, 0, C.c_uint(_UTF8 | _END_PAUSE), None, None)
    library.espeak_Synchronize()
    said = {"sample_rate_hz": sample_rate_hz, "words": words, "pauses": pauses}
    sys.stdout.buffer.write(json.dumps(said).encode() + b"\n" + bytes(pcm))
    return 0


if __name__ == "__main__":
    sys.exit(main())
