"""The certificate of this machine's load generator: where it lies, whether it still applies, and what it refuses.

`yapbench calibrate` writes it; every trial reads it and stores it beside its rows. Knows nothing of how it is made.
"""

from __future__ import annotations

import hashlib
import math
import os
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import psutil

from yapbench import machine, store
from yapbench.errors import CorruptFile, UsageError

if TYPE_CHECKING:
    from yapbench.load import LoadProfile

VERSION: Final = 1
FOLDER_VARIABLE: Final = "YAPBENCH_CERTIFICATES"
SHARE: Final = 0.6
"""Of its own most streams a load process is trusted with so much."""
OLD_DAYS: Final = 30.0

CODE: Final = (
    "load/*.py",
    "pacing/*.py",
    "clients/call.py",
    "clients/codec.py",
    "clients/echo_stream.py",
    "clients/fastconformer.py",
    "clients/framing.py",
    "clients/interface.py",
    "clients/kyutai.py",
    "clients/kyutai_json.py",
    "clients/kyutai_marker.py",
    "clients/line.py",
    "clients/parakeet.py",
    "clients/voxtral.py",
    "clients/voxtral_eager.py",
    "clients/websocket.py",
)
"""The load generator's sources: a certificate made with others says nothing about these."""

_KEYS: Final = (
    *("verdict", "reasons", "made_at", "seconds", "quick", "machine_class"),
    *("code_sha256", "versions", "cpus", "bars", "most_streams"),
)
_PACKAGE: Final = Path(__file__).resolve().parent


def folder() -> Path:
    """Where certificates lie: YAPBENCH_CERTIFICATES, else ~/.cache/yapbench/certificates."""
    given = os.environ.get(FOLDER_VARIABLE)
    return Path(given).expanduser() if given else Path.home() / ".cache" / "yapbench" / "certificates"


def code_sha256() -> str:
    """Hash of the load generator's sources as they stand, by path and content."""
    digest = hashlib.sha256()
    for path in (path for pattern in CODE for path in sorted(_PACKAGE.glob(pattern))):
        digest.update(f"{path.relative_to(_PACKAGE).as_posix()}\0".encode() + path.read_bytes() + b"\0")
    return digest.hexdigest()


def path_for(machine_class: str, code: str, *, quick: bool) -> Path:
    """The file of a certificate. A quick one never takes the place of a full one."""
    place = hashlib.sha256(machine_class.encode()).hexdigest()[:12]
    return folder() / f"{place}-{code[:12]}{'-quick' if quick else ''}.json"


def keep(found: Mapping[str, Any]) -> Path:
    """Store a certificate, in place of an older one of the same kind; returns its file."""
    path = path_for(found["machine_class"], found["code_sha256"], quick=found["quick"])
    path.parent.mkdir(parents=True, exist_ok=True)
    store.write_json(path, dict(found))
    return path


def current() -> dict[str, Any] | None:
    """This machine's certificate for the load generator as it stands; a full one before a quick one, else None.

    One of an earlier boot, or older than 30 days, says so in its reasons. One of another version of this format does
    not count. Raises CorruptFile for a file that cannot be read.
    """
    machine_class, code = machine.machine_class(), code_sha256()
    for quick in (False, True):
        path = path_for(machine_class, code, quick=quick)
        if not path.exists():
            continue
        found = _read(path)
        if found is not None and found["machine_class"] == machine_class and found["code_sha256"] == code:
            made = datetime.fromisoformat(found["made_at"])
            booted = datetime.fromtimestamp(psutil.boot_time(), UTC)
            return found | {"reasons": [*found["reasons"], *age(made, now=datetime.now(UTC), booted=booted)]}
    return None


def age(made: datetime, *, now: datetime, booted: datetime) -> list[str]:
    """What a reader must know of when it was made; [] for a recent one of this boot."""
    days = (now - made).total_seconds() / 86_400
    old = [f"made {days:.0f} days ago"] if days > OLD_DAYS else []
    return [*old, *(["made before this machine was last started"] if made < booted else [])]


def most_at(most_streams: Mapping[str, int], frame_ms: float) -> float | None:
    """How many streams of `frame_ms` (wall time from frame to frame) one load process can keep on time; None: unknown.

    Between and below measured lengths by the rate of frames, the smaller answer of the neighbours; longer frames than
    the longest measured count as that one.
    """
    known = sorted((float(length), count) for length, count in most_streams.items())
    if not known or frame_ms <= 0:
        return None
    below = [one for one in known if one[0] <= frame_ms][-1:]
    above = [one for one in known if one[0] > frame_ms][:1]
    if not above or (below and below[0][0] == frame_ms):
        return float(below[0][1])
    return min(count * frame_ms / length for length, count in below + above)


def refuse(profile: LoadProfile, certificate: Mapping[str, Any] | None, *, audio_s: float | None = None) -> None:
    """Raise UsageError for a streaming load above 60 % of what this machine's load generator can keep on time.

    `audio_s`: mean length of an utterance, from which the number of simultaneous calls of open loads is estimated.
    Nothing is refused without a certificate, or by an INVALID one, and nothing that is not paced.
    """
    stream, most = profile.stream, trusted(profile, certificate)
    if stream is None or certificate is None or most is None:
        return
    for level in profile.levels:
        streams = _at_once(profile, level, audio_s)
        share = math.ceil(streams / profile.workers)
        if share <= most:
            continue
        least = math.ceil(streams / math.floor(most)) if most >= 1 else None
        how = f"load_workers={least}" if least else "another machine"
        few = "; the certificate is a quick one, which did not look for more: `yapbench calibrate` does"
        raise UsageError(
            f"{streams} streams with a frame every {stream.frame_ms / stream.pace:g} ms on {profile.workers} load "
            f"process{'es' if profile.workers > 1 else ''}: this machine's load process keeps at most "
            f"{most / SHARE:.0f} on time and is trusted with {100 * SHARE:.0f} % of that, {most:.0f}. "
            f"Use {how}, or fewer streams{few if certificate['quick'] else ''}"
        )


def trusted(profile: LoadProfile, certificate: Mapping[str, Any] | None) -> float | None:
    """How many streams of this kind one load process is trusted with; None: nothing says, or nothing is paced."""
    stream = profile.stream
    if stream is None or not stream.pace or certificate is None or certificate["verdict"] == "INVALID":
        return None
    most = most_at(certificate["most_streams"], stream.frame_ms / stream.pace)
    return None if most is None else SHARE * most


def _at_once(profile: LoadProfile, level: float, audio_s: float | None) -> int:
    """How many streams speak at the same time; of open loads an estimate, where the audio's length is known."""
    stream = profile.stream
    assert stream is not None
    spoken_s = (audio_s or 0.0) / stream.pace
    if profile.kind == "poisson":
        return math.ceil(level * spoken_s)
    overlap = max(1, math.ceil(spoken_s / profile.period_s)) if profile.kind == "burst" else 1
    return math.ceil(level) * overlap


def _read(path: Path) -> dict[str, Any] | None:
    found = store.read_json(path)
    if not isinstance(found, dict):
        raise CorruptFile(path, "not a JSON object")
    if found.get("certificate_version") != VERSION:
        return None
    if missing := sorted(set(_KEYS) - found.keys()):
        raise CorruptFile(path, f"keys missing: {', '.join(missing)}")
    return found
