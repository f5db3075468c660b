"""The list of servers, and how notebook parameters become flags."""

from __future__ import annotations

from pathlib import Path

import pytest

from servers.common.settings import table
from yapbench import catalog, clients
from yapbench.errors import UsageError

SMART_TURN = catalog.lookup("smart_turn")
CHECKOUT = Path(catalog.__file__).resolve().parent.parent


@pytest.mark.parametrize("entry", catalog.CATALOG, ids=lambda entry: entry.name)
def test_every_line_names_things_that_exist(entry: catalog.CatalogEntry) -> None:
    assert (CHECKOUT / "servers" / entry.name / "__main__.py").is_file()
    assert {*entry.clients} <= {*clients.CLIENTS, *clients.CODECS}
    assert entry.client == entry.clients[0]
    assert catalog.settings_class(entry).server == entry.name


def test_an_unknown_server_is_answered_with_the_nearest() -> None:
    with pytest.raises(UsageError, match="did you mean 'smart_turn'"):
        catalog.lookup("smart_tun")


def test_parameters_are_the_servers_knobs_but_its_secrets() -> None:
    knobs = table(catalog.settings_class(SMART_TURN))
    names = catalog.known_parameters(SMART_TURN)
    assert names == [knob.name for knob in knobs if not knob.secret]
    assert "window_ms" in names
    assert "auth_key" not in names


def test_settings_become_flags_and_none_is_left_out() -> None:
    settings = {"window_ms": 2, "batch_buckets": (1, 2), "dtype": None, "trace_path": Path("/x y"), "port": 1}
    flags = catalog.flags(SMART_TURN, settings)
    assert flags == ["--window-ms=2", "--batch-buckets=1,2", "--trace-path=/x y", "--port=1"]
    assert catalog.written(True) == "true"


def test_an_unknown_setting_is_refused_with_the_nearest() -> None:
    with pytest.raises(UsageError, match="setting of smart_turn 'windw_ms'; did you mean 'window_ms'"):
        catalog.flags(SMART_TURN, {"windw_ms": 2})


def test_a_secret_is_refused_without_being_shown() -> None:
    with pytest.raises(UsageError, match="set AUTH_KEY in the environment") as refused:
        catalog.flags(SMART_TURN, {"auth_key": "hunter2"})
    assert "hunter2" not in str(refused.value)


def test_a_value_out_of_range_is_refused_with_flag_and_limit() -> None:
    with pytest.raises(UsageError, match=r"smart_turn: --window-ms: .*0\.\.1000"):
        catalog.parsed_settings(SMART_TURN, {"window_ms": -1})


def test_effective_settings_are_what_is_in_force(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BATCH_IDLE_GAP_MS", "3")
    monkeypatch.setenv("AUTH_KEY", "hunter2")
    effective = catalog.effective_settings(SMART_TURN, {"window_ms": 2})
    assert (effective["window_ms"], effective["idle_gap_ms"], effective["auth_key"]) == (2.0, 3.0, "***")


def test_settings_and_flags_name_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    monkeypatch.delenv("MODEL_ID", raising=False)
    assert catalog.environment_of(SMART_TURN, {}) == "light"
    assert catalog.environment_of(SMART_TURN, {"model": "random"}) == "torch"
    assert catalog.environment_of_flags(SMART_TURN, ["--model=v2"]) == "torch"
    assert catalog.environment_of(catalog.lookup("echo"), {}) == "light"
    with pytest.raises(UsageError, match="did you mean --model"):
        catalog.environment_of_flags(SMART_TURN, ["--modl=v2"])
