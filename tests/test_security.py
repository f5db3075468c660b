"""What docs/security.md promises of the code: no data becomes code or markup, exact pins, keys where its table says."""

from __future__ import annotations

import ast
import json
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI
from fastapi.routing import APIRoute
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr
from starlette.routing import WebSocketRoute
from starlette.testclient import TestClient
from starlette.websockets import WebSocketDisconnect

from servers.common.interfaces import ModelIdentity
from servers.common.logs import printable
from tests.servers.fastconformer.fake import FakeEars
from tests.servers.kyutai.fake import FakeListener
from tests.servers.parakeet.fake import FakeDetector, FakeTranscriber
from tests.servers.smart_turn.stub_server import Stub
from tests.servers.voxtral.fake_engine import FakeEngine, FakeHearing
from tests.yapbench import made_up, made_up_sessions
from tests.yapbench.pages import assert_offline
from yapbench import catalog, report, store
from yapbench.schema import UTTERANCES

ROOT = Path(__file__).resolve().parent.parent
OURS = sorted(path for part in ("servers", "yapbench", "samples", "scripts") for path in (ROOT / part).rglob("*.py"))
ALLOWED = {
    ("yapbench/load/spool.py", "pickle.load"): "a temporary file without a name, of this process",
    ("yapbench/measuring.py", "pickle.loads"): "from a child of this process, by a pipe",
    ("yapbench/checkouts.py", "extractall"): "what git archive wrote; with the filter `data`",
}
UNSAFE = {"eval", "exec", "compile", "pickle.load", "pickle.loads", "marshal.loads", "yaml.load", "os.system"}
SUSPECT = re.compile(r"eval|exec|compile|load|system|extractall|shell|trust_remote_code|allow_pickle")


def dangers(source: str) -> set[str]:
    """Calls that turn data into code, or into files wherever it likes."""
    found: set[str] = set()
    if not SUSPECT.search(source):  # most of them: parsing takes its time
        return found
    for call in (node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Call)):
        name = ast.unparse(call.func) if isinstance(call.func, ast.Name | ast.Attribute) else ""
        given_by = {word.arg: word.value for word in call.keywords}
        true = {key for key, value in given_by.items() if isinstance(value, ast.Constant) and value.value is True}
        found |= {name} & UNSAFE
        found |= {"extractall"} if name.endswith(".extractall") else set()
        found |= {"shell=True"} if "shell" in true else set()
        found |= {"trust_remote_code"} if "trust_remote_code" in true else set()
        found |= {"allow_pickle"} if "allow_pickle" in true else set()
        found |= {"torch.load"} if name == "torch.load" and "weights_only" not in true else set()
    return found


@pytest.mark.parametrize(
    "source",
    [
        "eval(x)",
        "subprocess.run(x, shell=True)",
        "torch.load(p)",
        "torch.load(p, weights_only=False)",
        "yaml.load(f)",
        "np.load(f, allow_pickle=True)",
        "AutoModel.from_pretrained(x, trust_remote_code=True)",
        "archive.extractall(p)",
    ],
)
def test_the_search_finds_what_it_is_for(source: str) -> None:
    assert len(dangers(source)) == 1


def test_no_data_becomes_code() -> None:
    found = {(path.relative_to(ROOT).as_posix(), name) for path in OURS for name in dangers(path.read_text("utf-8"))}
    assert found == set(ALLOWED)


def test_archives_of_others_are_unpacked_with_a_filter() -> None:
    assert 'extractall(scratch, filter="data")' in (ROOT / "yapbench" / "checkouts.py").read_text("utf-8")


PINNED = sorted(path.relative_to(ROOT).as_posix() for path in (ROOT / "servers").glob("*/requirements*.txt"))


def lines(name: str) -> list[str]:
    text = (ROOT / name).read_text(encoding="utf-8")
    return [line for row in text.splitlines() if (line := row.partition("#")[0].strip())]


def plain(name: str) -> str:
    return re.sub(r"\[.*", "", name).lower().replace("_", "-")


def test_all_constraints_are_exact_versions() -> None:
    assert [line for line in lines("constraints.txt") if not re.fullmatch(r"[\w.-]+==[\w.+]+", line)] == []


@pytest.mark.parametrize("name", PINNED)
def test_every_package_of_a_server_has_one_version(name: str) -> None:
    known = {plain(line.partition("==")[0]) for line in lines("constraints.txt")}
    loose = [line for line in lines(name) if "==" not in line and not line.startswith("-r ")]
    assert [line for line in loose if plain(line) not in known] == []
    assert not re.search(r"https?://|--(extra-)?index-url|--find-links|--trusted-host", "\n".join(lines(name)))


def test_the_audit_looks_up_every_pin() -> None:
    done = subprocess.run(["scripts/audit.sh", "--list"], cwd=ROOT, capture_output=True, text=True, check=True)
    asked = {line for line in done.stdout.splitlines() if not line.startswith("#")}
    pins = {line for name in ("constraints.txt", *PINNED) for line in lines(name) if "==" in line}
    assert asked == {re.sub(r"\[.*?\]", "", line) for line in pins} and len(asked) > 50


def test_the_audit_refuses_what_is_no_pin(tmp_path: Path) -> None:
    (tmp_path / "scripts").mkdir()
    shutil.copy(ROOT / "scripts" / "audit.sh", tmp_path / "scripts")
    (tmp_path / "servers" / "x").mkdir(parents=True)
    (tmp_path / "servers" / "x" / "requirements.txt").write_text("a==1\n")
    (tmp_path / "constraints.txt").write_text("a==1\nb>=2\n")
    done = subprocess.run(["scripts/audit.sh", "--list"], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode != 0 and "not an exact pin: b>=2" in done.stderr


SECRETS = re.compile(
    r"hf_[A-Za-z0-9]{30,}|sk-[A-Za-z0-9_-]{32,}|gh[pousr]_[A-Za-z0-9]{36}|AKIA[0-9A-Z]{16}|xox[bp]-[0-9A-Za-z-]{20,}"
    r"|-----BEGIN (?:RSA |EC |OPENSSH )?PRIVATE KEY-----|rpa_[A-Z0-9]{30,}"
)


def test_no_file_of_the_repository_holds_a_secret() -> None:
    done = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True)
    texts = [ROOT / name.decode() for name in done.stdout.split(b"\0") if name]
    small = [path for path in texts if path.is_file() and path.stat().st_size < 3_000_000]
    assert len(small) > 300
    assert [path for path in small if SECRETS.search(path.read_text(encoding="utf-8", errors="replace"))] == []


IDENTITY = ModelIdentity(model_id="fake", revision="1", sha256="")
KEY = SecretStr("the key")


def build(name: str) -> FastAPI:
    """The server around its fake, with every key set."""
    secrets = {"status_key": SecretStr("the operator's")}
    make: dict[str, Callable[[Any, Any], FastAPI]] = {
        "echo": lambda app, s: app.create_app(s),
        "smart_turn": lambda app, s: app.create_app(s, build=Stub, identity=IDENTITY),
        "fastconformer": lambda app, s: app.create_app(s, build=lambda: FakeEars(1), identity=IDENTITY),
        "kyutai": lambda app, s: app.create_app(s, build=lambda: FakeListener(1), identity=IDENTITY),
        "parakeet": lambda app, s: app.create_app(
            s, build=FakeTranscriber, build_detector=FakeDetector, identity=IDENTITY
        ),
        "voxtral": lambda app, s: app.create_app(s, engine=FakeEngine(), hear=FakeHearing(), identity=IDENTITY),
    }
    entry = catalog.lookup(name)
    cls = catalog.settings_class(entry)
    own = next(field for field in ("api_keys", "api_key", "auth_key") if field in cls.model_fields)
    module = __import__(f"{entry.module}.app", fromlist=["create_app"])
    return make[name](module, cls.model_validate({**secrets, own: KEY}))


def documented() -> dict[str, list[set[str]]]:
    """By server: routes that ask for its key, those that ask for the operator's, those that are open."""
    text = (ROOT / "docs" / "security.md").read_text(encoding="utf-8").partition("checked by tests/test_security.py")[2]
    rows = [row.strip("| ").split(" | ") for row in text.split("\n\n")[0].splitlines() if row.startswith("| ")]
    of = {row[0]: [set(re.findall(r"`((?:GET|POST|WS) [^`]+)`", row[k])) for k in (1, 3, 4)] for row in rows}
    return {name: found for name, found in of.items() if name not in ("server", "---")}


def routes_of(router: Any) -> set[str]:
    """Of an app or a router, with those of the routers that it includes."""
    found: set[str] = set()
    for one in router.routes:
        if isinstance(one, WebSocketRoute):
            found.add(f"WS {one.path}")
        elif isinstance(one, APIRoute):
            found |= {f"{method} {one.path}" for method in (one.methods or set()) - {"HEAD"}}
        else:
            found |= routes_of(one.original_router)
    return found


@pytest.fixture(autouse=True)
def elsewhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Where no `.env` lies."""
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize("name", [entry.name for entry in catalog.CATALOG])
def test_every_route_asks_for_the_key_that_the_table_says(name: str) -> None:
    app, (keyed, operators, is_open) = build(name), documented()[name]
    assert routes_of(app) == keyed | operators | is_open
    client = TestClient(app, raise_server_exceptions=False)  # without its lifespan: no model is there to answer
    for route in keyed | operators | is_open:
        method, path = route.split(" ", 1)
        path = re.sub(r"\{.*?\}", "x", path)
        if method != "WS":
            status = client.request(method, path, headers={"Authorization": "Bearer wrong"}).status_code
            assert (status == 401) == (route not in is_open), route


@pytest.mark.parametrize(
    "name", [entry.name for entry in catalog.CATALOG if entry.name not in ("smart_turn", "voxtral")]
)
def test_no_socket_opens_without_its_key(name: str) -> None:
    client = TestClient(build(name), raise_server_exceptions=False)
    for route in documented()[name][0]:
        if route.startswith("WS "):
            with pytest.raises(WebSocketDisconnect) as refusal, client.websocket_connect(route.removeprefix("WS ")):
                pass
            assert getattr(refusal.value, "status_code", None) == 401


@given(text=st.text(max_size=60))
def test_no_text_of_a_client_ends_a_line_of_the_log_or_steers_a_terminal(text: str) -> None:
    shown = printable(text)
    assert shown.isprintable()
    assert shown == text or not text.isprintable()


EVIL = "</script><script>alert(1)</script><img src=x onerror=alert(1)>\"'&\u202e"


def with_evil_texts(folder: Path) -> None:
    """Every text that a server, a corpus or a log of a trial can hold."""
    trial = store.read_trial(folder)
    texts = {"reference": EVIL, "error": EVIL, "language": EVIL}
    rows = [{str(k): v for k, v in row.items()} for row in trial.utterances.to_dict("records")]
    for row in rows:
        row |= texts
        row["events"] = [{**event, "text": event["text"] and f"{EVIL} {event['text']}"} for event in row["events"]]
    cleaned = [{k: (None if not hasattr(v, "__len__") and v != v else v) for k, v in row.items()} for row in rows]
    store.write_table(folder / store.UTTERANCES_FILE, cleaned, UTTERANCES)
    info = json.loads((folder / store.TRIAL).read_text("utf-8"))
    info["model"] = {"model_id": EVIL, "revision": EVIL, "sha256": EVIL}
    store.write_json(folder / store.TRIAL, info)


@pytest.mark.slow
def test_texts_of_servers_and_corpora_stay_texts_in_a_report(tmp_path: Path) -> None:
    folder = tmp_path / "runs" / "wires"
    made_up_sessions.sweep(folder, count=30)
    made_up.failed(folder / "08failed0000", settings={"note": EVIL})
    for path in [path.parent for path in folder.glob("*/trial.json")]:
        if not path.name.startswith("08"):
            with_evil_texts(path)
    page = report.build(folder).read_text(encoding="utf-8")
    assert "<script>alert" not in page and "<img src=x" not in page
    assert "&lt;script&gt;alert(1)" in page
    assert_offline(page)
