"""A plain server on FastConformer's wire: each stream steps alone, by NeMo's own `conformer_stream_step`.

What one writes from NeMo's streaming example: a connection gathers audio, and whenever a chunk is whole the one model
thread steps that stream and the text so far goes out. No batches, no bounds; the same checkpoint and look-ahead.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import time
from concurrent.futures import ThreadPoolExecutor
from http import HTTPStatus
from typing import Any

import numpy as np
from websockets.asyncio.server import ServerConnection, serve

from servers.common.interfaces import Audio
from servers.common.settings import load
from servers.fastconformer.settings import Settings

HOP = 160
HISTORY = 9
"""Mel frames before a chunk that the subsampling needs."""
MARGIN = 512
"""Samples on each side of a chunk, so that its outermost mel frames are those of the whole stream."""
MARGIN_FRAMES = 4
"""Mel frames whose centres lie in the margin before a chunk and are not taken, at 160 samples each with one over."""


class Model:
    """NeMo's model. One thread calls it."""

    def __init__(self, settings: Settings) -> None:
        import torch

        from servers.fastconformer.model_load import choose_context, choose_device, load_model

        torch.set_num_threads(settings.threads)
        self.torch, self.nemo = torch, load_model(settings, choose_device(settings.device))
        context = choose_context(self.nemo.encoder, settings)
        self.nemo.encoder.set_default_att_context_size(list(context))
        self.nemo.preprocessor.featurizer.dither = 0.0
        self.config = self.nemo.encoder.streaming_cfg


class Stream:
    """One connection's audio, caches and hypothesis."""

    def __init__(self, model: Model) -> None:
        self._model = model
        self._caches = model.nemo.encoder.get_initial_cache_state(batch_size=1)
        self._audio: Audio = np.zeros(0, np.float32)
        self._frames = 0
        """Mel frames that the model has had."""
        self._dropped = 0
        """Samples of the stream that are no longer kept."""
        self._mel = model.torch.zeros(1, 80, HISTORY)
        self._hypotheses: Any = None

    def hear(self, audio: Audio, *, last: bool) -> str | None:
        """The whole text so far, if a chunk was whole; blocking."""
        self._audio = np.concatenate([self._audio, audio])
        text = None
        while (chunk := self._next(last=last)) is not None:
            text = self._step(chunk, last=last)
        return text

    def _next(self, *, last: bool) -> Any:
        """The next chunk's mel frames, (1, 80, frames); None where there is not enough audio."""
        sizes = self._model.config.chunk_size
        wanted = sizes[0] if self._frames == 0 else sizes[1]
        end = self._dropped + len(self._audio)
        ready = end // HOP if last else (end - MARGIN // 2) // HOP
        count = min(wanted, ready - self._frames)
        if count <= 0 or (count < wanted and not last):
            return None
        torch, first = self._model.torch, self._frames * HOP
        begin = max(first - HOP * MARGIN_FRAMES, 0)
        window = self._audio[begin - self._dropped : first + count * HOP + MARGIN - self._dropped]
        mel, _ = self._model.nemo.preprocessor(
            input_signal=torch.from_numpy(window[None].copy()), length=torch.tensor([len(window)])
        )
        skipped = (first - begin) // HOP
        self._frames += count
        keep_from = max(self._frames * HOP - HOP * MARGIN_FRAMES, 0)
        self._audio, self._dropped = self._audio[keep_from - self._dropped :], keep_from
        return mel[:, :, skipped : skipped + count]

    def _step(self, mel: Any, *, last: bool) -> str:
        torch, nemo = self._model.torch, self._model.nemo
        is_first = self._hypotheses is None
        signal = mel if is_first else torch.cat([self._mel, mel], dim=2)
        self._mel = torch.cat([self._mel, mel], dim=2)[:, :, -HISTORY:]
        channel, time_, length = self._caches
        _, _, channel, time_, length, self._hypotheses = nemo.conformer_stream_step(
            processed_signal=signal,
            processed_signal_length=torch.tensor([signal.shape[2]]),
            cache_last_channel=channel,
            cache_last_time=time_,
            cache_last_channel_len=length,
            keep_all_outputs=last,
            previous_hypotheses=self._hypotheses,
            drop_extra_pre_encoded=0 if is_first else self._model.config.drop_extra_pre_encoded,
            return_transcription=True,
        )
        self._caches = channel, time_, length
        return str(self._hypotheses[0].text)


class Plain:
    """Connections, and the one thread that the model lives in."""

    def __init__(self, settings: Settings) -> None:
        self._thread = ThreadPoolExecutor(1)
        self._model = self._thread.submit(Model, settings).result()

    async def handle(self, connection: ServerConnection) -> None:
        """One stream from `init` to `final`."""
        sid = json.loads(await connection.recv())["sid"]
        stream, shown = await self._call(Stream, self._model), ""
        async for message in connection:
            closes = isinstance(message, str) and json.loads(message)["op"] == "close"
            if isinstance(message, str) and not closes:
                continue
            pcm = np.frombuffer(message if isinstance(message, bytes) else b"", "<i2").astype(np.float32) / 32768
            text = await self._call(lambda pcm=pcm, last=closes: self._hear(stream, pcm, last=last))
            if text is not None and text != shown:
                shown = text
                await connection.send(_said("interim", sid, shown))
            if closes:
                await connection.send(_said("final", sid, shown))
                return

    def _hear(self, stream: Stream, pcm: Audio, *, last: bool) -> str | None:
        with self._model.torch.inference_mode():
            return stream.hear(pcm, last=last)

    async def _call(self, work: Any, *words: Any) -> Any:
        return await asyncio.get_running_loop().run_in_executor(self._thread, work, *words)


def _said(op: str, sid: object, text: str) -> str:
    row = {"op": op, "sid": sid, "text": text, "final": op == "final", "ts": int(time.time() * 1000)}
    return json.dumps(row)


def answer_ready(connection: ServerConnection, request: Any) -> Any:
    """GET /ready and /health, for whoever waits and for whoever asks how long the loop stands still."""
    if request.path in ("/ready", "/health"):
        return connection.respond(HTTPStatus.OK, "ok\n")
    return None


async def run(settings: Settings) -> None:
    """Serves until it is ended."""
    plain = Plain(settings)
    async with serve(
        plain.handle, "127.0.0.1", settings.port, process_request=answer_ready, compression=None
    ) as server:
        await server.serve_forever()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    for name in ("model", "port", "device", "look-ahead-ms"):
        parser.add_argument(f"--{name}", required=True)
    given = vars(parser.parse_args())
    asyncio.run(run(load(Settings, [f"--{name.replace('_', '-')}={value}" for name, value in given.items()])))
