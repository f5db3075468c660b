"""Results at a URL: half an upload never counts, and of two attempts one whole one is taken."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.yapbench.test_engine_attempts import ended
from yapbench import store
from yapbench.engines import attempts
from yapbench.engines.shelf import Shelf
from yapbench.errors import UsageError

fsspec = pytest.importorskip("fsspec", reason="needs fsspec")


def finished(place: Path, name: str = "abc", *, status: str = "done", by: str = "first") -> Path:
    final = place / name
    attempts.publish(ended(final, status=status, by=by), final)
    (final / "deep").mkdir()
    (final / "deep" / "rows.bin").write_bytes(bytes(range(256)))
    return final


@pytest.fixture(params=["file", "memory"])
def shelf(request: pytest.FixtureRequest, tmp_path: Path) -> Shelf:
    url = f"file://{tmp_path}/bucket" if request.param == "file" else f"memory://{tmp_path.name}"
    return Shelf(url, "sweep")


def test_what_is_put_comes_back_byte_for_byte(shelf: Shelf, tmp_path: Path) -> None:
    sent = finished(tmp_path / "node")
    shelf.put(sent)
    assert list(shelf.finished()) == ["abc"]
    shelf.fetch_all(tmp_path / "head")
    found = tmp_path / "head" / "abc"
    assert store.finished(found) and (found / "deep" / "rows.bin").read_bytes() == bytes(range(256))
    assert (found / "server.log").read_bytes() == (sent / "server.log").read_bytes()


def test_a_half_uploaded_trial_does_not_count(shelf: Shelf, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sent = finished(tmp_path / "node")
    files, whole = shelf._files, shelf._files.put_file

    def breaks(path: str, name: str) -> None:
        if store.TRIAL in path:
            raise ConnectionError
        whole(path, name)

    monkeypatch.setattr(files, "put_file", breaks)
    with pytest.raises(ConnectionError):
        shelf.put(sent)
    assert shelf.finished() == {}


def test_two_attempts_lie_side_by_side_and_a_successful_one_is_taken(shelf: Shelf, tmp_path: Path) -> None:
    shelf.put(finished(tmp_path / "one", status="failed", by="failed"))
    shelf.put(finished(tmp_path / "two", by="good"))
    assert len(shelf.finished()["abc"]) == 2
    shelf.fetch_all(tmp_path / "head")
    assert store.read_info(tmp_path / "head" / "abc")["by"] == "good"


def test_what_is_here_already_stays(shelf: Shelf, tmp_path: Path) -> None:
    finished(tmp_path / "head", by="here")
    shelf.put(finished(tmp_path / "node", by="there"))
    shelf.fetch_all(tmp_path / "head")
    assert store.read_info(tmp_path / "head" / "abc")["by"] == "here"


def test_an_unknown_kind_of_url_is_refused() -> None:
    with pytest.raises(UsageError, match="--out=nowhere://x"):
        Shelf("nowhere://x", "sweep")
