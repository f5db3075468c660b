"""The arrows of docs/architecture.md, read from the imports themselves."""

from __future__ import annotations

import ast
import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
RUNTIMES = {"torch", "onnxruntime", "transformers", "nemo", "vllm", "silero_vad"}
MAY_IMPORT_A_RUNTIME = re.compile(r"servers/\w+/(model\w*\.py|model/\w+\.py|vad\.py|tiny/\w+\.py)$")


def imports(path: Path) -> set[str]:
    """Dotted names of everything a file imports, function-level imports included."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            found |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def sources(package: str) -> list[Path]:
    return sorted((ROOT / package).rglob("*.py"))


def tops(path: Path) -> set[str]:
    return {name.split(".")[0] for name in imports(path)}


@pytest.mark.parametrize("path", sources("servers"), ids=str)
def test_servers_never_import_the_harness(path: Path) -> None:
    assert "yapbench" not in tops(path)


@pytest.mark.parametrize("path", sources("servers"), ids=str)
def test_only_a_servers_model_files_import_a_runtime(path: Path) -> None:
    if not MAY_IMPORT_A_RUNTIME.search(path.as_posix()):
        assert not tops(path) & RUNTIMES


@pytest.mark.parametrize("path", sources("servers"), ids=str)
def test_a_server_imports_only_itself_and_common(path: Path) -> None:
    own = path.relative_to(ROOT / "servers").parts[0]
    others = {n for n in imports(path) if n.startswith("servers.")}
    assert all(n.split(".")[1] in (own, "common") for n in others)


@pytest.mark.parametrize("path", sources("yapbench"), ids=str)
def test_the_harness_knows_only_settings_and_weights_of_a_server(path: Path) -> None:
    allowed = re.compile(r"servers(\.common(\..*)?|\.\w+(\.(settings|weights)(\..*)?)?)?$")
    assert not tops(path) & RUNTIMES
    assert all(allowed.match(n) for n in imports(path) if n.split(".")[0] == "servers")


@pytest.mark.parametrize("path", sources("samples"), ids=str)
def test_samples_import_neither_package(path: Path) -> None:
    assert not tops(path) & {"yapbench", "servers"}


def test_no_file_names_a_host_that_packages_come_from() -> None:
    for name in ("constraints.txt", "environment.yml", "pyproject.toml", "scripts/setup.sh", ".ci/run"):
        assert "://" not in (ROOT / name).read_text(encoding="utf-8"), name


def test_constraints_pin_every_direct_dependency() -> None:
    import tomllib

    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    wanted = [
        *project["dependencies"],
        *(n for group in project["optional-dependencies"].values() for n in group),
    ]
    names = {re.split(r"[\[<>=]", name)[0].lower() for name in wanted}
    pinned = {line.split("==")[0].lower() for line in (ROOT / "constraints.txt").read_text().splitlines()}
    assert names <= pinned


def test_no_tracked_file_is_over_ten_megabytes() -> None:
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=False)
    paths = [ROOT / name for name in listed.stdout.split("\0") if name]
    assert [p for p in paths if p.is_file() and p.stat().st_size > 10_000_000] == []


def test_the_conda_doorway_holds_no_package_of_its_own() -> None:
    text = (ROOT / "environment.yml").read_text(encoding="utf-8")
    listed = re.findall(r"^ +- (?!pip:)(.+)$", text, flags=re.MULTILINE)
    assert listed[0] == "python>=3.11"
    assert all(line in ("python>=3.11", "pip") or line.startswith(("-e .[", "--constraint ")) for line in listed)
