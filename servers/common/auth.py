"""Keys: where a client may put one, how it is compared, and how it is kept out of the log."""

from __future__ import annotations

import hmac
import re
from collections.abc import Sequence

from pydantic import SecretStr
from starlette.requests import HTTPConnection

from servers.common.errors import Unauthorized

_IN_URL = re.compile(r"(?i)([?&](?:api_key|auth_id|key|token|access_token)=)[^&\s\"'#]+")
_IN_HEADER = re.compile(
    r"""(?i)\b((?:proxy-)?authorization|x-api-key|kyutai-api-key)(["']?\s*[:=]\s*(?:b?["'])?|',\s*b?')"""
    r"""(?:(?:key|bearer)\s+)?[^\s"',;]+"""
)


class KeyCheck:
    """Lets a request pass when it carries one of the keys, or always when none is set.

    `keys` may hold several, separated by commas. `schemes` are accepted in `Authorization`, `headers` carry
    the bare key, `query` names a URL parameter.
    """

    def __init__(
        self,
        keys: SecretStr | None,
        *,
        schemes: Sequence[str] = ("Key", "Bearer"),
        headers: Sequence[str] = ("X-API-Key",),
        query: str | None = "api_key",
    ) -> None:
        text = keys.get_secret_value() if keys else ""
        self._keys = [key.strip().encode() for key in text.split(",") if key.strip()]
        self._schemes = {scheme.lower() for scheme in schemes}
        self._headers, self._query = tuple(headers), query

    @property
    def required(self) -> bool:
        return bool(self._keys)

    def check(self, connection: HTTPConnection) -> None:
        """Raise Unauthorized unless a presented key is right. For HTTP requests and WebSockets alike."""
        if not self._keys:
            return
        presented = self._presented(connection)
        if not presented:
            raise Unauthorized("a key is required", field=self._where())
        # No early exit: the time taken says nothing about which key was nearly right.
        matches = [hmac.compare_digest(given, key) for given in presented for key in self._keys]
        if not any(matches):
            raise Unauthorized("the key is not valid", field=self._where())

    def _presented(self, connection: HTTPConnection) -> list[bytes]:
        found = []
        scheme, _, key = connection.headers.get("authorization", "").partition(" ")
        if scheme.lower() in self._schemes and key.strip():
            found.append(key.strip().encode("latin-1"))
        found += [connection.headers[name].encode("latin-1") for name in self._headers if name in connection.headers]
        if self._query and (value := connection.query_params.get(self._query)):
            found.append(value.encode("utf-8", "surrogatepass"))
        return found

    def _where(self) -> str:
        return "Authorization" if self._schemes else next(iter(self._headers), self._query or "key")


def redact(text: str) -> str:
    """The text without the values of keys in URLs and headers, whichever part of the stack logged them."""
    return _IN_HEADER.sub(r"\1\2***", _IN_URL.sub(r"\1***", text))
