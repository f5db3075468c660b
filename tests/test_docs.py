"""Files that derive from code have not drifted, and links in the documents lead somewhere."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
DOCUMENTS = sorted(
    path
    for path in [
        *ROOT.glob("*.md"),
        *ROOT.glob("docs/**/*.md"),
        *ROOT.glob("servers/*/README.md"),
        *ROOT.glob("samples/*.md"),
    ]
)


def test_derived_files_are_what_settings_say() -> None:
    command = [sys.executable, str(ROOT / "scripts" / "write_docs.py"), "--check"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT, env={"PYTHONPATH": str(ROOT)})
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda p: str(p.relative_to(ROOT)))
def test_relative_links_lead_to_files(path: Path) -> None:
    targets = re.findall(r"\]\((?!https?:|#|mailto:)([^)#]+)", path.read_text(encoding="utf-8"))
    assert [target for target in targets if not (path.parent / target).exists()] == []


def test_the_readmes_tree_names_what_is_there() -> None:
    tree = (ROOT / "README.md").read_text(encoding="utf-8").split("```text")[1].split("```")[0]
    named = re.findall(r"^(?:├──|└──) ([\w./-]+)", tree, flags=re.MULTILINE)
    assert len(named) >= 10
    assert [name for name in named if not (ROOT / name).exists()] == []
