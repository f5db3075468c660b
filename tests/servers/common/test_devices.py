"""Is there a GPU? Asked of device files and of the variable that hides them."""

from __future__ import annotations

from pathlib import Path

import pytest

from servers.common import devices


@pytest.mark.parametrize(
    ("file", "visible", "expected"),
    [
        ("nvidia0", None, True),
        ("nvidia0", "0", True),
        ("nvidia0", "", False),
        ("nvidia0", "-1", False),
        ("dxg", None, True),
        ("nvidiactl", None, False),
        ("null", None, False),
    ],
)
def test_a_gpu_is_a_device_file_that_is_not_hidden(
    file: str, visible: str | None, expected: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / file).touch()
    monkeypatch.setattr(devices, "DEV", tmp_path)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    if visible is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)

    assert devices.cuda_is_visible() is expected
