"""Attempts: only a finished one is seen, the first stays, and a late one harms nothing."""

from __future__ import annotations

from pathlib import Path

from yapbench import store
from yapbench.engines import attempts


def ended(final: Path, *, status: str = "done", by: str = "first") -> Path:
    """An attempt with a whole result that says its own place."""
    folder = attempts.new(final)
    info = {"schema_version": 1, "trial_id": final.name, "status": status, "by": by, "place": str(folder)}
    store.write_json(folder / store.TRIAL, info)
    (folder / "server.log").write_text(f"$ serve --script={folder}/script.json\n")
    return folder


def test_an_attempt_is_unseen_until_it_is_published(tmp_path: Path) -> None:
    final = tmp_path / "sweep" / "abc"
    attempt = ended(final)
    assert not store.finished(final) and store.unfinished(tmp_path / "sweep") == []
    assert attempts.publish(attempt, final)
    assert store.finished(final) and not attempt.exists()


def test_what_it_says_of_its_place_is_true_afterwards(tmp_path: Path) -> None:
    final = tmp_path / "sweep" / "abc"
    attempts.publish(ended(final), final)
    assert store.read_info(final)["place"] == str(final)
    assert (final / "server.log").read_text() == f"$ serve --script={final}/script.json\n"


def test_a_late_duplicate_is_dropped_and_the_first_stays_byte_for_byte(tmp_path: Path) -> None:
    final = tmp_path / "sweep" / "abc"
    first, late = ended(final), ended(final, by="late")
    attempts.publish(first, final)
    before = {path.name: path.read_bytes() for path in final.iterdir()}
    assert not attempts.publish(late, final)
    assert {path.name: path.read_bytes() for path in final.iterdir()} == before and not late.exists()


def test_what_was_begun_in_place_and_never_ended_makes_room(tmp_path: Path) -> None:
    final = tmp_path / "sweep" / "abc"
    final.mkdir(parents=True)
    (final / "server.log").write_text("old")
    assert attempts.publish(ended(final), final)
    assert "old" not in (final / "server.log").read_text()
    assert list((final.parent / attempts.FOLDER).iterdir()) == []


def test_a_failed_result_is_forgotten_before_it_is_tried_again(tmp_path: Path) -> None:
    final = tmp_path / "sweep" / "abc"
    attempts.publish(ended(final, status="failed"), final)
    attempts.forget(final)
    attempts.forget(final)
    assert not final.exists()
    attempts.publish(ended(final, by="second"), final)
    assert store.read_info(final)["by"] == "second"


def test_progress_is_the_running_attempts(tmp_path: Path) -> None:
    final = tmp_path / "sweep" / "abc"
    assert attempts.progress(final) == {}
    store.write_json(attempts.new(final) / "progress.json", {"done": 3})
    assert attempts.progress(final) == {"done": 3}
    attempts.clear(tmp_path / "sweep")
    assert attempts.progress(final) == {} and list((tmp_path / "sweep").iterdir()) == []
