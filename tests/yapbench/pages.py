"""What tests ask of a page: its links, its ids, whether it is well formed and asks the network for nothing."""

from __future__ import annotations

import re
from html.parser import HTMLParser

VOID = {"meta", "link", "br", "img", "input", "hr"}


class Page(HTMLParser):
    """Collects what tests ask of a page; fails on a tag that is closed out of order."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.links: list[str] = []
        self.ids: list[str] = []
        self.tags: list[str] = []
        self._open: list[str] = []
        self._svg = 0
        self.feed(text)
        assert self._open == [], f"never closed: {self._open}"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        found = dict(attrs)
        self.links += [str(found[name]) for name in ("href", "src", "data", "poster") if found.get(name)]
        self.ids += [str(found["id"])] if found.get("id") else []
        if tag not in VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self._open.pop()

    def handle_endtag(self, tag: str) -> None:
        assert self._open, f"</{tag}> closes nothing"
        assert self._open.pop() == tag


def assert_offline(text: str) -> None:
    found = Page(text)
    outside = [link for link in found.links if re.match(r"(?i)[a-z]+:|//", link) and not link.startswith("data:")]
    assert outside == []
    assert not re.search(r"(?i)url\(\s*['\"]?(?!#)|@import|https?://", text)
    assert "default-src 'none'" in text
