"""What an operator may give a server (flags, `.env`, a moshi TOML): used, or one line says what is wrong."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from servers.common.settings import BaseServerSettings, SettingsError, effective, load, table
from servers.kyutai import config_toml
from servers.kyutai.settings import Settings as KyutaiSettings
from yapbench import catalog

fuzz = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
ENTRIES = {entry.name: catalog.settings_class(entry) for entry in catalog.CATALOG}
VALUES = st.text(max_size=20) | st.sampled_from(["nan", "inf", "-1", "1e999", "9" * 400, "0x10", "true", "1,2,,3", "٣"])


@pytest.fixture(autouse=True)
def empty_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize("name", ENTRIES)
@fuzz
@given(data=st.data())
def test_any_flags_are_taken_or_explained(name: str, data: st.DataObject) -> None:
    cls: type[BaseServerSettings] = ENTRIES[name]
    flags = st.sampled_from([row.flag for row in table(cls)]) | st.text(max_size=12)
    words = data.draw(st.lists(st.builds("{}={}".format, flags, VALUES) | flags, max_size=4))
    with suppress(SettingsError):
        effective(load(cls, words))


@pytest.mark.parametrize("name", ENTRIES)
@settings(fuzz, max_examples=30)
@given(data=st.data())
def test_any_dotenv_is_taken_or_explained(name: str, data: st.DataObject) -> None:
    cls: type[BaseServerSettings] = ENTRIES[name]
    names = st.sampled_from([env for row in table(cls) for env in row.env])
    lines = data.draw(st.lists(st.builds("{}={}".format, names, VALUES) | st.text(max_size=20), max_size=4))
    Path(".env").write_text("\n".join(lines).replace("\0", ""), encoding="utf-8", errors="replace")
    with suppress(SettingsError):
        load(cls)


TOML = st.lists(
    st.sampled_from(
        [
            "[modules.asr]",
            '[modules.asr]\ntype = "BatchedAsr"',
            'path = "/api/asr-streaming"',
            "batch_size = -1",
            "batch_size = 1e999",
            "batch_size = [1]",
            "temperature = nan",
            'authorized_ids = ["a,b", 3, {}]',
            "authorized_ids = 3",
            "modules = 3",
            "[modules.asr.model.transformer]\nd_model = true",
            "lm_model_file = 3",
            'lm_model_file = "hf://"',
        ]
    )
    | st.text(max_size=20),
    max_size=6,
)


@fuzz
@given(lines=TOML)
@example(lines=["a = " + "[" * 100_000])
@example(lines=['authorized_ids = ["k"]', '[modules.asr]\ntype = "BatchedAsr"', 'lm_model_file = "hf://"'])
def test_any_toml_is_taken_or_explained(lines: list[str]) -> None:
    path = Path("moshi.toml")
    path.write_text("\n".join(lines), encoding="utf-8", errors="replace")
    with suppress(SettingsError):
        config_toml.read(path)
    with suppress(SettingsError):
        load(KyutaiSettings, [f"--config={path}"])


def test_a_toml_that_is_no_text_is_explained() -> None:
    Path("moshi.toml").write_bytes(b"\xff\xfe a = 1")
    with pytest.raises(SettingsError, match=r"moshi\.toml"):
        config_toml.read(Path("moshi.toml"))


def test_a_dotenv_that_is_no_text_is_explained() -> None:
    Path(".env").write_bytes(b"LOG_LEVEL=\xff\xfe")
    with pytest.raises(SettingsError, match=r"\.env"):
        load(BaseServerSettings)
