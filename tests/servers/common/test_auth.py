"""Which keys pass, where they may stand, and that none is logged."""

from __future__ import annotations

import pytest
from pydantic import SecretStr
from starlette.requests import HTTPConnection

from servers.common.auth import KeyCheck, redact
from servers.common.errors import Unauthorized


def connection(headers: dict[str, str] | None = None, query: str = "") -> HTTPConnection:
    raw = [(name.lower().encode(), value.encode("latin-1")) for name, value in (headers or {}).items()]
    return HTTPConnection({"type": "http", "headers": raw, "query_string": query.encode()})


RIGHT = [
    connection({"Authorization": "Key s3cret"}),
    connection({"Authorization": "bearer s3cret"}),
    connection({"X-API-Key": "s3cret"}),
    connection(query="api_key=s3cret"),
    connection({"Authorization": "Bearer old"}, query="api_key=s3cret"),
    connection({"X-API-Key": "second"}),
]
WRONG = [
    connection(),
    connection({"Authorization": "s3cret"}),
    connection({"Authorization": "Basic s3cret"}),
    connection({"Authorization": "Key "}),
    connection({"X-API-Key": "s3cre"}),
    connection({"X-API-Key": "s3cret,second"}),
    connection({"X-API-Key": "sécret"}),
    connection(query="api_key="),
    connection(query="api_key=%ff%00"),
    connection(query="key=s3cret"),
]


@pytest.mark.parametrize("given", RIGHT)
def test_right_keys_pass(given: HTTPConnection) -> None:
    check = KeyCheck(SecretStr("s3cret, second"))
    check.check(given)
    assert check.required


@pytest.mark.parametrize("given", WRONG)
def test_wrong_and_missing_keys_do_not(given: HTTPConnection) -> None:
    with pytest.raises(Unauthorized) as refusal:
        KeyCheck(SecretStr("s3cret, second")).check(given)
    assert "s3cre" not in str(refusal.value.body())


@pytest.mark.parametrize("keys", [None, SecretStr(""), SecretStr(" , ")])
def test_without_a_key_everybody_passes(keys: SecretStr | None) -> None:
    check = KeyCheck(keys)
    check.check(connection())
    assert not check.required


def test_a_place_that_is_not_allowed_does_not_count() -> None:
    check = KeyCheck(SecretStr("s3cret"), schemes=("Key",), headers=(), query=None)
    for given in (RIGHT[1], RIGHT[2], RIGHT[3]):
        with pytest.raises(Unauthorized):
            check.check(given)


@pytest.mark.parametrize(
    "line",
    [
        'GET /ws?api_key=s3cret&x=1 HTTP/1.1" 101',
        "ws://host/?x=1&auth_id=s3cret",
        "< Authorization: Bearer s3cret",
        "< X-API-Key: s3cret",
        "kyutai-api-key: s3cret",
        '{"authorization": "Key s3cret", "x": 1}',
        "[(b'authorization', b'Bearer s3cret')]",
    ],
)
def test_keys_are_cut_from_log_lines(line: str) -> None:
    assert "s3cret" not in redact(line)
    assert "***" in redact(line)


def test_other_text_is_not_changed() -> None:
    line = '{"field": "Authorization", "limit": 3, "path": "/raw?model=key"}'
    assert redact(line) == line
