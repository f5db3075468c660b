"""Every flag of the client verbs: what it makes of the load, the audio, the address and the keys."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import numpy as np
import pytest
import soundfile
from aiohttp import web
from cyclopts import CycloptsError
from hypothesis import given
from hypothesis import strategies as st

from tests.yapbench.test_clients import CLIP, GOOD, served
from yapbench import catalog, service
from yapbench.cli import app
from yapbench.clients.smart_turn import BEARER, SmartTurnClient
from yapbench.corpora.opening import PARAGRAPHS
from yapbench.corpus import Utterance, Word
from yapbench.errors import UsageError
from yapbench.load import LoadProfile
from yapbench.pacing.streaming import WHOLE_FILES, StreamOptions
from yapbench.verbs import options as module
from yapbench.verbs import target
from yapbench.verbs.options import Options

RUNPOD = ("RUNPOD_TCP_HOST", "RUNPOD_TCP_PORT", "RUNPOD_API_KEY", "AUTH_KEY")


def profile(**values: object) -> LoadProfile:
    return Options(**values).profile(requests=50, warmup=2)  # type: ignore[arg-type]


def parsed(*words: str) -> Options:
    _, bound, _ = app.parse_args(["bench", "echo", *words], exit_on_error=False, print_error=False)
    found = bound.arguments["options"]
    assert isinstance(found, Options)
    return found


FLAGS = {
    "--url=x:1": Options(url="x:1"),
    "--server=x:1": Options(url="x:1"),
    "--secure": Options(secure=True),
    "--file=a.wav": Options(file="a.wav"),
    "--sample=a.wav": Options(file="a.wav"),
    "--seconds=2.5": Options(seconds=2.5),
    "--n=3": Options(requests=3),
    "--requests=3": Options(requests=3),
    "--concurrency=1,4": Options(concurrency="1,4"),
    "--duration=5": Options(duration=5.0),
    "--key=k": Options(key="k"),
    "--timeout=9": Options(timeout=9.0),
    "--client=echo_pcm": Options(client="echo_pcm"),
    "--rtf=10": Options(rtf=10.0),
    "--frame-ms=20": Options(frame_ms=20.0),
    "--eos=silence": Options(eos="silence"),
    "--post-wait=3": Options(post_wait=3.0),
    "--print-partials": Options(print_partials=True),
    "--full-text": Options(full_text=True),
    "--gpu-id=0,1": Options(gpu_id="0,1"),
    "--output=t.csv": Options(output=Path("t.csv")),
    "--verbose": Options(verbose=True),
}


@pytest.mark.parametrize("flag", FLAGS)
def test_every_flag_of_the_older_clients_is_read(flag: str) -> None:
    assert parsed(flag) == parsed(*flag.split("=")) == FLAGS[flag]


def test_a_mistake_says_nothing_of_the_key() -> None:
    with pytest.raises(CycloptsError) as mistake:
        parsed("--key=hidden-key", "--timeout=soon")
    assert "hidden-key" not in str(mistake.value)


def test_a_count_is_the_verbs_own_unless_it_is_given() -> None:
    assert (profile().requests, profile(requests=3).requests) == (50, 3)


def test_a_duration_takes_the_place_of_a_count() -> None:
    assert (profile(duration=2.5).duration_s, profile(duration=2.5).requests) == (2.5, None)
    with pytest.raises(UsageError, match="not both"):
        profile(duration=2.5, requests=3)


def test_a_list_of_concurrencies_is_a_ramp() -> None:
    assert (profile(concurrency="4").kind, profile(concurrency="4").levels) == ("closed", (4.0,))
    assert (profile(concurrency="1,4,8").kind, profile(concurrency="1,4,8").levels) == ("ramp", (1.0, 4.0, 8.0))
    with pytest.raises(UsageError, match="whole number"):
        profile(concurrency="1.5")


def test_the_timeout_is_the_loads() -> None:
    assert (profile().timeout_s, profile(timeout=0.5).timeout_s) == (30.0, 0.5)


def test_flags_of_streams_make_their_options() -> None:
    assert Options().stream() == StreamOptions()
    given = Options(rtf=0, frame_ms=20, post_wait=3, eos="commit").stream()
    assert (given.pace, given.frame_ms, given.post_wait_s, given.eos) == (0, 20, 3, "commit")
    assert Options(eos="silence").stream().eos == "silence"


@pytest.mark.parametrize(
    ("words", "mistake"),
    [
        ({"rtf": -1}, "--rtf=-1: expected a number from 0 to 1000"),
        ({"rtf": float("nan")}, "--rtf=nan"),
        ({"frame_ms": 0.5}, "--frame-ms=0.5: expected a number from 1"),
        ({"post_wait": 0}, "--post-wait=0: expected"),
        ({"timeout": 0}, "--timeout=0: expected"),
        ({"eos": "silence", "rtf": 0}, "--eos=silence with --rtf=0"),
    ],
)
def test_what_cannot_be_streamed_is_named_with_its_limit(words: dict[str, Any], mistake: str) -> None:
    with pytest.raises(UsageError, match=mistake):
        Options(**words).stream()


@pytest.mark.parametrize("flag", ["rtf", "frame_ms", "eos", "post_wait", "print_partials", "full_text"])
def test_a_client_that_does_not_stream_takes_no_flag_of_streams(flag: str) -> None:
    options: dict[str, Any] = {flag: 1}
    with pytest.raises(UsageError, match=f"--{flag.replace('_', '-')}: client 'smart_turn' does not stream"):
        Options(**options).refuse_streaming("smart_turn")
    Options().refuse_streaming("smart_turn")


def test_gpus_are_numbers_with_commas() -> None:
    assert (Options().gpu_ids(), Options(gpu_id="0,2").gpu_ids()) == (None, [0, 2])
    for wrong in ("cuda:0", "-1", ""):
        with pytest.raises(UsageError, match="--gpu-id"):
            Options(gpu_id=wrong).gpu_ids()


def test_streams_are_sent_paragraphs_or_any_corpus(tmp_path: Path) -> None:
    assert {clip.language for clip in Options().corpus(streams=True)} == {"en"}
    soundfile.write(tmp_path / "mine.wav", np.zeros(8000, dtype=np.float32), 8000)
    (tmp_path / "mine.txt").write_text("hello there")
    (clip,) = Options(file=str(tmp_path)).corpus(streams=True)
    assert (clip.id, clip.text) == ("mine", "hello there")


def test_a_file_of_ones_own_is_sent(tmp_path: Path) -> None:
    path = tmp_path / "mine.wav"
    soundfile.write(path, np.zeros((8000, 2), dtype=np.float32), 8000)
    (clip,) = Options(file=str(path)).corpus()
    assert (clip.id, clip.path) == ("mine", path)
    assert clip.duration_s == pytest.approx(1.0, abs=0.01)


def test_what_is_no_audio_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "mine.wav"
    path.write_text("no audio")
    with pytest.raises(UsageError, match="cannot be decoded"):
        Options(file=str(path)).corpus()


def test_a_sample_is_found_by_name_and_by_id() -> None:
    (by_name,) = Options(file="mid.wav").corpus()
    (by_id,) = Options(file=by_name.id).corpus()
    assert by_name.path is not None and by_name.path.name == "mid.wav"
    assert by_id == by_name
    with pytest.raises(UsageError, match=r"did you mean 'mid\.wav'"):
        Options(file="mdi.wav").corpus()


@given(st.integers(1, 4000), st.floats(0.001, 0.4))
def test_a_clip_is_cut_or_padded_at_its_beginning(samples: int, seconds: float) -> None:
    audio = np.linspace(-1, 1, samples, dtype=np.float32)
    clip = Utterance(id="u", duration_s=samples / 16_000, samples=audio, sample_rate_hz=16_000, label="cut")
    fitted = module.fit(clip, seconds).audio(16_000)
    kept = min(samples, len(fitted))
    assert len(fitted) == round(seconds * 16_000)
    assert np.array_equal(fitted[-kept:], audio[-kept:])
    assert not fitted[:-kept].any()


@given(st.integers(3, 80).map(lambda sixteenths: sixteenths / 16))  # so that sums are exact
def test_words_keep_their_places_in_the_audio(seconds: float) -> None:
    words = tuple(Word(f"w{n}", float(n), n + 0.5) for n in range(3))
    audio = np.linspace(-1, 1, 3 * 16_000, dtype=np.float32)
    facts: dict[str, Any] = {"text": "W0, w1 w2.", "words": words, "speech_end_s": 2.5}
    clip = Utterance(id="u", duration_s=3.0, samples=audio, sample_rate_hz=16_000, **facts)
    fitted = module.fit(clip, seconds)
    shift_s = fitted.duration_s - 3.0
    assert [word.word for word in fitted.words] == [word.word for word in words if word.start_s + shift_s >= 0]
    assert all(word.start_s == float(word.word[1:]) + shift_s for word in fitted.words)
    assert fitted.speech_end_s == (2.5 + shift_s if shift_s > -2.5 else None)
    whole = len(fitted.words) == 3
    assert fitted.text == (clip.text if whole else " ".join(word.word for word in fitted.words) or None)


def test_a_cut_text_of_unknown_word_times_is_no_reference() -> None:
    audio = np.zeros(16_000, dtype=np.float32)
    clip = Utterance(id="u", duration_s=1.0, samples=audio, sample_rate_hz=16_000, text="hello")
    assert (module.fit(clip, 0.5).text, module.fit(clip, 2.0).text) == (None, "hello")


def test_seconds_apply_to_every_clip() -> None:
    corpus = Options(file="mid.wav", seconds=0.5).corpus()
    assert [clip.duration_s for clip in corpus] == [0.5]
    with pytest.raises(UsageError, match="--seconds=0"):
        Options(seconds=0).corpus()


@pytest.mark.parametrize(
    ("text", "secure", "url"),
    [
        ("localhost:8000", False, "http://localhost:8000"),
        ("localhost:8000", True, "https://localhost:8000"),
        ("http://1.2.3.4:80/", False, "http://1.2.3.4:80"),
        ("https://x.example", True, "https://x.example"),
        ("abc-8000.proxy.runpod.net", False, "https://abc-8000.proxy.runpod.net"),
        ("notrunpod.net:1", False, "http://notrunpod.net:1"),
        ("[::1]:8000", False, "http://[::1]:8000"),
        ("ws://localhost:8000/ws", False, "http://localhost:8000"),
        ("ws://localhost:8000/ws/json", False, "http://localhost:8000"),
        ("wss://x.example/voice", True, "https://x.example/voice"),
    ],
)
def test_an_address_is_made_a_url(text: str, secure: bool, url: str) -> None:
    assert target.address(text, secure=secure) == url


@pytest.mark.parametrize("text", ["", "http://", "ftp://x", "host:port", "host:99999", "host:0"])
def test_what_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="no address"):
        target.address(text)


def test_an_address_alone_needs_its_wire(here: Path) -> None:
    place = target.of_options("ws://localhost:1/ws", Options(client="echo_json", key="k"))
    assert (place.url, place.client, place.streams, place.secrets) == (
        "http://localhost:1",
        "echo_json",
        True,
        {"ECHO_KEY": "k"},
    )
    with pytest.raises(UsageError, match="which wire: --client, one of smart_turn, echo"):
        target.of_options("localhost:1", Options())
    with pytest.raises(UsageError, match="did you mean 'echo_json'"):
        target.of_options("localhost:1", Options(client="echo_jsn"))
    with pytest.raises(UsageError, match="two addresses"):
        target.of_options("localhost:1", Options(client="echo_json", url="localhost:2"))


@contextmanager
def saying(status: dict[str, Any]) -> Iterator[str]:
    """A server that is ready and says this of itself."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = json.dumps(status if self.path == "/status" else {}).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield f"127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()


@pytest.mark.parametrize(("model", "kind"), [("tiny", "turn-complete-tiny-"), ("auto", "paragraph-")])
def test_a_model_of_a_small_world_is_sent_texts_of_it(here: Path, model: str, kind: str) -> None:
    asked = Options(client="fastconformer")
    with saying({"settings": {"model": model}}) as address:
        place = target.of_options(address, asked)
        assert all(one.id.startswith(kind) for one in asked.corpus(streams=True, usual=place.usual))


def test_a_server_that_is_not_there_is_sent_what_is_usual(here: Path) -> None:
    assert target.of_options("127.0.0.1:9", Options(client="fastconformer")).usual() == PARAGRAPHS


@pytest.mark.parametrize("given", [{"rtf": 2.0}, {"frame_ms": 20.0}, {"eos": "commit"}, {"post_wait": 3.0}])
def test_a_file_has_no_pace(given: dict[str, Any]) -> None:
    flag = next(iter(given)).replace("_", "-")
    with pytest.raises(UsageError, match=f"--{flag}: client 'parakeet_upload' sends whole files"):
        Options(**given).stream("parakeet_upload")
    assert Options().stream("parakeet_upload") == WHOLE_FILES
    with pytest.raises(UsageError, match="eos='file' with client 'parakeet', which streams"):
        Options(eos="file", rtf=0).stream("parakeet")


def test_a_server_has_its_own_clients(here: Path) -> None:
    assert target.of_options("echo", Options(url="localhost:1")).client == "echo"
    assert target.of_options("echo", Options(url="localhost:1", client="echo_pcm")).streams
    with pytest.raises(UsageError, match="unknown client of smart_turn 'echo_pcm'"):
        target.of_options("smart_turn", Options(url="localhost:1", client="echo_pcm"))


def test_secure_and_http_contradict_each_other() -> None:
    with pytest.raises(UsageError, match="contradict"):
        target.address("http://x", secure=True)


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder without a .env and an environment without keys."""
    for name in RUNPOD:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_key_of_the_file_is_used_unless_one_is_given(here: Path) -> None:
    (here / ".env").write_text("AUTH_KEY=from-file\n")
    place = Options(url="localhost:1")
    assert target.of_options("smart_turn", place).secrets == {"AUTH_KEY": "from-file"}
    given = target.of_options("smart_turn", Options(url="localhost:1", key="given"))
    assert given.secrets == {"AUTH_KEY": "given"}


def test_a_key_is_never_shown() -> None:
    options = Options(url="localhost:1", key="hidden-key")
    assert "hidden-key" not in repr(options) + repr(target.of_options("echo", options))


def test_each_server_has_its_own_name_for_its_key() -> None:
    assert target.key_variable(catalog.lookup("smart_turn")) == "AUTH_KEY"
    assert target.key_variable(catalog.lookup("echo")) == "ECHO_KEY"
    assert target.key_variable(catalog.lookup("voxtral")) == "VOXTRAL_API_KEY"  # not that of an engine behind it


def test_without_an_address_and_without_a_server_the_remedy_is_named(here: Path) -> None:
    if service.status("echo").state == "down":
        with pytest.raises(UsageError, match="`yapbench up echo`"):
            target.of_options("echo", Options())


def test_the_remote_host_and_its_key_come_from_the_file(here: Path) -> None:
    (here / ".env").write_text("RUNPOD_TCP_HOST=1.2.3.4\nRUNPOD_TCP_PORT=40123\nRUNPOD_API_KEY=rp-key\n")
    place = target.of_environment("smart_turn", Options())
    assert (place.url, place.secrets) == ("http://1.2.3.4:40123", {BEARER: "rp-key"})
    assert target.of_environment("smart_turn", Options(secure=True)).url == "https://1.2.3.4:40123"


def test_a_host_behind_the_proxy_has_tls_and_needs_no_port(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RUNPOD_TCP_HOST", "abc-8000.proxy.runpod.net")
    assert target.of_environment("smart_turn", Options()).url == "https://abc-8000.proxy.runpod.net"


def test_a_remote_host_that_is_not_named_is_asked_for(here: Path) -> None:
    with pytest.raises(UsageError, match="RUNPOD_TCP_HOST is not set"):
        target.of_environment("smart_turn", Options())


async def test_a_proxys_key_goes_as_bearer_and_the_servers_beside_it() -> None:
    seen: list[tuple[str | None, str | None]] = []

    async def handler(request: web.Request) -> web.Response:
        await request.read()
        seen.append((request.headers.get("Authorization"), request.headers.get("X-API-Key")))
        return web.json_response(GOOD)

    async with served(handler) as url:
        for keys in ({BEARER: "proxy"}, {BEARER: "proxy", "AUTH_KEY": "own"}, {"AUTH_KEY": "own"}):
            client = SmartTurnClient(url, timeout_s=5, environment=keys)
            await client.exchange(client.prepare(CLIP, np.zeros(9, dtype=np.float32)), "r", intended_ns=0)
            await client.close()
    assert seen == [("Bearer proxy", None), ("Bearer proxy", "own"), ("Key own", None)]
