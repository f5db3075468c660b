"""Certificates are found again, tell their age, and refuse loads that this machine's client could not keep on time."""

from __future__ import annotations

import ast
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import yapbench
from yapbench import certificate, machine
from yapbench.errors import CorruptFile, UsageError
from yapbench.load import LoadProfile
from yapbench.pacing.streaming import StreamOptions

PACKAGE = Path(yapbench.__file__).parent
NOT_TIMED = {
    *("clients", "corpora", "corpora.audio", "corpus", "errors", "load", "pacing", "schema", "store", "text"),
}
"""What a load process imports but does not need while the clock runs."""
OTHER_WIRES = {
    *("clients.echo", "clients.echo_upload", "clients.parakeet_upload", "clients.smart_turn", "clients.upload"),
}


def made_up(**changes: Any) -> dict[str, Any]:
    """A certificate of this machine and these sources."""
    return {
        "certificate_version": 1,
        "verdict": "VALID",
        "reasons": [],
        "made_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "seconds": 8.0,
        "quick": False,
        "machine_class": machine.machine_class(),
        "code_sha256": certificate.code_sha256(),
        "versions": {},
        "cpus": {"target": [0], "load": [1]},
        "bars": [],
        "most_streams": {"20": 100, "80": 300},
    } | changes


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv(certificate.FOLDER_VARIABLE, str(tmp_path / "certificates"))
    return tmp_path / "certificates"


def streaming(levels: tuple[float, ...] = (60,), *, workers: int = 1, **values: Any) -> LoadProfile:
    stream = {name: values.pop(name) for name in ("frame_ms", "pace") if name in values}
    return LoadProfile(levels=levels, requests=100, workers=workers, stream=StreamOptions(**stream), **values)


def test_without_a_certificate_there_is_none() -> None:
    assert certificate.current() is None


def test_what_is_kept_is_found_again(folder: Path) -> None:
    kept = made_up()
    path = certificate.keep(kept)
    assert path.parent == folder
    assert certificate.current() == kept


def test_a_full_one_is_preferred_whenever_it_was_made() -> None:
    certificate.keep(made_up(quick=True, seconds=3.0))
    assert (certificate.current() or {})["quick"]
    certificate.keep(made_up())
    certificate.keep(made_up(quick=True, seconds=3.0))
    assert (certificate.current() or {})["seconds"] == 8.0


@pytest.mark.parametrize(
    "changes", [{"machine_class": "another"}, {"code_sha256": "0" * 64}, {"certificate_version": 2}]
)
def test_one_of_another_machine_or_code_or_format_does_not_count(changes: dict[str, Any]) -> None:
    certificate.keep(made_up(**changes))
    assert certificate.current() is None


def test_a_file_that_cannot_be_read_is_named() -> None:
    path = certificate.keep(made_up())
    path.write_text('{"certificate_version": 1}\n')
    with pytest.raises(CorruptFile, match=f"{path.name}.*keys missing: bars"):
        certificate.current()
    path.write_text('{"certificate_vers')
    with pytest.raises(CorruptFile, match="half written"):
        certificate.current()


def test_an_old_one_is_given_and_says_its_age() -> None:
    made = (datetime.now(UTC) - timedelta(days=4000)).isoformat(timespec="seconds")
    certificate.keep(made_up(made_at=made, reasons=["first"]))
    reasons = (certificate.current() or {})["reasons"]
    assert reasons == ["first", "made 4000 days ago", "made before this machine was last started"]


def test_a_recent_one_of_this_boot_says_nothing() -> None:
    now = datetime.now(UTC)
    booted, made = now - timedelta(days=40), now - timedelta(days=29)
    assert certificate.age(made, now=now, booted=booted) == []
    assert certificate.age(made, now=now + timedelta(days=2), booted=booted) == ["made 31 days ago"]


@pytest.mark.parametrize(
    ("frame_ms", "most"),
    [(20, 100), (80, 300), (160, 300), (10, 50), (40, 150), (70, 262.5), (25, 93.75)],
)
def test_other_frame_lengths_go_by_the_rate_of_frames(frame_ms: float, most: float) -> None:
    assert certificate.most_at({"80": 300, "20": 100}, frame_ms) == most


@given(
    most=st.dictionaries(st.sampled_from(["10", "20", "40", "80"]), st.integers(1, 5000), min_size=1),
    frame_ms=st.floats(1, 500),
)
def test_no_estimate_is_above_what_was_measured(most: dict[str, int], frame_ms: float) -> None:
    found = certificate.most_at(most, frame_ms)
    assert found is not None
    assert 0 < found <= max(most.values())
    assert certificate.most_at({}, frame_ms) is None


@pytest.mark.parametrize(
    ("profile", "streams"),
    [
        (streaming((10, 181)), 181),
        (streaming((180,), frame_ms=20), 180),
        (streaming((61,), frame_ms=40, pace=2), 61),
        (streaming((362,), workers=2), 362),
        (streaming((100,), kind="burst", period_s=2), 200),
        (streaming((60,), kind="poisson"), 240),
    ],
)
def test_a_load_above_its_share_is_refused(profile: LoadProfile, streams: int) -> None:
    with pytest.raises(UsageError, match=rf"^{streams} streams with .* 60 % of that.*load_workers=\d") as refusal:
        certificate.refuse(profile, made_up(), audio_s=4.0)
    assert "quick" not in str(refusal.value)


@pytest.mark.parametrize(
    ("profile", "changes"),
    [
        (streaming((180,)), {}),
        (streaming((360,), workers=2), {}),
        (streaming((9999,), pace=0), {}),
        (streaming((9999,)), {"verdict": "INVALID"}),
        (streaming((9999,)), {"most_streams": {}}),
        (streaming((90,), kind="burst", period_s=2), {}),
        (LoadProfile(levels=(9999,), requests=1), {}),
    ],
)
def test_other_loads_are_not(profile: LoadProfile, changes: dict[str, Any]) -> None:
    certificate.refuse(profile, made_up(**changes), audio_s=4.0)
    certificate.refuse(profile, None)


@given(level=st.integers(1, 20_000), most=st.integers(1, 5000))
def test_the_remedy_that_is_named_is_enough(level: int, most: int) -> None:
    found = made_up(most_streams={"80": most}, quick=True)
    try:
        certificate.refuse(streaming((level,)), found)
    except UsageError as refusal:
        words = str(refusal)
        assert "quick" in words
        if "load_workers=" in words:
            workers = int(words.split("load_workers=")[1].split(",")[0])
            certificate.refuse(streaming((level,), workers=workers), found)


def test_every_module_that_a_load_process_runs_is_hashed() -> None:
    files = [path.relative_to(PACKAGE) for pattern in certificate.CODE for path in PACKAGE.glob(pattern)]
    hashed = {".".join(path.with_suffix("").parts) for path in files}
    assert imported_by("load.worker") - NOT_TIMED - OTHER_WIRES <= hashed


def imported_by(name: str, found: set[str] | None = None) -> set[str]:
    """Modules of this package that the module needs, itself included."""
    found = set() if found is None else found
    path = PACKAGE / f"{name.replace('.', '/')}.py"
    path = path if path.exists() else path.with_suffix("") / "__init__.py"
    if name in found or not path.exists():
        return found
    found.add(name)
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "yapbench":
            module = ".".join((node.module or "").split(".")[1:])
            for other in (module, *(f"{module}.{alias.name}".lstrip(".") for alias in node.names)):
                imported_by(other, found) if other else None
    return found
