"""What a build may read: the files of a tree that .dockerignore leaves, by Docker's rules."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterable, Sequence
from pathlib import Path, PurePosixPath

ROOT = Path(__file__).resolve().parents[2]
TREES = ("servers", "deploy", "yapbench", "tests/deploy", "constraints.txt", "pyproject.toml", ".dockerignore")
PLANTED = (".env", "deploy/.env", "servers/echo/.env", "servers/common/tls.key", "servers/echo/cert.pem")
SECRET = "planted-a81f"


def patterns(text: str) -> list[tuple[bool, re.Pattern[str]]]:
    """The lines of a .dockerignore: whether each leaves out (or takes back in), and what it matches."""
    found = []
    for raw in text.splitlines():
        line = raw.strip()
        if line and not line.startswith("#"):
            found.append((not line.startswith("!"), expression(line.removeprefix("!").strip("/"))))
    return found


def expression(pattern: str) -> re.Pattern[str]:
    """Go's filepath.Match with Docker's `**`: `*` and `?` stop at a slash, `**/` stands for any folders or none."""
    parts = {"**/": "(?:.*/)?", "**": ".*", "*": "[^/]*", "?": "[^/]"}
    words = re.split(r"(\*\*/|\*\*|\*|\?)", pattern)
    return re.compile("".join(parts.get(word, re.escape(word)) for word in words))


def left(paths: Iterable[str], ignore: Sequence[tuple[bool, re.Pattern[str]]]) -> list[str]:
    """Those of the paths (relative, with slashes) that are sent. The last line that matches decides.

    A line that matches a folder decides for all that lies in it.
    """
    return [path for path in paths if not _is_out(path, ignore)]


def _is_out(path: str, ignore: Sequence[tuple[bool, re.Pattern[str]]]) -> bool:
    names = [path, *(str(parent) for parent in PurePosixPath(path).parents if str(parent) != ".")]
    out = False
    for leaves_out, wanted in ignore:
        if any(wanted.fullmatch(name) for name in names):
            out = leaves_out
    return out


def make_context(to: Path) -> Path:
    """What `docker build .` would send of this tree, with keys lying about in it."""
    tree = to / "tree"
    for name in TREES:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, tree / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, tree / name)
    for name in PLANTED:
        (tree / name).write_text(f"AUTH_KEY={SECRET}\n")
    paths = [str(path.relative_to(tree)) for path in tree.rglob("*") if path.is_file()]
    context = to / "context"
    for name in left(paths, patterns((ROOT / ".dockerignore").read_text())):
        (context / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(tree / name, context / name)
    return context
