"""The swap from eager to compiled: one after the other, whole or not at all, and said in the status."""

from __future__ import annotations

import threading

import pytest

from servers.smart_turn.swap import BatchShape, Swap

SHAPES = [(1, 100), (1, 200), (2, 100)]


def test_without_a_compiler_eager_stays() -> None:
    swap = Swap("eager", shapes=SHAPES)
    swap.start()

    assert swap.wait(0)
    assert (swap.record.eager, dict(swap.record.compiled)) == ("eager", {})
    assert swap.status() == {
        "compiled_ready": False,
        "compile": {"state": "off", "seconds": 0.0, "shapes_ready": 0, "shapes": 0, "error": None},
    }


def test_shapes_are_compiled_in_order_beside_the_caller() -> None:
    asked: list[BatchShape] = []
    go_on = threading.Semaphore(0)

    def compile_shape(shape: BatchShape) -> str:
        asked.append(shape)
        assert go_on.acquire(timeout=10)
        return f"compiled {shape}"

    swap = Swap("eager", shapes=SHAPES, compile_shape=compile_shape)
    assert swap.status()["compile"]["state"] == "waiting"
    swap.start()
    before = swap.record
    assert (swap.status()["compile"]["state"], swap.status()["compiled_ready"]) == ("compiling", False)
    go_on.release(len(SHAPES))

    assert swap.wait(10) and asked == SHAPES
    assert dict(swap.record.compiled) == {shape: f"compiled {shape}" for shape in SHAPES}
    assert not before.compiled  # what a running batch holds never changes
    assert (swap.status()["compiled_ready"], swap.status()["compile"]["shapes_ready"]) == (True, 3)


def test_a_failed_compile_keeps_eager_and_says_so(caplog: pytest.LogCaptureFixture) -> None:
    def compile_shape(shape: BatchShape) -> str:
        if shape == SHAPES[2]:
            raise RuntimeError("no compiler here\nand a long trace")
        return "compiled"

    swap = Swap("eager", shapes=SHAPES, compile_shape=compile_shape)
    swap.start()

    assert swap.wait(10)
    assert (swap.record.eager, dict(swap.record.compiled)) == ("eager", {})
    facts = swap.status()["compile"]
    assert (facts["state"], facts["error"]) == ("failed", "RuntimeError: no compiler here and a long trace")
    assert not swap.status()["compiled_ready"]
    assert "eager goes on" in caplog.text
