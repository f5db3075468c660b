"""Write what derives from code: .env.example, settings tables in READMEs, the list of files in docs/architecture.md.

`--check` writes nothing and exits 1 naming each file that has drifted.
"""

from __future__ import annotations

import ast
import re
import sys
from pathlib import Path

from servers.common.knobs import Knob, env_example, table
from yapbench import catalog

ROOT = Path(__file__).resolve().parent.parent
BEGIN, END = "<!-- settings: begin (written by scripts/write_docs.py) -->", "<!-- settings: end -->"
FILES, FILES_END = "<!-- files: begin (written by scripts/write_docs.py) -->", "<!-- files: end -->"
LISTED = (
    "yapbench", "yapbench/load", "yapbench/pacing", "yapbench/clients", "yapbench/streams", "yapbench/corpora",
    "yapbench/monitoring", "yapbench/calibrate", "yapbench/echo", "yapbench/verbs", "yapbench/doctor", "yapbench/plots",
    "yapbench/report", "yapbench/capacity", "yapbench/compare", "yapbench/export", "yapbench/side_by_side",
    "yapbench/engines", "yapbench/benchgpu", "servers/common",
)  # fmt: skip

HEAD = """\
# Every setting that the environment can give a server, commented out at its default. Written by
# scripts/write_docs.py from the servers' Settings; copy to .env and uncomment what you need. Flags win over
# the environment, the environment over .env.
"""


def env_file() -> str:
    """One section a server."""
    sections = [HEAD]
    for entry in catalog.CATALOG:
        settings = catalog.settings_class(entry)
        sections.append(f"# ---- {entry.name} ----\n\n{env_example(settings)}")
    return "\n".join(sections)


def markdown_table(rows: list[Knob]) -> str:
    """The settings of one server as a table."""
    lines = ["| flag | environment | default | allowed | meaning |", "| --- | --- | --- | --- | --- |"]
    for row in rows:
        flag = "environment only" if row.secret else f"`{row.flag}`"
        env = ", ".join(f"`{name}`" for name in row.env)
        default = f"`{row.default}`" if row.default else ""
        limits = row.limits.replace("|", "\\|")
        lines.append(f"| {flag} | {env} | {default} | {limits} | {row.help} |")
    return "\n".join(lines)


def file_list() -> str:
    """Every module of the listed folders with the first sentence of what it says of itself."""
    lines = []
    for folder in LISTED:
        lines += [f"### {folder}/", "", "| file | what it is |", "| --- | --- |"]
        for path in sorted((ROOT / folder).glob("*.py")):
            docstring = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
            paragraph = " ".join(docstring.split("\n\n")[0].split())
            first = re.split(r"(?<=[.!?]) (?=[A-Z`])", paragraph)[0]
            if path.name != "__init__.py":
                lines.append(f"| `{path.name}` | {first.replace('|', chr(92) + '|')} |")
        lines.append("")
    return "\n".join(lines).rstrip()


def between(text: str, begin: str, end: str, filling: str) -> str:
    """`text` with the part between the two markers replaced."""
    before, _, rest = text.partition(begin)
    _, _, after = rest.partition(end)
    return f"{before}{begin}\n{filling}\n{end}{after}"


def derived() -> dict[Path, str]:
    """Every derived file with the text it should have."""
    files = {ROOT / ".env.example": env_file()}
    for entry in catalog.CATALOG:
        path = ROOT / "servers" / entry.name / "README.md"
        readme = path.read_text(encoding="utf-8")
        if BEGIN in readme:
            files[path] = between(readme, BEGIN, END, markdown_table(table(catalog.settings_class(entry))))
    path = ROOT / "docs" / "architecture.md"
    files[path] = between(path.read_text(encoding="utf-8"), FILES, FILES_END, file_list())
    return files


def main() -> int:
    drifted = [
        path for path, text in derived().items() if not path.exists() or path.read_text(encoding="utf-8") != text
    ]
    if "--check" in sys.argv[1:]:
        for path in drifted:
            sys.stderr.write(f"{path.relative_to(ROOT)} has drifted: run .venv/bin/python scripts/write_docs.py\n")
        return 1 if drifted else 0
    for path in drifted:
        path.write_text(derived()[path], encoding="utf-8")
        sys.stdout.write(f"wrote {path.relative_to(ROOT)}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
