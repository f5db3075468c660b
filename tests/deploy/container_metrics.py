"""Which metrics a server has, read from the places in its code that make them; and which an expression asks for."""

from __future__ import annotations

import ast
import functools
import re
from collections.abc import Iterator
from pathlib import Path

import promql_parser

from servers.voxtral.engine.scrape import SHOWN

ROOT = Path(__file__).resolve().parents[2]
SERVERS = ("echo", "smart_turn", "kyutai", "voxtral", "fastconformer", "parakeet")
ENDINGS = {"counter": ("_total",), "gauge": ("",), "histogram": ("_bucket", "_count", "_sum")}
OF_SCRAPES = {"job", "instance", "server", "le"}
"""Labels that Prometheus, its configuration or a histogram gives."""


def defined(server: str) -> dict[str, set[str]]:
    """Names as they stand in /metrics, each with its labels."""
    found: dict[str, set[str]] = {}
    for folder in (server, "common"):
        for path in (ROOT / "servers" / folder).rglob("*.py"):
            for kind, name, labels in _made_in(path):
                found |= {f"{server}_{name}{ending}": labels for ending in ENDINGS[kind]}
    return found


def _made_in(path: Path) -> Iterator[tuple[str, str, set[str]]]:
    """Calls such as `metrics.counter("refused", "...", ["reason"])`."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in ENDINGS:
            first = node.args[0] if node.args else None
            if isinstance(first, ast.Constant) and isinstance(first.value, str):
                lists = [word for word in node.args[2:3] if isinstance(word, ast.List)]
                yield node.func.attr, first.value, {str(ast.literal_eval(label)) for one in lists for label in one.elts}


@functools.cache
def everywhere() -> dict[str, set[str]]:
    """Of all servers, of the engine behind voxtral (whose labels are vLLM's), and of Prometheus itself."""
    found = {name: labels for server in SERVERS for name, labels in defined(server).items()}
    return found | {name: {"reason"} for name in SHOWN} | {"up": set()}


def asked(expression: str) -> list[tuple[str, set[str]]]:
    """Every name that a PromQL expression selects, with the labels that it looks at. Raises ValueError for no PromQL.

    `{__name__=~"(a|b)_x"}` is taken apart into a_x and b_x.
    """
    found: list[tuple[str, set[str]]] = []

    def visit(node: object) -> bool:
        if isinstance(node, promql_parser.VectorSelector):
            matchers = {matcher.name: matcher.value for matcher in node.matchers.matchers}
            names = [node.name] if node.name else list(_alternatives(matchers.pop("__name__")))
            found.extend((name, set(matchers)) for name in names)
        return True

    promql_parser.walk(promql_parser.parse(expression), visit)
    return found


def _alternatives(pattern: str) -> Iterator[str]:
    choice = re.fullmatch(r"(\w*)\(([\w|]+)\)(\w*)", pattern)
    assert choice, f"{pattern}: not written as before(a|b)after"
    yield from (f"{choice[1]}{word}{choice[3]}" for word in choice[2].split("|"))
