"""The tree of faults: its drawing is true, and every answer has the same shape."""

from __future__ import annotations

import re

import pytest

from servers.common import errors
from servers.common.errors import Overloaded, ServerFault, Unauthorized

FAULTS = [item for item in vars(errors).values() if isinstance(item, type) and issubclass(item, ServerFault)]


@pytest.mark.parametrize("fault", FAULTS)
def test_the_drawing_in_the_docstring_is_true(fault: type[ServerFault]) -> None:
    row = rf"\b{fault.__name__} +{fault.status} {fault.code} +close {fault.close_code}\b"
    assert re.search(row, errors.__doc__ or "")


def test_codes_are_unique() -> None:
    assert len({fault.code for fault in FAULTS}) == len(FAULTS)


@pytest.mark.parametrize("fault", FAULTS)
def test_the_answer_has_one_shape(fault: type[ServerFault]) -> None:
    body = fault("no", field="x", limit=3).body()
    assert body == {"error": {"code": fault.code, "message": "no", "field": "x", "limit": 3}}


@pytest.mark.parametrize(("seconds", "header"), [(0.0, "1"), (0.2, "1"), (1.0, "1"), (2.1, "3")])
def test_retry_after_is_whole_seconds_and_never_zero(seconds: float, header: str) -> None:
    assert Overloaded("full", retry_after_s=seconds).headers() == {"Retry-After": header}


def test_a_401_says_how_to_authenticate() -> None:
    assert "WWW-Authenticate" in Unauthorized("a key is required").headers()
