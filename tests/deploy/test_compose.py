"""compose.yaml, its override without a GPU, and what Prometheus looks at."""

from __future__ import annotations

import importlib
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from servers.common.settings import table
from tests.deploy.container_compose import DEPLOY, load
from tests.deploy.container_metrics import OF_SCRAPES, asked, everywhere

SERVERS = ["smart_turn", "kyutai", "voxtral", "fastconformer", "parakeet"]
EXAMPLE = (DEPLOY / ".env.example").read_text(encoding="utf-8")
KEYS = {name: f"value-of-{name}" for name in re.findall(r"^([A-Z_]+)=$", EXAMPLE, flags=re.MULTILINE)}
ALERTS = [
    rule
    for group in yaml.safe_load((DEPLOY / "prometheus" / "alerts.yml").read_text())["groups"]
    for rule in group["rules"]
]
FILES = {"gpu": ["compose.yaml"], "cpu": ["compose.yaml", "compose.cpu.yaml"]}


def services(*names: str) -> dict[str, Any]:
    found: dict[str, Any] = load(*names, variables=KEYS)["services"]
    return found


def secrets_of(server: str) -> set[str]:
    settings = importlib.import_module(f"servers.{server}.settings").Settings
    return {name for knob in table(settings) if knob.secret for name in knob.env}


@pytest.mark.parametrize("kind", FILES)
def test_the_files_keep_to_the_compose_specification(kind: str, tmp_path: Path) -> None:
    (tmp_path / "compose.json").write_text(json.dumps(load(*FILES[kind], variables=KEYS)))
    words = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec"]
    done = subprocess.run([*words, tmp_path / "compose.json"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("server", SERVERS)
def test_a_server_is_locked_down(server: str) -> None:
    service = services("compose.yaml")[server]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert service["ulimits"]["nofile"]["soft"] >= 65536
    assert service["volumes"] == ["weights:/weights"]
    assert [word.partition(":")[0] for word in service["tmpfs"]] == ["/tmp"]
    assert service["ports"][0].startswith("127.0.0.1:")


@pytest.mark.parametrize("server", SERVERS)
def test_a_stop_waits_for_the_drain_and_the_engines_end(server: str) -> None:
    service = services("compose.yaml")[server]
    drain_s = float(service["environment"]["DRAIN_TIMEOUT_S"])
    assert float(service["stop_grace_period"].removesuffix("s")) >= drain_s + 20


@pytest.mark.parametrize("server", SERVERS)
def test_a_server_gets_its_own_keys_and_no_others(server: str) -> None:
    environment = services("compose.yaml")[server]["environment"]
    given = {name for name, value in environment.items() if value in KEYS.values()} - {"HF_TOKEN"}
    assert given == secrets_of(server) - {"VLLM_REALTIME_API_KEY"}


@pytest.mark.parametrize("name", sorted(set(KEYS) - {"HF_TOKEN"}))
def test_nothing_starts_without_its_keys(name: str) -> None:
    with pytest.raises(KeyError, match=name):
        load("compose.yaml", variables={**KEYS, name: ""})


def test_without_a_gpu_none_is_asked_for_and_small_models_run() -> None:
    with_gpu, without = services(*FILES["gpu"]), services(*FILES["cpu"])
    assert [name for name in SERVERS if "deploy" in with_gpu[name]] == SERVERS[1:]
    assert not [name for name in SERVERS if "deploy" in without[name]]
    assert {without[name]["build"]["args"]["VARIANT"] for name in SERVERS} == {"cpu"}
    assert all("--model=tiny" in without[name]["command"] for name in SERVERS[1:])


@pytest.mark.parametrize("server", SERVERS)
@pytest.mark.parametrize("kind", FILES)
def test_the_flags_and_variables_are_ones_that_the_server_knows(server: str, kind: str) -> None:
    service = services(*FILES[kind])[server]
    knobs = table(importlib.import_module(f"servers.{server}.settings").Settings)
    flags = {word.partition("=")[0] for word in service.get("command", [])}
    assert flags <= {knob.flag for knob in knobs}
    assert set(service["environment"]) - {"HF_TOKEN"} <= {name for knob in knobs for name in knob.env}


def test_prometheus_asks_each_server_by_its_name_and_port() -> None:
    configuration = yaml.safe_load((DEPLOY / "prometheus" / "prometheus.yml").read_text())
    (job,) = configuration["scrape_configs"]
    found = {entry["labels"]["server"]: entry["targets"] for entry in job["static_configs"]}
    assert found == {server: [f"{server}:8000"] for server in SERVERS}
    assert job["authorization"]["credentials_file"] == "/run/secrets/status_key"
    assert [(DEPLOY / "prometheus" / name).is_file() for name in configuration["rule_files"]] == [True]


@pytest.mark.parametrize("rule", ALERTS, ids=lambda rule: str(rule["alert"]))
def test_an_alert_asks_for_metrics_that_the_servers_have(rule: dict[str, Any]) -> None:
    have = everywhere()
    assert set(rule) <= {"alert", "expr", "for", "labels", "annotations"}
    selected = asked(rule["expr"])
    assert selected
    for name, labels in selected:
        assert name in have
        assert labels <= have[name] | OF_SCRAPES
