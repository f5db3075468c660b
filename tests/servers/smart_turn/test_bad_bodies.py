"""What must never reach the model, sent to a real server process."""

from __future__ import annotations

import io
import struct
import wave
import zipfile
from collections.abc import Callable
from typing import Any

import httpx
import numpy as np
import pytest
from numpy.typing import NDArray

GOOD = np.linspace(-0.5, 0.5, 1000, dtype=np.float32)


def np_save(array: NDArray[Any]) -> bytes:
    stream = io.BytesIO()
    np.save(stream, array, allow_pickle=True)
    return stream.getvalue()


def npy(header: str, data: bytes = b"\0" * 4000, version: bytes = b"\x01\x00", size: bytes = b"") -> bytes:
    text = header.encode()
    return b"\x93NUMPY" + version + (size or struct.pack("<H", len(text))) + text + data


def shaped(shape: str) -> str:
    return f"{{'descr': '<f4', 'fortran_order': False, 'shape': {shape}, }}\n"


def with_sample(value: float) -> bytes:
    spoilt = GOOD.copy()
    spoilt[500] = value
    return np_save(spoilt)


def as_wav() -> bytes:
    stream = io.BytesIO()
    with wave.open(stream, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(16_000)
        file.writeframes(b"\0" * 2000)
    return stream.getvalue()


def as_npz(*, compressed: bool) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED if compressed else zipfile.ZIP_STORED) as archive:
        archive.writestr("audio.npy", np_save(np.zeros(2_000_000 if compressed else 1000, np.float32)))
    return stream.getvalue()


BAD: dict[str, tuple[bytes, str]] = {
    "float64": (np_save(GOOD.astype(np.float64)), "descr"),
    "float16": (np_save(GOOD.astype(np.float16)), "descr"),
    "int16": (np_save(np.arange(1000, dtype=np.int16)), "descr"),
    "big-endian": (np_save(GOOD.astype(">f4")), "descr"),
    "complex": (np_save(GOOD.astype(np.complex64)), "descr"),
    "structured": (np_save(np.zeros(4, [("left", "<f4"), ("right", "<f4")])), "descr"),
    "object": (np_save(np.array([1, "a", None], object)), "descr"),
    "stereo": (np_save(np.stack([GOOD, GOOD], axis=1)), "shape"),
    "one row": (np_save(GOOD[np.newaxis]), "shape"),
    "scalar": (np_save(np.array(0.5, np.float32)), "shape"),
    "no samples": (np_save(GOOD[:0]), "shape"),
    "negative shape": (npy(shaped("(-1000,)")), "shape"),
    "12-digit shape": (npy(shaped("(100000000000,)")), "shape"),
    "10-digit shape": (npy(shaped("(1000000000,)")), "data"),
    "NaN": (with_sample(float("nan")), "data"),
    "infinity": (with_sample(float("inf")), "data"),
    "minus infinity": (with_sample(float("-inf")), "data"),
    "1e30": (with_sample(1e30), "data"),
    "trailing bytes": (np_save(GOOD) + b"\0", "data"),
    "truncated": (np_save(GOOD)[:-1], "data"),
    "header only": (np_save(GOOD)[:128], "data"),
    "half a header": (np_save(GOOD)[:64], "header"),
    "60 KB header": (npy(shaped("(1000,)").rstrip() + " " * 60_000 + "\n"), "header"),
    "code in the header": (npy("__import__('os').abort()\n"), "header"),
    "version 2, 4 GB header": (npy("", version=b"\x02\x00", size=b"\xff\xff\xff\xff"), "version"),
    "pickle": (b"\x80\x04\x95\x0b\0\0\0\0\0\0\0]\x94(K\x01K\x02e.", "magic"),
    "npz": (as_npz(compressed=False), "magic"),
    "npz bomb": (as_npz(compressed=True), "magic"),
    "WAV": (as_wav(), "magic"),
    "raw samples": (GOOD.tobytes(), "magic"),
    "empty": (b"", "body"),
}


@pytest.fixture(scope="module")
def server(start: Callable[..., Any]) -> Any:
    return start("--max-body-bytes=100000")


@pytest.mark.parametrize("name", BAD)
def test_a_bad_body_is_refused_and_never_reaches_the_model(server: Any, name: str) -> None:
    body, field = BAD[name]

    response = server.post(body)

    assert response.status_code == 400
    error = response.json()["error"]
    assert (error["code"], error["field"]) == ("bad_input", field)
    assert error["message"]
    assert server.status()["batch_sizes"] == {}


@pytest.mark.parametrize("chunked", [False, True])
def test_a_long_body_is_refused(server: Any, chunked: bool) -> None:
    body = np_save(np.zeros(30_000, np.float32))

    response = httpx.post(f"{server.url}/raw", content=iter([body]) if chunked else body)

    assert response.status_code == 413
    assert response.json()["error"]["limit"] == 100_000


@pytest.mark.parametrize("rate", ["0", "7999", "48001", "16000.5", "-16000", "fast"])
def test_a_bad_sample_rate_is_refused(server: Any, rate: str) -> None:
    response = server.ask(0.5, headers={"X-Sample-Rate": rate})

    assert response.status_code == 400
    assert response.json()["error"]["field"] == "X-Sample-Rate"


def test_other_routes_and_methods_are_refused(server: Any) -> None:
    assert httpx.get(f"{server.url}/raw").status_code == 405
    assert httpx.post(f"{server.url}/predict").status_code == 404


@pytest.mark.parametrize("count", [1, 1000])
def test_good_bodies_are_taken(start: Callable[..., Any], count: int) -> None:
    response = start().post(np_save(np.full(count, 0.75, np.float32)))

    assert response.status_code == 200
    assert response.json()["probability"] == 0.75
