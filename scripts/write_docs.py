"""Write what derives from code: .env.example, settings tables in READMEs, the list of files in docs/architecture.md,
the limits in docs/security.md.

`--check` writes nothing and exits 1 naming each file that has drifted.
"""

from __future__ import annotations

import ast
import importlib
import re
import sys
from pathlib import Path

from servers.common.knobs import Knob, env_example, table
from servers.common.settings import BaseServerSettings
from yapbench import catalog

ROOT = Path(__file__).resolve().parent.parent
BEGIN, END = "<!-- settings: begin (written by scripts/write_docs.py) -->", "<!-- settings: end -->"
FILES, FILES_END = "<!-- files: begin (written by scripts/write_docs.py) -->", "<!-- files: end -->"
LIMITS, LIMITS_END = "<!-- limits: begin (written by scripts/write_docs.py) -->", "<!-- limits: end -->"
A_LIMIT = re.compile(
    r"timeout|limit|deadline|upload_stall|engine_stall|patience|^(max_(body|upload|file|audio_s|requests|connection|messages|cancels|append|"
    r"streams|sessions|buffer)|seats|inbound|post_wait|engine_lag)"
)
"""Names of settings that bound what a client can do or take."""
CONSTANTS = (
    ("servers.common.heads", "MAX_LINE_BYTES", "bytes of the URL, or of one header"),
    ("servers.common.heads", "MAX_HEADERS", "headers of a request"),
    ("servers.common.heads", "MAX_HEAD_BYTES", "bytes of a request's whole head"),
    ("servers.common.heads", "DISCARD_S", "seconds that a client may go on sending a body after its answer"),
    ("servers.common.serve", "KEEP_ALIVE_S", "seconds that a connection may rest between two requests"),
    ("servers.common.serve", "MAX_MESSAGE_BYTES", "bytes of a WebSocket message, all its fragments together"),
    ("servers.kyutai.__main__", "MAX_MESSAGE_BYTES", "the same for kyutai"),
    ("servers.common.serve", "PONG_TIMEOUT_S", "seconds that echo waits for the answer to a ping"),
    (
        "servers.common.serve",
        "UNTAKEN_S",
        "seconds that a client's machine may take nothing; the streaming servers have 40",
    ),
    ("servers.common.frames", "CLOSE_TIMEOUT_S", "seconds for the answer to a close, and as many to take what is left"),
    ("servers.common.edge", "REQUEST_ID_LIMIT", "characters of a request's id"),
    ("servers.kyutai.live.json_codec", "MAX_TEXT", "characters of a text message of kyutai"),
    ("servers.kyutai.live.opus", "MAX_BYTES", "bytes of Ogg/Opus in a message of kyutai"),
    ("servers.kyutai.rest.upload", "MIN_BYTES_PER_S", "bytes a second of an upload to kyutai, on average"),
    ("servers.kyutai.rest.route", "FILES_BEYOND_SEATS", "files that may wait for a seat of kyutai"),
    ("servers.fastconformer.protocol", "MAX_TEXT", "characters of a text message of fastconformer"),
    ("servers.parakeet.live.protocol", "MAX_TEXT", "characters of a text message of parakeet"),
    ("servers.parakeet.uploads.form", "FIELDS", "fields of a form of parakeet beside its file"),
    ("servers.parakeet.uploads.form", "FIELD_BYTES", "bytes of each of them"),
    ("servers.parakeet.decoding.ffmpeg", "TIMEOUT_S", "seconds of the ffmpeg program for one file of parakeet"),
    ("servers.smart_turn.protocol", "MAX_HEADER_BYTES", "bytes of an npy header of smart_turn"),
    ("servers.voxtral.session.fields", "PING_LENGTH", "characters of a ping of voxtral"),
)
PACKAGES = sorted(path.parent.relative_to(ROOT).as_posix() for path in ROOT.glob("yapbench/*/__init__.py"))
LISTED = ("yapbench", *PACKAGES, "servers/common")

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


def limits() -> str:
    """What bounds a client: settings, which may be changed, and numbers that stand in the code."""
    lines = ["| server | setting | environment | default | meaning |", "| --- | --- | --- | --- | --- |"]
    common = {row.name for row in table(BaseServerSettings)}
    tables = [("all", table(BaseServerSettings))]
    tables += [(e.name, [r for r in table(catalog.settings_class(e)) if r.name not in common]) for e in catalog.CATALOG]
    for server, rows in tables:
        for row in rows:
            if A_LIMIT.search(row.name):
                env = ", ".join(f"`{name}`" for name in row.env)
                lines.append(f"| {server} | `{row.flag}` | {env} | `{row.default}` | {row.help} |")
    lines += ["", "| fixed | limit |", "| --- | --- |"]
    for module, name, meaning in CONSTANTS:
        lines.append(f"| {meaning} | {getattr(importlib.import_module(module), name):,} |")
    return "\n".join(lines)


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
    path = ROOT / "docs" / "security.md"
    files[path] = between(path.read_text(encoding="utf-8"), LIMITS, LIMITS_END, limits())
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
