"""The Kubernetes manifests of each server: as the schema wants them, and as a speech server needs them."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

from tests.deploy.container_dockerfile import read
from tests.deploy.container_kustomize import render
from tests.deploy.test_compose import KEYS, secrets_of

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "deploy" / "kubernetes"
SERVERS = {"smart-turn": 0, "kyutai": 1, "voxtral": 1, "fastconformer": 1, "parakeet": 1}
"""Overlays, and the GPUs of one pod."""
VERSION = "1.37"


def manifest(overlay: str, kind: str, name: str = "server") -> dict[str, Any]:
    named = (kind, f"{overlay}-{name}")
    (found,) = [one for one in render(FOLDER / overlay) if (one["kind"], one["metadata"]["name"]) == named]
    return found


def pod(overlay: str) -> dict[str, Any]:
    found: dict[str, Any] = manifest(overlay, "Deployment")["spec"]["template"]["spec"]
    return found


def seconds(probe: dict[str, Any]) -> int:
    return int(probe["periodSeconds"]) * int(probe["failureThreshold"])


@pytest.mark.parametrize("overlay", SERVERS)
def test_the_manifests_keep_to_the_schema(overlay: str) -> None:
    for one in render(FOLDER / overlay):
        kubernetes_validate.validate(one, VERSION, strict=True)


def test_the_schema_is_strict_enough_to_find_a_misspelt_field() -> None:
    one = manifest("kyutai", "Deployment")
    one["spec"]["template"]["spec"]["terminationGracePeriodSecond"] = 1
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(one, VERSION, strict=True)


@pytest.mark.skipif(shutil.which("kubectl") is None, reason="needs kubectl")
@pytest.mark.parametrize("overlay", SERVERS)
def test_kubectl_makes_the_same_of_them(overlay: str) -> None:
    words = ["kubectl", "kustomize", str(FOLDER / overlay)]
    done = subprocess.run(words, capture_output=True, text=True, check=True)
    assert by_name(yaml.safe_load_all(done.stdout)) == by_name(render(FOLDER / overlay))


def by_name(manifests: Iterable[dict[str, Any]]) -> dict[tuple[str, str], dict[str, Any]]:
    return {(one["kind"], one["metadata"]["name"]): one for one in manifests}


def test_the_folder_as_a_whole_is_all_of_them() -> None:
    whole = yaml.safe_load((FOLDER / "kustomization.yaml").read_text())
    assert whole == {"resources": list(SERVERS)}


@pytest.mark.parametrize("overlay", SERVERS)
def test_a_pod_is_locked_down(overlay: str) -> None:
    (container,) = pod(overlay)["containers"]
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    context = pod(overlay)["securityContext"]
    image_user = read(ROOT / "deploy" / "Dockerfile")[-1].last("USER")
    assert image_user == f"{context['runAsUser']}:{context['runAsGroup']}"
    assert context["runAsNonRoot"] is True
    assert pod(overlay)["automountServiceAccountToken"] is pod(overlay)["enableServiceLinks"] is False


@pytest.mark.parametrize("overlay", SERVERS)
def test_a_pod_that_goes_is_given_its_drain(overlay: str) -> None:
    (container,) = pod(overlay)["containers"]
    drain_s = next(float(one["value"]) for one in container["env"] if one["name"] == "DRAIN_TIMEOUT_S")
    leaves_service_s = container["lifecycle"]["preStop"]["sleep"]["seconds"]
    assert pod(overlay)["terminationGracePeriodSeconds"] >= leaves_service_s + drain_s + 30


@pytest.mark.parametrize("overlay", SERVERS)
def test_probes_wait_for_the_model_and_do_not_kill_a_draining_pod(overlay: str) -> None:
    (container,) = pod(overlay)["containers"]
    paths = [container[f"{kind}Probe"]["httpGet"]["path"] for kind in ("startup", "readiness", "liveness")]
    assert paths == ["/ready", "/ready", "/health"]
    assert seconds(container["startupProbe"]) > 960
    assert manifest(overlay, "Deployment")["spec"]["progressDeadlineSeconds"] >= seconds(container["startupProbe"])
    assert seconds(container["readinessProbe"]) <= 10 < seconds(container["livenessProbe"])


@pytest.mark.parametrize(("overlay", "gpus"), SERVERS.items())
def test_a_pod_has_its_own_keys_from_the_secret_and_its_gpu(overlay: str, gpus: int) -> None:
    (container,) = pod(overlay)["containers"]
    from_secret = {one["name"]: one["valueFrom"]["secretKeyRef"] for one in container["env"] if "valueFrom" in one}
    assert set(from_secret) - {"HF_TOKEN"} == secrets_of(overlay.replace("-", "_")) - {"VLLM_REALTIME_API_KEY"}
    assert all(one["name"] == "yapbench-keys" and one["key"] == name for name, one in from_secret.items())
    assert set(from_secret) <= set(KEYS)
    assert container["resources"]["limits"].get("nvidia.com/gpu", 0) == gpus


@pytest.mark.parametrize("overlay", SERVERS)
def test_a_service_and_a_disruption_budget_mean_the_deployments_pods(overlay: str) -> None:
    deployment = manifest(overlay, "Deployment")["spec"]
    labels = deployment["template"]["metadata"]["labels"]
    service, budget = manifest(overlay, "Service")["spec"], manifest(overlay, "PodDisruptionBudget")["spec"]
    assert service["selector"] == budget["selector"]["matchLabels"] == labels
    assert service["ports"][0]["targetPort"] == pod(overlay)["containers"][0]["ports"][0]["name"]
    assert 0 < budget["minAvailable"] < deployment["replicas"]


@pytest.mark.parametrize("overlay", SERVERS)
def test_a_proxy_finds_each_pod_by_name_also_one_that_drains(overlay: str) -> None:
    each, all_of_them = manifest(overlay, "Service", "replicas")["spec"], manifest(overlay, "Service")["spec"]
    assert each["selector"] == all_of_them["selector"]
    assert (each["clusterIP"], each["publishNotReadyAddresses"]) == ("None", True)
    assert each["ports"][0]["port"] == pod(overlay)["containers"][0]["ports"][0]["containerPort"]
