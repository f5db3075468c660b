"""The tests' own instruments: a tone is heard as the word it was made from, and the server answers its small routes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tests.servers.parakeet.conftest import Start, file_of
from tests.servers.parakeet.fake import DEADLY, POISON, WORD_S, heard, say, silence, text_of


def test_every_word_is_heard_where_it_was_said() -> None:
    numbers = list(range(110))
    transcript = heard(np.concatenate([silence(0.5), say(*numbers)]))
    assert transcript.text == text_of(*numbers)
    starts = [word.start_s for word in transcript.words]
    assert np.allclose(starts, 0.5 + 0.3 * np.arange(110), atol=0.011)


def test_a_cut_word_is_known_as_one() -> None:
    assert heard(say(5)[: round(WORD_S * 8000)]).text == "w5-"
    with pytest.raises(ArithmeticError):
        heard(say(POISON))


@pytest.mark.parametrize(
    ("path", "key", "value"),
    [("/healthz", "status", "ok"), ("/config", "batch_size", 3), ("/status", "device", "fake")],
)
def test_small_routes(start: Start, path: str, key: str, value: Any) -> None:
    assert start(batch_size=3).get(path).json()[key] == value


def test_a_server_whose_model_is_lost_is_not_healthy(start: Start) -> None:
    server = start()
    assert server.get("/health").status_code == 200
    assert (
        server.post("/transcribe", files={"file": file_of(say(DEADLY))}).json()["error"]["code"] == "inference_failed"
    )
    assert server.get("/health").status_code == 503
