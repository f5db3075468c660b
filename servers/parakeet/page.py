"""The demo page at `/` and the files it is made of, at `/page/...`. Read once, kept in memory, asked for no key."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from fastapi import APIRouter, Request
from fastapi.responses import Response
from starlette.exceptions import HTTPException

from servers.parakeet.settings import Settings

FOLDER: Final = Path(__file__).with_name("page")
INDEX: Final = "index.html"
TYPES: Final = {
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".svg": "image/svg+xml",
}
POLICY: Final = (
    "default-src 'self'; media-src 'self' blob:; object-src 'none'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'"
)
"""Nothing from elsewhere and no inline script; `blob:` is the visitor's own recording, played from the page."""
HEADERS: Final = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Permissions-Policy": "microphone=(self), camera=(), geolocation=()",
    # Asked for again each time, answered with 304 as long as it is the same: a new server never meets an old script.
    "Cache-Control": "no-cache",
}


@dataclass(frozen=True, slots=True)
class Asset:
    """A file of the page, as it goes out."""

    content: bytes
    media_type: str
    etag: str


def read_assets() -> dict[str, Asset]:
    """By name. What is not in it cannot be asked for, so no path leads out of the folder."""
    return {path.name: _read(path) for path in sorted(FOLDER.iterdir()) if path.suffix in TYPES}


def create_router(settings: Settings) -> APIRouter:
    """GET and HEAD of the page and of its files; other methods are 405, other names 404.

    The page asks /config and /status for what is in force, so it needs nothing of `settings`.
    """
    router, assets = APIRouter(), read_assets()

    @router.api_route("/", methods=["GET", "HEAD"])
    async def show_page(request: Request) -> Response:
        return _answer(request, assets[INDEX])

    @router.api_route("/page/{name}", methods=["GET", "HEAD"])
    async def show_asset(request: Request, name: str) -> Response:
        if name == INDEX or name not in assets:
            raise HTTPException(404, f"the page has no file {name!r}")
        return _answer(request, assets[name])

    return router


def _read(path: Path) -> Asset:
    content = path.read_bytes()
    return Asset(content, TYPES[path.suffix], f'"{hashlib.sha256(content).hexdigest()[:32]}"')


def _answer(request: Request, asset: Asset) -> Response:
    headers = {**HEADERS, "ETag": asset.etag}
    known = [tag.strip().removeprefix("W/") for tag in request.headers.get("if-none-match", "").split(",")]
    if asset.etag in known or "*" in known:
        return Response(status_code=304, headers=headers)
    return Response(asset.content, media_type=asset.media_type, headers=headers)
