"""The page's routes: what they serve, with which headers, and that nothing of it leads elsewhere."""

from __future__ import annotations

import re
import socket
from html.parser import HTMLParser

import httpx
import pytest

from servers.parakeet.page import FOLDER, INDEX, TYPES, read_assets
from tests.servers.parakeet.conftest import Running, Start

ASSETS = sorted(path.name for path in FOLDER.iterdir() if path.name != INDEX)
SVG = "http://www.w3.org/2000/svg"
"""A name, not an address: nothing asks for it."""


class Document(HTMLParser):
    """Scripts, styles and addresses of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.addresses: list[str] = []
        self.inline: list[str] = []
        self._inside = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        self.addresses += [value for name in ("src", "href") if (value := given.get(name))]
        self.inline += [name for name in given if name.startswith("on") or name == "style"]
        self._inside = tag if tag in ("script", "style") else ""

    def handle_data(self, data: str) -> None:
        if self._inside and data.strip():
            self.inline.append(f"<{self._inside}>")

    def handle_endtag(self, tag: str) -> None:
        self._inside = ""


@pytest.fixture
def server(start: Start) -> Running:
    return start()


def test_the_page_is_served_with_its_policy(server: Running) -> None:
    answer = server.get("/")
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert answer.headers["content-security-policy"].startswith("default-src 'self';")
    assert "unsafe" not in answer.headers["content-security-policy"]
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.text == (FOLDER / INDEX).read_text(encoding="utf-8")


def test_each_file_of_the_folder_is_served_as_what_it_is(server: Running) -> None:
    for name in ASSETS:
        answer = server.get(f"/page/{name}")
        assert answer.status_code == 200
        assert answer.content == (FOLDER / name).read_bytes()
        assert answer.headers["content-type"] == TYPES[f".{name.rsplit('.', 1)[1]}"]
        assert answer.headers["cache-control"] == "no-cache"


def test_head_has_the_same_headers_and_no_body(server: Running) -> None:
    for path in ("/", "/page/main.js"):
        head, whole = httpx.head(f"{server.url}{path}"), server.get(path)
        assert (head.status_code, head.content) == (200, b"")
        same = ("content-length", "content-type", "etag", "content-security-policy")
        assert [head.headers[name] for name in same] == [whole.headers[name] for name in same]


def test_what_is_known_is_not_sent_again(server: Running) -> None:
    for path in ("/", "/page/style.css"):
        tag = server.get(path).headers["etag"]
        known = httpx.get(f"{server.url}{path}", headers={"If-None-Match": f'"other", W/{tag}'})
        assert (known.status_code, known.content, known.headers["etag"]) == (304, b"", tag)
        assert httpx.get(f"{server.url}{path}", headers={"If-None-Match": '"other"'}).status_code == 200


def test_two_files_never_share_a_tag() -> None:
    assets = read_assets()
    assert len({asset.etag for asset in assets.values()}) == len(assets) == len(ASSETS) + 1


def test_nothing_outside_the_folder_can_be_reached(server: Running) -> None:
    host, port = server.address.split(":")
    for name in ("", "nothing.js", "index.html", "..%2Fpage.py", "%2e%2e/page.py", "../page.py", "a/b.js", "main.js/"):
        with socket.create_connection((host, int(port))) as wire:
            wire.sendall(f"GET /page/{name} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
            assert wire.makefile("rb").readline().split()[1] in (b"404", b"307"), name


def test_other_methods_are_refused(server: Running) -> None:
    assert [server.post(path, json={}).status_code for path in ("/", "/page/main.js")] == [405, 405]


def test_a_key_guards_the_settings_and_not_the_page(start: Start) -> None:
    server = start(api_key="hunter-2-x")
    assert server.get("/").status_code == server.get("/page/main.js").status_code == 200
    assert server.get("/config").status_code == 401
    assert "hunter-2-x" not in server.get("/").text


@pytest.mark.parametrize("name", [INDEX, *ASSETS])
def test_no_file_names_an_address_elsewhere(name: str) -> None:
    text = (FOLDER / name).read_text(encoding="utf-8").replace(SVG, "")
    assert re.findall(r"(?:https?|wss?):?//|@import|url\(|[\"'(]//\w", text) == []


def test_the_page_has_no_inline_script_or_style_and_names_only_its_own_files() -> None:
    found = Document((FOLDER / INDEX).read_text(encoding="utf-8"))
    assert found.inline == []
    assert {address.removeprefix("page/") for address in found.addresses if not address.startswith("#")} <= {*ASSETS}


def test_an_inline_script_would_be_seen() -> None:
    found = Document("<p onclick='x()'>a</p><script>go()</script><style>p {}</style><b style='color: red'>b</b>")
    assert found.inline == ["onclick", "<script>", "<style>", "style"]


@pytest.mark.parametrize("name", [name for name in ASSETS if name.endswith(".js")])
def test_every_module_that_is_imported_is_there(name: str) -> None:
    text = (FOLDER / name).read_text(encoding="utf-8")
    assert {*re.findall(r"from \"\./([^\"]+)\"", text)} <= {*ASSETS}
    assert len(text.splitlines()) <= 200
