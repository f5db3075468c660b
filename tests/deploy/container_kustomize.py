"""What `kubectl kustomize` makes of an overlay, as far as ours go: prefix, labels, image, one strategic merge.

So that the manifests can be looked at where there is no kubectl; a test compares the two where there is one.
"""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import yaml

Manifest = dict[str, Any]
LISTS = {"containers": "name", "env": "name", "volumes": "name", "volumeMounts": "mountPath"}
"""Lists that are merged entry by entry, and what tells entries apart."""


def render(overlay: Path) -> list[Manifest]:
    """The manifests of an overlay on ../base."""
    asked = yaml.safe_load((overlay / "kustomization.yaml").read_text(encoding="utf-8"))
    base = overlay / asked["resources"][0]
    names = yaml.safe_load((base / "kustomization.yaml").read_text(encoding="utf-8"))["resources"]
    found = [yaml.safe_load((base / name).read_text(encoding="utf-8")) for name in names]
    for patch in (yaml.safe_load(entry["patch"]) for entry in asked["patches"]):
        (position,) = [i for i, one in enumerate(found) if one["kind"] == patch["kind"]]
        found[position] = merged(found[position], patch)
    (labels,) = [entry["pairs"] for entry in asked["labels"]]
    (image,) = asked["images"]
    for one in found:
        one["metadata"]["name"] = asked["namePrefix"] + one["metadata"]["name"]
        one["metadata"]["labels"] = labels
        _select(one, labels)
        for container in one["spec"].get("template", {}).get("spec", {}).get("containers", []):
            container["image"] = f"{image['newName']}:{image['newTag']}"
    return found


def _select(one: Manifest, labels: dict[str, str]) -> None:
    """Made where a kind needs one; where it does not (a disruption budget), only what is there is added to."""
    if one["kind"] == "Service":
        one["spec"]["selector"] = labels
    elif one["kind"] == "Deployment":
        one["spec"]["selector"] = {"matchLabels": labels}
    elif there := one["spec"].get("selector"):
        there["matchLabels"] |= labels
    if template := one["spec"].get("template"):
        template["metadata"] = {"labels": labels}


def merged(under: Any, over: Any, name: str = "") -> Any:
    """A strategic merge: mappings by key, known lists by entry (new ones first), all else replaced."""
    if isinstance(under, dict) and isinstance(over, dict):
        both = {key: merged(under[key], over[key], key) for key in under.keys() & over.keys()}
        return copy.deepcopy(under) | copy.deepcopy(over) | both
    if isinstance(under, list) and name in LISTS:
        key = LISTS[name]
        given = {entry[key]: entry for entry in over}
        kept = [merged(entry, given.pop(entry[key])) if entry[key] in given else entry for entry in under]
        return [*given.values(), *kept]
    return over
