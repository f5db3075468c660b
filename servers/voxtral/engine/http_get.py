"""One GET of the engine's plain HTTP routes. Asked every few seconds at most: no client library for that."""

from __future__ import annotations

import asyncio
import http.client
import urllib.error
import urllib.request
from typing import Final
from urllib.parse import urlsplit, urlunsplit

MAX_ANSWER_BYTES: Final = 8 * 1024 * 1024
_OPENER: Final = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def route(realtime_url: str, path: str) -> str:
    """The HTTP address of another route of the engine whose WebSocket is at `realtime_url`."""
    place = urlsplit(realtime_url)
    return urlunsplit((place.scheme.replace("ws", "http", 1), place.netloc, path, "", ""))


async def get(url: str, *, timeout_s: float) -> tuple[int, str]:
    """Status and text. Raises OSError where nothing answers, TimeoutError where nothing answers in time."""
    return await asyncio.to_thread(_get, url, timeout_s)


def _get(url: str, timeout_s: float) -> tuple[int, str]:
    try:
        with _OPENER.open(url, timeout=timeout_s) as answer:
            return answer.status, answer.read(MAX_ANSWER_BYTES).decode(errors="replace")
    except urllib.error.HTTPError as answer:
        with answer:
            return answer.code, ""
    except urllib.error.URLError as error:
        if isinstance(error.reason, OSError):
            raise error.reason from error
        raise
    except http.client.HTTPException as error:
        raise OSError(f"no HTTP: {error!r}") from error
