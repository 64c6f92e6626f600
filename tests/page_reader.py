"""A parser of report pages: their elements, ids, links, images and texts."""

import re
from html.parser import HTMLParser


class Page(HTMLParser):
    """The ids, links, images and texts of a page; `open` holds the elements that are not closed."""

    VOID = frozenset({"meta", "img", "br", "hr", "link", "input"})

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.ids: list[str] = []
        self.links: list[str] = []
        self.images: list[dict[str, str | None]] = []
        self.texts: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = dict(attrs)
        self.ids += [found["id"] or ""] if "id" in found else []
        self.links += [found[k] or "" for k in ("src", "href", "xlink:href") if k in found]
        if tag == "img":
            self.images.append(found)
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in self.VOID:
            self.open.pop()

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.texts.append(data.strip())


def read_page(text: str, files: str) -> Page:
    """Parse a page, and check its structure, ids and links; `files` is the name of the files it links to."""
    page = Page(text)
    assert page.open == []
    assert len(page.ids) == len(set(page.ids))
    file_links = [f"{files}.{suffix}" for suffix in ("csv", "json", "tex")]
    assert [
        link for link in page.links if not link.startswith(("data:image/", "data:video/", "#"))
    ] == file_links
    assert {link[1:] for link in page.links if link.startswith("#")} <= set(page.ids)
    assert set(re.findall(r"url\(#([^)]*)\)", text)) <= set(page.ids)
    assert "@import" not in text
    assert "<script" not in text
    assert not re.search(r"\$|\{\{|\{%|\{#", text)
    assert len(text) < 3_000_000
    return page
