"""OpenAI's own client against this server: every format it knows, streams, refusals."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import openai
import pytest
from openai import OpenAI

from servers.common.errors import BadInput
from servers.common.interfaces import Audio
from servers.parakeet.rest.openai_fields import read_options
from servers.parakeet.settings import MODEL_ID
from servers.parakeet.uploads.fields import Fields
from tests.servers.parakeet.conftest import Running, Start, file_of
from tests.servers.parakeet.fake import POISON, say, silence, text_of

Connect = Callable[..., OpenAI]


@pytest.fixture
def connect() -> Iterator[Connect]:
    clients: list[OpenAI] = []

    def to(server: Running, **options: Any) -> OpenAI:
        given = {"api_key": "any", "max_retries": 0, **options}
        clients.append(OpenAI(base_url=f"{server.url}/v1", **given))
        return clients[-1]

    yield to
    for client in clients:
        client.close()


def ask(client: OpenAI, audio: Audio, **options: Any) -> Any:
    file = ("a.wav", io.BytesIO(file_of(audio)))
    return client.audio.transcriptions.create(file=file, model=options.pop("model", "whisper-1"), **options)


def test_json(start: Start, connect: Connect) -> None:
    found = ask(connect(start()), say(1, 2))
    assert (found.text, found.usage.seconds) == ("w1 w2", 1)


def test_verbose_json_with_words_and_segments(start: Start, connect: Connect) -> None:
    options = {"response_format": "verbose_json", "timestamp_granularities": ["word", "segment"]}
    found = ask(connect(start()), np.concatenate([silence(1), say(1, 2)]), **options)
    assert (found.text, found.language, found.duration) == ("w1 w2", "english", pytest.approx(1.6))
    assert [(word.word, word.start, word.end) for word in found.words] == [("w1", 1.0, 1.2), ("w2", 1.3, 1.5)]
    (segment,) = found.segments
    assert (segment.id, segment.text, segment.start, segment.end) == (0, "w1 w2", 1.0, 1.5)
    assert segment.avg_logprob == pytest.approx(np.log(0.9))


@pytest.mark.parametrize(("asked", "words", "segments"), [(["word"], 1, None), (["segment"], None, 1), ([], None, 1)])
def test_only_the_granularity_that_was_asked_for(
    start: Start, connect: Connect, asked: list[str], words: int | None, segments: int | None
) -> None:
    options = {"timestamp_granularities": asked} if asked else {}
    found = ask(connect(start()), say(1), response_format="verbose_json", **options)
    assert (found.words and len(found.words), found.segments and len(found.segments)) == (words, segments)


def test_text_srt_and_vtt(start: Start, connect: Connect) -> None:
    client = connect(start())
    formats = {kind: ask(client, say(1, 2), response_format=kind) for kind in ("text", "srt", "vtt")}
    assert formats == {
        "text": "w1 w2\n",
        "srt": "1\n00:00:00,000 --> 00:00:00,500\nw1 w2\n\n",
        "vtt": "WEBVTT\n\n00:00:00.000 --> 00:00:00.500\nw1 w2\n\n",
    }


def test_stream(start: Start, connect: Connect) -> None:
    """A part for each piece, as it is ready; together they are the text."""
    events = list(ask(connect(start(max_audio_s=3)), say(*range(40)), stream=True))
    deltas = [event.delta for event in events if event.type == "transcript.text.delta"]
    assert len(deltas) > 3
    assert "".join(deltas) == text_of(*range(40)) == events[-1].text
    assert events[-1].type == "transcript.text.done"


def test_a_stream_comes_while_the_file_is_transcribed(start: Start, connect: Connect) -> None:
    server = start(max_audio_s=2, batch_size=1)
    stream = iter(ask(connect(server), say(*range(40)), stream=True))
    assert next(stream).delta.startswith("w0 w1")
    server.model.gate.clear()
    calls = len(server.model.batches)
    server.model.gate.set()
    list(stream)
    assert len(server.model.batches) > calls


def test_a_stream_of_silence_is_done_at_once(start: Start, connect: Connect) -> None:
    (event,) = ask(connect(start()), silence(1), stream=True)
    assert (event.type, event.text) == ("transcript.text.done", "")


def test_a_stream_that_fails_on_the_way_says_so(start: Start, connect: Connect) -> None:
    audio = np.concatenate([say(1, 2, 3), silence(1), say(4, 5, 6), silence(1), say(POISON), silence(1), say(8)])
    stream = iter(ask(connect(start(max_audio_s=2, batch_size=1)), audio, stream=True))
    assert next(stream).delta == "w1 w2 w3"
    with pytest.raises(openai.APIError, match="the model failed on this request"):
        list(stream)


def test_a_stream_that_fails_at_once_is_no_stream(start: Start, connect: Connect) -> None:
    with pytest.raises(openai.InternalServerError, match="the model failed") as caught:
        ask(connect(start()), say(POISON), stream=True)
    assert caught.value.code == "inference_failed"


def test_a_stream_holds_its_seat_and_gives_it_back(start: Start, connect: Connect) -> None:
    server = start(max_audio_s=2, batch_size=1, max_requests=1)
    client = connect(server)
    stream = ask(client, say(*range(40)), stream=True)
    server.model.gate.clear()
    next(iter(stream))
    with pytest.raises(openai.InternalServerError, match="no room: 1 requests are running"):
        ask(client, say(1))
    stream.close()
    server.model.gate.set()
    while server.status()["in_flight"]:
        pass
    assert ask(client, say(1)).text == "w1"


@pytest.mark.parametrize(
    ("options", "field"),
    [
        ({"response_format": "diarized_json"}, "response_format"),
        ({"timestamp_granularities": ["word"]}, "timestamp_granularities[]"),
        ({"response_format": "srt", "stream": True}, "response_format"),
        ({"include": ["logprobs"]}, "include[]"),
        ({"language": "de"}, "language"),
        ({"temperature": 7}, "temperature"),
    ],
)
def test_refusals(start: Start, connect: Connect, options: dict[str, Any], field: str) -> None:
    with pytest.raises(openai.BadRequestError) as caught:
        ask(connect(start()), say(1), **options)
    assert isinstance(caught.value.body, dict)
    assert caught.value.body["field"] == field
    assert caught.value.code == "bad_input"


def test_not_audio(start: Start, connect: Connect) -> None:
    with pytest.raises(openai.APIStatusError, match="not audio") as caught:
        connect(start()).audio.transcriptions.create(file=b"hello", model="whisper-1")
    assert caught.value.status_code == 415


def test_what_has_no_effect_is_named(start: Start, connect: Connect) -> None:
    raw = connect(start()).audio.transcriptions.with_raw_response.create(
        file=file_of(say(1)), model="any", prompt="Parakeets.", temperature=0.2, language="en", chunking_strategy="auto"
    )
    assert raw.headers["x-without-effect"] == "prompt, temperature, chunking_strategy"
    assert raw.parse().text == "w1"


def test_models_and_keys(start: Start, connect: Connect) -> None:
    server = start(api_key="secret")
    with pytest.raises(openai.AuthenticationError):
        ask(connect(server), say(1))
    client = connect(server, api_key="secret")
    assert ask(client, say(1)).text == "w1"
    assert [model.id for model in client.models.list()] == [MODEL_ID]
    assert client.models.retrieve(MODEL_ID).owned_by == "nvidia"
    with pytest.raises(openai.NotFoundError, match=MODEL_ID):
        client.models.retrieve("whisper-1")


@pytest.mark.parametrize("name", ["timestamp_granularities", "timestamp_granularities[]"])
def test_both_spellings_of_a_list(name: str) -> None:
    options = read_options(Fields([("response_format", "verbose_json"), (name, "word")]))
    assert (options.words, options.segments) == (True, False)


@pytest.mark.parametrize("language", ["en", "EN", "en-US", "en_gb", "english", ""])
def test_english_by_any_name(language: str) -> None:
    assert read_options(Fields([("language", language)])).format == "json"


@pytest.mark.parametrize("language", ["de", "eng?", "french"])
def test_other_languages(language: str) -> None:
    with pytest.raises(BadInput, match="not spoken here"):
        read_options(Fields([("languages[]", language)]))
