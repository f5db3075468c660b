"""From the page's tables down to each trial: its facts, files, command, and every number; its worst utterances."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from tests.yapbench import made_up, made_up_sessions, made_up_traces
from tests.yapbench.pages import Page, assert_offline
from tests.yapbench.test_clips import corpus, info_of
from yapbench import report, store
from yapbench.report.build import untraced
from yapbench.report.clips import NOT_PUBLISHED
from yapbench.report.drill import details, digits
from yapbench.report.gather import gather
from yapbench.schema import UTTERANCES

pytestmark = pytest.mark.slow  # many trials are made up, and whole pages built


def wires(folder: Path, count: int = 40) -> Path:
    """Three trials of streams on audio that is there, and one that failed altogether."""
    made_up_sessions.sweep(folder, count=count, certificate=made_up_sessions.CERTIFICATE)
    heard = info_of(corpus(folder.parent / "audio", *[1.0 + 0.1 * k for k in range(8)]))
    for path in folder.glob("*/trial.json"):
        rename(path.parent)
        store.write_json(path, json.loads(path.read_text()) | {"asked": heard["asked"], "corpus": heard["corpus"]})
    made_up.failed(folder / "08failed0000")
    info = json.loads((folder / "08failed0000" / store.TRIAL).read_text())
    load = {"load": {"kind": "closed", "stream": {"eos": "commit", "pace": 1.0}}}
    store.write_json(folder / "08failed0000" / store.TRIAL, info | load)
    return folder


def rename(folder: Path) -> None:
    """Its utterances as the corpus calls them."""
    trial = store.read_trial(folder)
    rows = trial.utterances.replace({"utterance_id": {f"sentence-{k}": f"u{k}" for k in range(8)}})
    records = [{str(k): _plain(v) for k, v in row.items()} for row in rows.to_dict("records")]
    store.write_table(folder / store.UTTERANCES_FILE, records, UTTERANCES)


def _plain(value: Any) -> Any:
    """As a writer of rows has it: no NaN, no NA."""
    return None if not hasattr(value, "__len__") and value != value else value


@pytest.fixture(scope="module")
def sweep(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return wires(tmp_path_factory.mktemp("runs") / "wires")


@pytest.fixture(scope="module")
def page(sweep: Path) -> str:
    return report.build(sweep).read_text(encoding="utf-8")


def fold(page: str, trial_id: str) -> str:
    """The part of the page that is one trial."""
    return page[page.index(f'id="trial-{trial_id}"') :].partition("</details>")[0]


def test_every_link_to_a_trial_or_an_utterance_has_its_place(page: str) -> None:
    found = Page(page)
    inside = {link.removeprefix("#") for link in found.links if link.startswith("#")}
    assert {"trial-00a1b2c3d4e5", "trial-01a1b2c3d4e5", "trial-02a1b2c3d4e5"} <= inside <= set(found.ids)
    assert_offline(page)


def test_each_row_of_the_table_leads_to_its_trial(page: str) -> None:
    table = page[page.index('<table class="sortable">') :].partition("</table>")[0]
    assert sorted(re.findall(r'href="#trial-(\w+)"', table)) == [f"0{k}a1b2c3d4e5" for k in range(3) for _ in range(3)]


def test_a_trial_has_its_setting_files_command_certificate_and_failures(page: str) -> None:
    text = fold(page, "01a1b2c3d4e5")
    assert "echo_json" in text.partition("</summary>")[0]
    assert re.search(r"<dt>Failures</dt><dd>.*\d+ timeout of 120</dd>", text)
    assert "<dt>Certificate</dt><dd>valid, made 2026-11-20 09:30</dd>" in text
    assert "papermill notebooks/10_smart_turn.ipynb" in text
    assert 'href="01a1b2c3d4e5/utterances.parquet"' in text


def test_a_trial_has_all_its_numbers(sweep: Path, page: str) -> None:
    gathered = gather(sweep)
    text = fold(page, "00a1b2c3d4e5")
    told = re.findall(r'<tr><th scope="row">(\w+)</th>', text)
    untold = re.findall(r"\w+", text[text.index("Without a value") :])
    (first, *_), names = [p for p in gathered.points if p.trial_id == "00a1b2c3d4e5"], gathered.points[0].values
    assert all(name in told or name in untold for name in names)
    assert {name for name in names if first[name].value is not None} <= set(told)


def test_a_number_stands_with_its_interval(sweep: Path) -> None:
    gathered = gather(sweep)
    detail = details(gathered, "notebook.ipynb")[0]
    point = next(p for p in gathered.points if p.trial_id == detail.trial_id)
    value, rest = next(line for line in detail.lines if line.measure == "eos_p50_ms").cells[0]
    found = point["eos_p50_ms"]
    assert float(value) == pytest.approx(found.value, rel=0.01)
    assert [float(x) for x in rest.split(",")[0].split("–")] == pytest.approx([found.low, found.high], rel=0.01)


def test_a_tail_of_too_few_is_called_indicative_here_too(sweep: Path) -> None:
    lines = details(gather(sweep), "notebook.ipynb")[0].lines
    assert all("indicative" in rest for _, rest in next(one for one in lines if one.measure == "eos_p99_ms").cells)


def test_a_failed_trial_says_why_and_has_no_numbers(page: str) -> None:
    text = fold(page, "08failed0000")
    assert "server_died: exit status 1 before it was ready" in text
    assert "<table" not in text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0"),
        (1234.5, "1234"),
        (123.4, "123"),
        (22.0, "22.0"),
        (9.876, "9.88"),
        (0.04567, "0.0457"),
        (-3.14159, "-3.14"),
    ],
)
def test_digits(value: float, text: str) -> None:
    assert digits(value) == text


def test_the_worst_utterances_have_their_words_and_audio(page: str) -> None:
    section = page[page.index('id="worst"') : page.index('id="points"')]
    assert section.count("<article") == 8
    assert 1 <= len(re.findall(r'<audio controls preload="none" src="data:audio/mpeg;base64,/', section)) <= 8
    assert "<del>the</del> <ins>a</ins>" in section
    assert re.search(r"then 2 of \d+ that failed; the words are scripted", section)


def test_media_may_come_from_the_page_alone(page: str) -> None:
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', page)
    assert policy is not None
    assert "default-src 'none'" in policy[1] and policy[1].endswith("media-src data:")


def test_two_builds_have_the_same_bytes(sweep: Path, page: str, tmp_path: Path) -> None:
    assert report.build(sweep, tmp_path / "again.html").read_text(encoding="utf-8") == page


@pytest.mark.slow
def test_audio_that_may_not_be_published_is_left_out(sweep: Path, tmp_path: Path) -> None:
    text = report.publish(sweep, tmp_path / "site").read_text(encoding="utf-8")
    assert "<audio" not in text
    assert text.count(f"A{NOT_PUBLISHED[1:]}.") == 8
    assert str(sweep.parent) not in text.replace(str(sweep.parent / "audio"), "")


def test_a_page_of_requests_has_trials_and_no_utterances(tmp_path: Path) -> None:
    made_up.trial(tmp_path / "s" / "0a", requests=10, levels=(1, 2))
    text = report.build(tmp_path / "s").read_text(encoding="utf-8")
    assert "latency_p99_ms" in fold(text, "0a")
    assert 'id="worst"' not in text
    assert "media-src" in text


def test_how_to_get_the_parts_of_the_time_to_the_final(tmp_path: Path) -> None:
    plain = made_up_sessions.trial(tmp_path / "0a", count=6, levels=(1,))
    made_up_traces.traced(made_up_sessions.trial(tmp_path / "1b", count=6, levels=(1,)))
    (said,) = untraced(gather(tmp_path))
    assert "is not told of 1 of 2 trials: it ran without a trace. `trace: true` in the sweep" in said
    made_up_traces.traced(plain, tail='{"at_s": 4711.0, "ev')
    (said,) = untraced(gather(tmp_path))
    assert said.startswith("The trace of 1 trial lacks 1 line that cannot be read; streams")
    made_up_traces.traced(plain)
    assert untraced(gather(tmp_path)) == []


def test_a_trace_is_among_the_files_of_its_trial(tmp_path: Path) -> None:
    made_up_traces.traced(made_up_sessions.trial(tmp_path / "1b", count=6, levels=(1,)))
    (detail,) = details(gather(tmp_path), "notebook.ipynb")
    assert ("1b/trace.jsonl", "trace.jsonl") in detail.files


@pytest.mark.slow
def test_a_page_of_sixty_points_with_everything_stays_below_three_megabytes(tmp_path: Path) -> None:
    heard = info_of(corpus(tmp_path / "audio", *[9.0] * 8))
    for number in range(15):
        setting = {"delay_ms": float(number % 5), "workers": 1 + number // 5}
        path = tmp_path / "full" / f"{number:02d}"
        certified: dict[str, Any] = {"settings": setting, "certificate": made_up_sessions.CERTIFICATE, "seed": number}
        made = made_up_sessions.trial(path, levels=(1, 2, 4, 8), repeats=3, count=10, wrong=0.5, **certified)
        rename(path)
        traced = made_up_traces.traced(made)
        asked = {**traced.info["asked"], **heard["asked"]}
        store.write_json(path / store.TRIAL, traced.info | {"asked": asked, "corpus": heard["corpus"]})
    page = report.build(tmp_path / "full").read_text(encoding="utf-8")
    assert (page.count("<audio"), page.count('class="card fold trial"'), page.count("figure-parts-")) == (8, 15, 1)
    assert 1_000_000 < len(page.encode()) < 3_000_000
