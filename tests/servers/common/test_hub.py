"""The hub's cache is read as the hub's client writes it, and a download that fails says what to do."""

from __future__ import annotations

import hashlib
import sys
import types
from pathlib import Path
from typing import Any

import pytest

from servers.common import hub
from servers.common.errors import StartupRefused


@pytest.fixture(autouse=True)
def home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.delenv("HF_HUB_CACHE", raising=False)
    monkeypatch.setenv("HF_HOME", str(tmp_path))
    return tmp_path / "hub" / "models--org--model"


def test_a_branch_is_followed_to_its_commit(home: Path) -> None:
    snapshot = home / "snapshots" / "c0ffee"
    snapshot.mkdir(parents=True)
    (home / "refs").mkdir()
    (home / "refs" / "main").write_text("c0ffee\n")
    (snapshot / "a").touch()

    assert hub.cached("org/model", "main", ["a"]) == hub.cached("org/model", "c0ffee", ["a"]) == snapshot
    assert hub.cached("org/model", "main", ["a", "b"]) is None  # half a download
    assert hub.cached("org/model", "other", ["a"]) is None


def test_the_cache_is_where_the_hubs_variables_say(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert hub.cache() == tmp_path / "hub"
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "elsewhere"))
    assert hub.cache() == tmp_path / "elsewhere"
    monkeypatch.delenv("HF_HUB_CACHE")
    monkeypatch.delenv("HF_HOME")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert hub.cache() == tmp_path / "xdg" / "huggingface" / "hub"


def test_a_hash_is_that_of_the_bytes_or_the_caches_own_name(tmp_path: Path) -> None:
    plain, blob, link = tmp_path / "plain", tmp_path / ("ab" * 32), tmp_path / "link"
    plain.write_bytes(b"weights")
    blob.write_bytes(b"large")
    link.symlink_to(blob)

    assert hub.sha256(plain) == hashlib.sha256(b"weights").hexdigest()
    assert hub.sha256(link) == "ab" * 32


def test_a_download_asks_for_its_files_alone_and_a_failure_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Any] = []

    def snapshot_download(hub_id: str, **options: Any) -> None:
        asked.append((hub_id, options))
        if hub_id == "org/gone":
            raise OSError("404:\n no such model")

    errors = types.ModuleType("huggingface_hub.errors")
    errors.HfHubHTTPError = type("HfHubHTTPError", (Exception,), {})  # type: ignore[attr-defined]
    client = types.ModuleType("huggingface_hub")
    client.snapshot_download = snapshot_download  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "huggingface_hub", client)
    monkeypatch.setitem(sys.modules, "huggingface_hub.errors", errors)

    hub.download("org/model", "abc", ["a.nemo"])
    assert asked == [("org/model", {"revision": "abc", "allow_patterns": ["a.nemo"]})]
    with pytest.raises(StartupRefused, match="org/gone at abc could not be fetched: 404: no such model"):
        hub.download("org/gone", "abc", ["a.nemo"])
