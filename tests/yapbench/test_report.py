"""The page of a sweep: offline, deterministic, complete, and honest about gaps."""

from __future__ import annotations

import json
import re
import resource
from pathlib import Path

import pytest

from tests.yapbench import made_up
from tests.yapbench.pages import Page, assert_offline
from yapbench import report, store
from yapbench.errors import NothingRan
from yapbench.report.gather import gather

pytestmark = pytest.mark.slow  # each page is built whole


@pytest.fixture(scope="module")
def sweep(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Eight trials, one that failed, one unfinished, one corrupt."""
    folder = made_up.sweep(tmp_path_factory.mktemp("runs") / "quick", requests=30)
    made_up.failed(folder / "08failed0000")
    (folder / "09unfinished0").mkdir()
    (folder / "09unfinished0" / "server.log").write_text("starting\n")
    (folder / "10corrupt000").mkdir()
    (folder / "10corrupt000" / store.TRIAL).write_text('{"trial_id": "10corr')
    return folder


@pytest.fixture(scope="module")
def page(sweep: Path) -> str:
    return report.build(sweep).read_text(encoding="utf-8")


def test_the_page_lies_in_the_sweeps_folder_and_starts_with_the_finding(sweep: Path, page: str) -> None:
    assert (sweep / "report.html").read_text(encoding="utf-8") == page
    heading = re.search(r"<h1>(.*?)</h1>", page)
    assert heading is not None
    assert "wo sessions serve" in heading[1]


def test_the_page_asks_the_network_for_nothing_and_is_well_formed(page: str) -> None:
    assert_offline(page)
    assert len(page.encode()) < 1_000_000
    assert page.count("<!doctype html>") == 1


def test_no_id_is_given_twice(page: str) -> None:
    ids = Page(page).ids
    assert len(ids) == len(set(ids))


def test_every_chart_has_a_label(page: str) -> None:
    charts = re.findall(r"<svg [^>]*>", page)
    assert len(charts) == 14  # seven figures in two sizes
    assert all('role="img"' in chart and "aria-label=" in chart for chart in charts)


def test_two_builds_have_the_same_bytes(sweep: Path, page: str, tmp_path: Path) -> None:
    assert report.build(sweep, tmp_path / "again.html").read_text(encoding="utf-8") == page


def test_a_summary_is_written_once_and_left_alone(sweep: Path, page: str) -> None:
    path = sweep / "00a1b2c3d4e5" / "summary.json"
    before = path.stat().st_mtime_ns
    report.build(sweep)
    assert path.stat().st_mtime_ns == before
    assert json.loads(path.read_text())["trial_id"] == "00a1b2c3d4e5"


def test_every_point_is_in_the_table(page: str) -> None:
    body = page[page.index('<table class="sortable">') :]
    assert len(re.findall(r"<tr( class=\"invalid\")?>", body[body.index("<tbody>") : body.index("</tbody>")])) == 24


def test_the_table_lists_settings_as_a_person_would(sweep: Path) -> None:
    done = gather(sweep).done
    listed = [(t.info["settings"]["batch_buckets"], t.info["settings"]["sessions"]) for t in done]
    assert listed == sorted(listed, key=lambda pair: (len(pair[0]), pair))


def test_a_failed_setting_is_shown_with_its_reason_and_escaped_log(page: str) -> None:
    assert "exit status 1 before it was ready" in page
    assert "not enough memory for &lt;9&gt; sessions" in page
    assert "1 of 9 trials failed" in page


def test_unfinished_and_corrupt_files_are_named(page: str) -> None:
    assert "<code>10corrupt000/trial.json</code>: half written" in page
    assert "<code>09unfinished0/</code>" in page


def test_links_lead_to_files_that_are_there(sweep: Path, page: str) -> None:
    links = [link for link in Page(page).links if not link.startswith(("#", "data:"))]
    assert len([link for link in links if link.endswith("notebook.ipynb")]) >= 8
    assert all((sweep / link).exists() for link in links)


def test_indicative_tails_are_grey_and_say_so(page: str) -> None:
    assert re.search(r'<td class="num faint"[^>]*title="[^"]*indicative only">', page)


def test_the_page_says_how_and_where_it_was_measured(page: str) -> None:
    for words in ("Made-up CPU", "0123456789abcdef", "bootstrap with 1000 draws", "papermill notebooks/10_smart_turn"):
        assert words in page


def test_what_was_not_stored_is_a_dash_with_a_reason(page: str) -> None:
    assert "<dt>Kernel</dt><dd>– not stored</dd>" in page
    assert not re.search(r"\bNone\b|\bnan\b", re.sub(r"<style>.*?</style>|<script>.*?</script>", "", page, flags=re.S))


def test_everything_is_readable_without_script(page: str) -> None:
    without = re.sub(r"<script>.*?</script>", "", page, flags=re.S)
    assert 'id="theme" hidden' in without
    assert without.count("<details") == without.count("</details>")
    assert "<title>" in without[without.index("<svg") :]


def test_a_sweep_of_failures_still_has_a_page(tmp_path: Path) -> None:
    made_up.failed(tmp_path / "s" / "0failed")
    text = report.build(tmp_path / "s").read_text(encoding="utf-8")
    assert "<h1>All 1 trials failed</h1>" in text
    assert_offline(text)
    assert not report.any_valid(store.read_sweep(tmp_path / "s"))


def test_a_trial_without_any_answer_has_a_page(tmp_path: Path) -> None:
    made_up.trial(tmp_path / "s" / "0none", requests=10, outcomes={"refused": 1.0}, cpu_rows=False)
    text = report.build(tmp_path / "s").read_text(encoding="utf-8")
    assert "<h1>No request was answered</h1>" in text
    assert "10 refused" in text
    assert_offline(text)


def test_late_points_are_marked(tmp_path: Path) -> None:
    made_up.trial(tmp_path / "s" / "0late", requests=20, lateness_ms=30)
    text = report.build(tmp_path / "s").read_text(encoding="utf-8")
    assert "3 of 3 points INVALID" in text
    assert "client late: p99" in text
    assert text.count('<tr class="invalid">') == 3
    assert not report.any_valid(store.read_sweep(tmp_path / "s"))


def test_any_valid(sweep: Path, tmp_path: Path) -> None:
    trial = made_up.trial(tmp_path / "t", requests=10)
    assert report.any_valid([trial])
    assert not report.any_valid([])


def test_an_empty_folder_has_nothing_to_report(tmp_path: Path) -> None:
    with pytest.raises(NothingRan):
        report.build(tmp_path)
    with pytest.raises(NothingRan):
        report.build(tmp_path / "nowhere")


def test_names_from_data_cannot_become_markup(tmp_path: Path) -> None:
    made_up.trial(tmp_path / "s" / "0x", settings={"note": "<script>alert(1)</script>"}, requests=10)
    made_up.trial(tmp_path / "s" / "1x", settings={"note": "plain"}, requests=10)
    text = report.build(tmp_path / "s").read_text(encoding="utf-8")
    assert "<script>alert" not in text
    assert "&lt;script&gt;alert(1)" in text


def worked_s() -> float:
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in used)


@pytest.mark.soak
def test_sixty_points_take_seconds_of_work_not_minutes(tmp_path: Path) -> None:
    folder = tmp_path / "full"
    for number in range(15):
        setting = {"window_ms": float(number % 5), "sessions": 1 + number // 5}
        made_up.trial(folder / f"{number:02d}", settings=setting, levels=(1, 2, 4, 8), repeats=3, seed=number)
    began_s = worked_s()
    path = report.build(folder)
    assert worked_s() - began_s < 60  # 13 measured; of its own CPU time: other work on the machine does not count
    assert path.stat().st_size < 3_000_000


@pytest.fixture(scope="module")
def models_page(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = made_up.models(tmp_path_factory.mktemp("runs") / "models", requests=40)
    return report.build(folder).read_text(encoding="utf-8")


@pytest.mark.slow
def test_several_models_are_compared_by_what_each_obtained(models_page: str) -> None:
    assert_offline(models_page)
    assert 'id="figure-engines"' in models_page
    for engine in ("v3-onnx int8", "tiny float32", "tiny float32, compiled", "tiny bfloat16, compile failed"):
        assert f'<td data-sort="{engine}">' in models_page
    assert "compile failed after 2.5 s (4 of 4 shapes)" in models_page


def test_each_model_has_its_own_decisions(models_page: str) -> None:
    ids = Page(models_page).ids

    assert {"figure-turns-v3-onnx", "figure-turns-tiny"} <= set(ids)
    assert len(ids) == len(set(ids))
    assert "tiny: clips by label" in models_page


def test_a_stand_in_is_called_one_at_the_head_of_the_page(models_page: str, page: str) -> None:
    head = models_page.partition("</header>")[0]

    assert "Tiny is a small test checkpoint" in head
    assert "test checkpoint" not in page


def test_decisions_on_other_audio_are_apart(tmp_path: Path) -> None:
    for number, snr_db in enumerate(("clean", 10)):
        made_up.trial(tmp_path / "noise" / f"{number}a1b2c3d4e5f", requests=20, levels=(1,), shift=0.1 * number)
        path = tmp_path / "noise" / f"{number}a1b2c3d4e5f" / store.TRIAL
        store.write_json(path, json.loads(path.read_text()) | {"asked": {"noise": "babble", "snr_db": snr_db}})

    text = report.build(tmp_path / "noise").read_text(encoding="utf-8")

    assert "v3-onnx, SNR 10 dB: clips by label" in text
    assert "v3-onnx, no noise: clips by label" in text
