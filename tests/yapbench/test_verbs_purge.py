"""Nothing goes that was not shown; weights and caches go only on a yes."""

from __future__ import annotations

from pathlib import Path

import pytest

from yapbench import catalog, envs
from yapbench.errors import UsageError
from yapbench.verbs import fetch, purge


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine on which smart_turn has left logs, weights and a cache."""
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    monkeypatch.delenv("HF_HUB_CACHE", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("YAPBENCH_ENVS", str(tmp_path / "envs"))
    model = fetch.hub_models(catalog.lookup("smart_turn"))[0]
    for path in (
        tmp_path / "run" / "smart_turn" / "log",
        tmp_path / "hf" / "hub" / f"models--{model.replace('/', '--')}" / "blobs" / "weights",
        envs.environment("torch").path / "bin" / "python",
        tmp_path / ".cache" / "yapbench" / "compiled" / "kernel",
        tmp_path / ".cache" / "yapbench" / "other",
    ):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(bytes(1_000_000))
    return tmp_path


def test_everything_is_shown_and_nothing_goes_without_a_yes(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(UsageError, match="nothing was removed: caches and weights"):
        purge.down("smart_turn", ["--purge"], run=home / "run")
    said = capsys.readouterr().out
    assert [line.split()[:3] for line in said.splitlines()] == [
        ["env", "1.0", "MB"],
        ["logs", "1.0", "MB"],
        ["weights", "1.0", "MB"],
        ["caches", "1.0", "MB"],
    ]
    assert len([path for path in home.rglob("*") if path.is_file()]) == 5


def test_with_a_yes_all_of_this_server_goes(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert purge.down("smart_turn", ["--purge", "--yes"], run=home / "run") == 0
    assert [path.name for path in home.rglob("*") if path.is_file()] == ["other"]
    assert "removed 4.0 MB" in capsys.readouterr().out


def test_environment_and_logs_need_no_yes(home: Path) -> None:
    assert purge.down("smart_turn", ["--purge=env,logs"], run=home / "run") == 0
    assert not (home / "run" / "smart_turn").exists()
    assert not envs.environment("torch").path.exists()
    assert (home / "hf" / "hub").exists()


def test_the_harness_own_environment_is_no_leftover(home: Path) -> None:
    assert purge.leftovers("echo", purge.PARTS, run=home / "run") == []


def test_nothing_to_remove_is_said(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert purge.down("echo", ["--purge"], run=home / "run") == 0
    assert "nothing of echo to remove" in capsys.readouterr().out


def test_without_purge_everything_stays(home: Path) -> None:
    assert purge.down("smart_turn", [], run=home / "run") == 0
    assert (home / "run" / "smart_turn" / "log").exists()


def test_a_link_is_counted_where_it_lies(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(bytes(1000))
    (tmp_path / "b").symlink_to(tmp_path / "a")
    assert 1000 <= purge.size_of(tmp_path) < 2000


@pytest.mark.parametrize(
    ("text", "parts"), [("", list(purge.PARTS)), ("all", list(purge.PARTS)), ("logs, env", ["env", "logs"])]
)
def test_parts_are_read(text: str, parts: list[str]) -> None:
    assert purge.parse(text) == parts


def test_mistakes_are_named(home: Path) -> None:
    with pytest.raises(UsageError, match="did you mean 'weights'"):
        purge.parse("wieghts")
    with pytest.raises(UsageError, match="--prune"):
        purge.down("echo", ["--prune"], run=home / "run")
