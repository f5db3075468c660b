"""Where a value comes from, and what is said when it is wrong."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr, ValidationError

from servers.common.settings import (
    BaseServerSettings,
    IntList,
    SettingsError,
    effective,
    env_example,
    help_text,
    knob,
    load,
    misspelt,
    parse,
    table,
)


class Settings(BaseServerSettings):
    server: ClassVar[str] = "demo"

    window_ms: float = knob(5.0, env=("MICRO_BATCH_WINDOW_MS", "WINDOW_MS_OLD"), help="The cap.", ge=0, le=1000)
    batch_buckets: IntList = knob((1, 2), env="BATCH_BUCKETS", help="Batch sizes.")
    compiled: bool = knob(False, env="TORCH_COMPILE", help="Compile.")
    max_secs: int | None = knob(None, env="MAX_SECS", help="Longest audio.", ge=1)
    auth_key: SecretStr | None = knob(None, env="AUTH_KEY", secret=True, help="The key.")


def test_flag_wins_over_environment_over_dotenv_over_default(monkeypatch: pytest.MonkeyPatch) -> None:
    assert load(Settings).window_ms == 5
    Path(".env").write_text("MICRO_BATCH_WINDOW_MS=6\n")
    assert load(Settings).window_ms == 6
    monkeypatch.setenv("MICRO_BATCH_WINDOW_MS", "7")
    assert load(Settings).window_ms == 7
    assert load(Settings, ["--window-ms=8"]).window_ms == 8


def test_of_two_names_the_first_declared_wins(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WINDOW_MS_OLD", "9")
    assert load(Settings).window_ms == 9
    monkeypatch.setenv("MICRO_BATCH_WINDOW_MS", "7")
    assert load(Settings).window_ms == 7


@pytest.mark.parametrize("name", ["HOST", "PORT", "host", "port", "WINDOW_MS", "window_ms", "MODEL"])
def test_undeclared_names_do_not_matter(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv(name, "1")
    Path(".env").write_text(f"{name}=1\n")
    assert load(Settings) == Settings()
    assert load(Settings).model_fields_set == set()


def test_an_empty_variable_counts_as_unset(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MICRO_BATCH_WINDOW_MS", "")
    assert load(Settings).window_ms == 5


def test_dotenv_is_taken_literally() -> None:
    Path(".env").write_text("AUTH_KEY='pa${HOME}ss'\n")
    key = load(Settings).auth_key
    assert key is not None
    assert key.get_secret_value() == "pa${HOME}ss"


@pytest.mark.parametrize("words", [["--window-ms=2"], ["--window_ms=2"], ["--window-ms", "2"], ["--window_ms", "2"]])
def test_spellings_of_a_flag(words: list[str]) -> None:
    assert load(Settings, words).window_ms == 2


@pytest.mark.parametrize(
    ("words", "compiled"), [(["--compiled"], True), (["--compiled=0"], False), (["--compiled", "--port=1"], True)]
)
def test_spellings_of_a_switch(words: list[str], compiled: bool) -> None:
    assert load(Settings, words).compiled is compiled


def test_a_list_looks_alike_going_in_and_out() -> None:
    settings = load(Settings, ["--batch-buckets=1,2, 4"])
    assert settings.batch_buckets == (1, 2, 4)
    assert effective(settings)["batch_buckets"] == "1,2,4"


@given(st.integers(-(10**6), 10**6))
def test_limits_hold_for_every_port(port: int) -> None:
    if 0 <= port <= 65535:
        assert load(Settings, [f"--port={port}"]).port == port
    else:
        with pytest.raises(SettingsError, match=r"--port: .*0\.\.65535"):
            load(Settings, [f"--port={port}"])


@pytest.mark.parametrize(
    ("words", "parts"),
    [
        (["--port=70000"], ["--port", "70000", "0..65535"]),
        (["--log-level=loud"], ["--log-level", "loud", "debug|info|warning|error"]),
        (["--window-ms=soon"], ["--window-ms", "soon", "0..1000"]),
        (["--window-ms=nan"], ["--window-ms", "nan"]),
        (["--window-ms"], ["--window-ms", "needs a value"]),
        (["--window-ms="], ["--window-ms", "needs a value"]),
        (["--windov-ms=2"], ["unknown flag --windov-ms", "did you mean --window-ms?"]),
        (["window_ms=2"], ["window_ms=2", "--flag=value"]),
    ],
)
def test_a_mistake_is_one_line_and_exit_2(
    capsys: pytest.CaptureFixture[str], words: list[str], parts: list[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        parse(Settings, words)
    said = capsys.readouterr().err
    assert ended.value.code == 2
    assert said.count("\n") == 1
    assert all(part in said for part in parts), said


def test_a_bad_variable_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MICRO_BATCH_WINDOW_MS", "-1")
    with pytest.raises(SettingsError, match="environment variable MICRO_BATCH_WINDOW_MS"):
        load(Settings)


def test_a_secret_is_refused_as_a_flag_and_not_repeated() -> None:
    with pytest.raises(SettingsError, match="AUTH_KEY") as refusal:
        load(Settings, ["--auth-key=hunter2"])
    assert "hunter2" not in str(refusal.value)


def test_a_secret_is_never_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AUTH_KEY", "hunter2")
    settings = load(Settings)
    assert effective(settings)["auth_key"] == "***"
    assert effective(Settings(auth_key=None))["auth_key"] is None
    assert "hunter2" not in f"{settings!r} {settings} {settings.model_dump_json()}"


def test_settings_do_not_change() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        Settings().port = 1


@pytest.mark.parametrize(
    ("name", "near"),
    [
        ("MICRO_BATCH_WINDW_MS", "MICRO_BATCH_WINDOW_MS"),
        ("MIRCO_BATCH_WINDOW_MS", "MICRO_BATCH_WINDOW_MS"),
        ("MICRO_BATCH_WINDOW", "MICRO_BATCH_WINDOW_MS"),
        ("BATCH_BUCKET", "BATCH_BUCKETS"),
        ("AUTHKEY", "AUTH_KEY"),
        ("LOGLEVEL", "LOG_LEVEL"),
    ],
)
def test_a_misspelt_variable_is_noticed(name: str, near: str) -> None:
    assert misspelt(Settings, {name: "x", "PATH": "/bin"}) == [(name, near)]


@pytest.mark.parametrize(
    "name", ["PATH", "HOME", "LOG_FILE", "MODEL_PATH", "AUTH_KEY", "VLLM_LOG_LEVEL", "MAX", "LANG"]
)
def test_other_variables_are_left_alone(name: str) -> None:
    assert misspelt(Settings, {name: "x"}) == []


def test_help_says_everything_about_each_knob(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        parse(Settings, ["--port=1", "--help"])
    said = capsys.readouterr().out
    assert ended.value.code == 0
    for row in table(Settings):
        facts = [row.name if row.secret else row.flag, row.help, row.default, row.limits, *row.env]
        assert all(fact in said for fact in facts), row


def test_help_offers_no_flag_for_a_secret() -> None:
    assert "--auth-key" not in help_text(Settings, program="demo")


def test_env_example_is_a_dotenv_of_the_defaults() -> None:
    lines = [line[1:] for line in env_example(Settings).splitlines() if line[:1] == "#" and line[:2] != "# "]
    Path(".env").write_text("\n".join(lines))
    assert effective(load(Settings)) == effective(Settings())
    assert [line.partition("=")[0] for line in lines] == [row.env[0] for row in table(Settings) if row.env]
