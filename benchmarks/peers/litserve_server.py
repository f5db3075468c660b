"""LitServe as its documentation has one serve batches: one worker process, at most 6 requests, 5 ms.

A body that is no JSON reaches `decode_request` only by this annotation. No postponed annotations here: LitServe reads
them as objects. Its option `fast_queue` is left out: 0.2.19 hands it to a field that does not exist, and ignores it.
"""

from collections.abc import Sequence
from typing import Annotated

import litserve  # type: ignore[import-not-found]
from fastapi import Body

from benchmarks.peers.models import LARGEST_BATCH, WINDOW_MS, Asked, build, build_reply, read_arguments, timed
from servers.common.interfaces import Audio
from servers.smart_turn.protocol import parse

KEEP_ALIVE_S = 75
Octets = Annotated[bytes, Body(media_type="application/octet-stream")]


class SmartTurn(litserve.LitAPI):  # type: ignore[misc]
    """The model in LitServe's worker process."""

    def __init__(self, asked: Asked) -> None:
        super().__init__(max_batch_size=LARGEST_BATCH, batch_timeout=WINDOW_MS / 1000, api_path="/raw")
        self._asked = asked

    def setup(self, device: str) -> None:
        self._detector = build(self._asked)

    def decode_request(self, request: Octets):  # type: ignore[no-untyped-def]
        return parse(request)

    def batch(self, inputs: list[Audio]) -> list[Audio]:
        return inputs

    def predict(self, batch: Sequence[Audio]) -> list[dict[str, object]]:
        probabilities, inference_s = timed(self._detector.predict, batch)
        return [
            build_reply(value, batch_size=len(batch), inference_s=inference_s, total_s=inference_s)
            for value in probabilities
        ]


if __name__ == "__main__":
    asked = read_arguments()
    server = litserve.LitServer(
        SmartTurn(asked),
        accelerator="cuda" if asked.device.startswith("cuda") else "cpu",
        devices=1,
        healthcheck_path="/ready",
        timeout=False,
    )
    server.run(
        host="127.0.0.1",
        port=asked.port,
        num_api_servers=1,
        generate_client_file=False,
        log_level="warning",
        access_log=False,
        timeout_keep_alive=KEEP_ALIVE_S,
    )
