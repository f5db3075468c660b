"""The servers of another commit: laid out whole, told from ours, refused where they cannot run here."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from yapbench import checkouts
from yapbench.errors import UsageError
from yapbench.trial import Trial


def git(folder: Path, *words: str) -> str:
    who = ("-c", "user.name=a", "-c", "user.email=a@b", "-c", "commit.gpgsign=false", "-c", "init.defaultBranch=main")
    return subprocess.run(["git", *who, *words], cwd=folder, check=True, capture_output=True, text=True).stdout.strip()


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository with a server called echo, instead of ours; the cache is the test's own."""
    folder = tmp_path / "repository"
    for name in ("common", "echo"):
        (folder / "servers" / name).mkdir(parents=True)
        (folder / "servers" / name / "app.py").write_text("x = 1\n")
    ours = Path(checkouts.CHECKOUT) / "servers" / "echo" / "requirements.txt"
    (folder / "servers" / "echo" / "requirements.txt").write_bytes(ours.read_bytes())
    git(folder, "init", "-q")
    commit(folder)
    monkeypatch.setattr(checkouts, "CHECKOUT", folder)
    monkeypatch.setenv("YAPBENCH_CACHE", str(tmp_path / "cache"))
    return folder


def commit(folder: Path) -> str:
    git(folder, "add", "-A")
    git(folder, "commit", "-q", "-m", "one", "--allow-empty")
    return git(folder, "rev-parse", "HEAD")


def test_a_commit_is_laid_out_as_it_was(repository: Path) -> None:
    first = checkouts.resolve("HEAD")
    (repository / "servers" / "echo" / "app.py").write_text("x = 2\n")
    second = commit(repository)

    assert (checkouts.at(first) / "servers" / "echo" / "app.py").read_text() == "x = 1\n"
    assert (checkouts.at(second) / "servers" / "echo" / "app.py").read_text() == "x = 2\n"
    assert sorted(path.name for path in checkouts.at(first).parent.iterdir()) == sorted([first, second])


def test_equal_servers_of_two_commits_have_one_identity(repository: Path) -> None:
    first = checkouts.resolve("HEAD")
    (repository / "README.md").write_text("words")
    second = commit(repository)
    (repository / "servers" / "common" / "weights.bin").write_bytes(b"1")
    third = commit(repository)

    assert first != second
    assert checkouts.identity("echo", first) == checkouts.identity("echo", second)
    assert checkouts.identity("echo", second) != checkouts.identity("echo", third)


@pytest.mark.parametrize("ref", ["nothing-of-the-kind", "--all", "HEAD~7"])
def test_what_is_no_commit_is_refused_by_name(repository: Path, ref: str) -> None:
    with pytest.raises(UsageError, match=ref):
        checkouts.resolve(ref)


def test_a_commit_that_wants_other_packages_is_refused(repository: Path) -> None:
    with (repository / "servers" / "echo" / "requirements.txt").open("a") as file:
        file.write("something-else\n")
    with pytest.raises(UsageError, match=r"requirements\.txt of echo differs"):
        checkouts.check("echo", commit(repository))


def test_a_commit_without_the_server_is_refused(repository: Path) -> None:
    git(repository, "rm", "-rq", "servers/echo")
    with pytest.raises(UsageError, match="has no server 'echo'"):
        checkouts.check("echo", commit(repository))


def test_the_commit_is_part_of_a_trials_identity(repository: Path) -> None:
    ours = Trial.from_notebook("echo", "05_echo", {})
    theirs = Trial.from_notebook("echo", "05_echo", {"server_commit": "HEAD"})

    assert theirs.server_commit == checkouts.resolve("HEAD")
    assert theirs.identity()["code_sha256"] != ours.identity()["code_sha256"]
    assert (theirs.checkout / "servers" / "echo").is_dir()


def test_a_running_server_has_no_commit_to_choose(repository: Path) -> None:
    with pytest.raises(UsageError, match="server_commit"):
        Trial.from_notebook("echo", "05_echo", {"server_commit": "HEAD", "url": "http://127.0.0.1:1"})
