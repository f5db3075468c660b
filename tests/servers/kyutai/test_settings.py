"""The knobs: defaults of the contract, and what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from servers.common.settings import SettingsError, effective, load
from servers.kyutai.settings import MODEL_ID, Settings


def test_defaults_are_the_contracts() -> None:
    settings = load(Settings)
    assert (settings.host, settings.port, settings.seats, settings.device) == ("0.0.0.0", 8000, 64, "cuda")
    assert settings.model == settings.hub_id == MODEL_ID
    assert (settings.temperature, settings.delay_tokens, settings.codebooks) == (0.0, None, None)
    assert settings.refuse_late and settings.keys == ()


def test_the_environment_of_the_contract(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"YAP_ADDR": "127.0.0.1", "YAP_PORT": "9000", "KYUTAI_API_KEY": "a, b,"}.items():
        monkeypatch.setenv(name, value)
    settings = load(Settings)
    assert (settings.host, settings.port, settings.keys) == ("127.0.0.1", 9000, ("a", "b"))
    assert effective(settings)["api_keys"] == "***"


@pytest.mark.parametrize(
    ("flags", "named"),
    [
        (["--seats=0"], "seats"),
        (["--model=large"], "hub id"),
        (["--model=tiny", "--model-revision=main"], "KYUTAI_MODEL_REVISION"),
        (["--graph-batches=8,1"], "ascending"),
        (["--step-ms=100"], "--step-ms"),
        (["--device=tpu"], "--device"),
        (["--timing=late"], "early|moshi"),
        (["--api-keys=secret"], "KYUTAI_API_KEY"),
        (["--batch-size=4"], "batch-size"),
    ],
)
def test_what_is_refused_is_named(flags: list[str], named: str) -> None:
    with pytest.raises(SettingsError, match=named):
        load(Settings, flags)


def test_a_folder_is_no_hub_id(tmp_path: Path) -> None:
    assert load(Settings, [f"--model={tmp_path}"]).hub_id is None
    assert load(Settings, ["--model=auto"]).model == MODEL_ID
