"""The page of a sweep of streams: as offline and as honest as that of requests, with numbers of its own."""

from __future__ import annotations

import json
import re
import time
from pathlib import Path
from typing import Any

import pytest

from tests.yapbench import made_up, made_up_sessions
from tests.yapbench.pages import Page, assert_offline
from yapbench import report, store
from yapbench.pacing.streaming import StreamOptions
from yapbench.report import certificate
from yapbench.report.gather import gather

pytestmark = pytest.mark.slow  # each page is built whole


@pytest.fixture(scope="module")
def sweep(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three wires; the JSON one fails under load. One trial failed altogether."""
    certified = made_up_sessions.CERTIFICATE
    folder = made_up_sessions.sweep(tmp_path_factory.mktemp("runs") / "wires", count=60, certificate=certified)
    made_up.failed(folder / "08failed0000")
    info = json.loads((folder / "08failed0000" / store.TRIAL).read_text())
    stream = {"load": {"kind": "closed", "stream": {"eos": "commit", "pace": 1.0}}, "certificate": certified}
    store.write_json(folder / "08failed0000" / store.TRIAL, info | stream)
    return folder


@pytest.fixture(scope="module")
def page(sweep: Path) -> str:
    return report.build(sweep).read_text(encoding="utf-8")


def one(folder: Path, **more: Any) -> str:
    """The page of a small sweep with one trial."""
    made_up_sessions.trial(folder / "s" / "0a1b2c3d4e5f", **{"count": 12, "levels": (1, 4), **more})
    return report.build(folder / "s").read_text(encoding="utf-8")


def test_the_page_is_offline_small_and_well_formed(page: str) -> None:
    assert_offline(page)
    assert len(page.encode()) < 1_500_000
    ids = Page(page).ids
    assert len(ids) == len(set(ids))


def test_it_starts_with_the_finding(page: str) -> None:
    heading = re.search(r"<h1>(.*?)</h1>", page)
    assert heading is not None
    assert re.match(
        r"Half of the finals come within 300 ms of the end of speech up to 32 streams with echo", heading[1]
    )
    assert "every p95 is only indicative" in page.partition("</header>")[0]


def test_the_policy_stands_in_the_title_of_every_chart_of_its_times(page: str) -> None:
    for key in ("eos", "ttfp", "ecdf-eos"):
        figure = page[page.index(f'id="figure-{key}-commit-1"') :]
        assert "end of speech: commit by the client" in figure[figure.index("<figcaption>") : figure.index("</figcap")]


def test_other_policies_and_paces_have_charts_of_their_own(tmp_path: Path) -> None:
    for number, (eos, pace) in enumerate((("commit", 1.0), ("silence", 1.0), ("commit", 10.0), ("commit", 0.0))):
        options = StreamOptions(eos=eos, pace=pace)  # type: ignore[arg-type]
        path = tmp_path / "s" / f"{number}a1b2c3d4e5f"
        made_up_sessions.trial(path, count=12, levels=(1, 4), options=options)
    text = report.build(tmp_path / "s").read_text(encoding="utf-8")
    figures = re.findall(r'id="figure-([^"]+)"', text)
    assert {f"eos-{manner}" for manner in ("commit-1", "silence-1", "commit-10")} <= set(figures)
    assert "eos-commit-0" not in figures
    assert {"rtfx", "failures", "lateness", "sessions"} <= set(figures)
    badges = re.findall(r'<span class="badge">(.*?)</span>', text)
    assert badges[:2] == ["in part 10 times faster than live", "in part as fast as accepted, not real time"]


def test_unpaced_audio_is_labelled_in_title_and_badge(tmp_path: Path) -> None:
    text = one(tmp_path, options=StreamOptions(pace=0))
    assert '<span class="badge">as fast as accepted, not real time</span>' in text
    assert "faster than it is spoken" in text.partition("</h1>")[0]
    assert "RTFx</th>" in text


def test_the_summary_holds_the_streams_numbers(sweep: Path, page: str) -> None:
    summary = json.loads((sweep / "00a1b2c3d4e5" / "summary.json").read_text())
    values = summary["points"][0]["values"]
    assert {"eos_p50_ms", "ttfp_p95_ms", "wer", "upwr", "rss_peak_mib"} <= set(values)
    assert "latency_p50_ms" not in values
    assert (summary["stream"]["eos"], summary["client"]) == ("commit", "echo_pcm")


def test_the_table_has_wer_with_its_parts_and_indicative_tails_are_grey(page: str) -> None:
    table = page[page.index('<table class="sortable">') :]
    titles = re.findall(r"<th[^>]*>(.*?)</th>", table[: table.index("</thead>")])
    assert {"EOS p50, ms", "EOS p95, ms", "TTFP p50, ms", "WER, %", "S, %", "D, %", "I, %"} <= set(titles)
    assert "RTFx" not in titles
    assert re.search(r'<td class="num faint"[^>]*title="[^"]*indicative only">', table)


def test_wer_stands_beside_its_normaliser_and_scripted_words_are_called_so(page: str, tmp_path: Path) -> None:
    words = page[page.index('id="words"') :]
    assert re.search(r"<code>\d+/whisper_normalizer-[\w.]+-\w{8}/english</code>", words)
    assert "its words are scripted" in words
    other = one(tmp_path, server="real_stt")
    assert "words are scripted" not in other
    assert "scripted WER" not in other


def test_the_page_says_what_a_moved_t0_means(page: str) -> None:
    said = "A stream whose server is not ready moves its t0 by whole frames: the wait shows in <code>connect</code>"
    assert said in page


def test_a_failed_trial_and_failures_by_type_are_shown(page: str) -> None:
    assert "exit status 1 before it was ready" in page
    assert "1 of 4 trials failed" in page
    assert re.search(r"echo_json, 32 streams: \d+ ", page)


def test_two_builds_have_the_same_bytes(sweep: Path, page: str, tmp_path: Path) -> None:
    assert report.build(sweep, tmp_path / "again.html").read_text(encoding="utf-8") == page


def test_what_is_not_known_is_no_none(page: str) -> None:
    assert not re.search(r"\bNone\b|\bnan\b", re.sub(r"<style>.*?</style>|<script>.*?</script>", "", page, flags=re.S))


@pytest.mark.parametrize("latest", ["0streams", "1requests"])
def test_a_page_shows_one_kind_and_names_the_others(tmp_path: Path, latest: str) -> None:
    made_up_sessions.trial(tmp_path / "s" / "0streams", count=4, levels=(1,))
    made_up.trial(tmp_path / "s" / "1requests", requests=4, levels=(1,))
    path = tmp_path / "s" / latest / store.TRIAL
    store.write_json(path, json.loads(path.read_text()) | {"started_at": "2027-01-01T00:00:00+00:00"})
    text = report.build(tmp_path / "s").read_text(encoding="utf-8")
    (other,) = {"0streams", "1requests"} - {latest}
    assert f"<code>{other}/</code>: a trial of {other[1:]}, which have other numbers" in text
    assert ("EOS p50, ms</th>" in text) is (latest == "0streams")


def test_a_trial_without_any_final_has_a_page(tmp_path: Path) -> None:
    text = one(tmp_path, failing_from=1, failing=1.0)
    assert "<h1>No stream ended well</h1>" in text
    assert_offline(text)


def test_late_points_are_marked(tmp_path: Path) -> None:
    text = one(tmp_path, lateness_ms=30)
    assert "2 of 2 points INVALID" in text
    assert "<h1>No point is valid" in text
    assert "NOT within the limit of 10 ms" in text


def test_names_from_data_cannot_become_markup(tmp_path: Path) -> None:
    for number, client in enumerate(("<script>alert(1)</script>", "plain")):
        made_up_sessions.trial(tmp_path / "s" / f"{number}x", count=8, levels=(1, 2), client=client)
    text = report.build(tmp_path / "s").read_text(encoding="utf-8")
    assert "<script>alert" not in text
    assert_offline(text)


@pytest.mark.slow
def test_streams_are_published_like_requests(sweep: Path, tmp_path: Path) -> None:
    page = report.publish(sweep, tmp_path / "site")
    assert_offline(page.read_text(encoding="utf-8"))
    card = json.loads((page.parent / "card.json").read_text())
    assert card["headline"].startswith("Half of the finals come within 300 ms")


def test_the_certificate_is_shown_with_its_bars(page: str) -> None:
    section = page[page.index('class="card certificate"') :]
    assert "2 of 2 measured bars reached, 1 not measured" in section
    assert re.search(r"0\.212 ms</td><td class=\"num\">0\.5 ms</td><td class=\"num\">0\.1 ms</td>", section)
    assert "the machine that measured" in section
    assert "2026-11-20 09:30, full" in section
    assert "load generator" not in " ".join(re.findall(r'<span class="badge">(.*?)</span>', page))


@pytest.mark.parametrize(
    ("stored", "said", "badge"),
    [
        ("absent", "No certificate was stored", ""),
        (None, "Not calibrated: run `yapbench calibrate`", "load generator not calibrated"),
        (made_up_sessions.CERTIFICATE | {"verdict": "INVALID", "reasons": ["H1 missed"]}, "H1 missed", "INVALID"),
        (made_up_sessions.CERTIFICATE | {"machine_class": "Other | 9 cores"}, "ANOTHER machine", ""),
    ],
)
def test_what_is_said_of_a_certificate(tmp_path: Path, stored: Any, said: str, badge: str) -> None:
    text = one(tmp_path, certificate=stored, count=6, levels=(1,))
    assert said in text
    assert badge in " ".join(re.findall(r'<span class="badge">(.*?)</span>', text))


def test_trials_under_different_certificates_are_told_apart(tmp_path: Path) -> None:
    later = made_up_sessions.CERTIFICATE | {"made_at": "2026-11-21T09:30:00+00:00"}
    stored: list[Any] = [made_up_sessions.CERTIFICATE, later, None]
    for number, each in enumerate(stored):
        made_up_sessions.trial(tmp_path / "s" / f"{number}x", count=4, levels=(1,), certificate=each)
    gathered = gather(tmp_path / "s")
    assert [found.trials for found in certificate.certificates(gathered)] == ["1 of 3 trials", "1 of 3 trials"]
    assert certificate.missing(gathered) == "1 of 3 trials: not calibrated: run `yapbench calibrate`"


def test_a_page_of_requests_has_its_certificate_folded(tmp_path: Path) -> None:
    made_up.trial(tmp_path / "s" / "0r", requests=6, levels=(1,))
    path = tmp_path / "s" / "0r" / store.TRIAL
    assert "No certificate was stored" in report.build(tmp_path / "s").read_text(encoding="utf-8")
    store.write_json(path, json.loads(path.read_text()) | {"certificate": made_up_sessions.CERTIFICATE})
    text = report.build(tmp_path / "s").read_text(encoding="utf-8")
    assert "<summary>Certificate of the load generator: valid</summary>" in text


@pytest.mark.soak
def test_sixty_points_take_seconds_of_work_not_minutes(tmp_path: Path) -> None:
    for number in range(15):
        setting = {"delay_ms": float(number % 5), "workers": 1 + number // 5}
        path = tmp_path / "full" / f"{number:02d}"
        made_up_sessions.trial(path, settings=setting, levels=(1, 2, 4, 8), count=130, seed=number)
    began_s = time.process_time()  # the clock on the wall would count what else this machine is doing
    path = report.build(tmp_path / "full")
    assert time.process_time() - began_s < 60
    assert path.stat().st_size < 1_500_000
