"""Headless Chromium for tests of pages: their layout, console messages and network requests."""

import html
import json
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

CHROMIUM = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
)
FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
    "--host-resolver-rules=MAP * ~NOTFOUND", "--allow-file-access-from-files", "--enable-logging=stderr",
    "--dump-dom",
)  # fmt: skip
# The page has no scripts, so it is measured from outside: in a frame, with all of its details unfolded.
FRAME = """<!doctype html>
<meta name="color-scheme" content="{scheme}">
<iframe id="page" src="{address}" width="{width}" height="900" style="color-scheme: {scheme}"></iframe>
<pre id="seen"></pre>
<script>
addEventListener("load", () => {{
  const page = document.getElementById("page").contentDocument;
  for (const each of page.querySelectorAll("details")) each.open = true;
  const box = each => [each.getBoundingClientRect().width, each.getBoundingClientRect().height];
  document.getElementById("seen").textContent = JSON.stringify({{
    images: [...page.images].map(each => [each.naturalWidth, each.naturalHeight]),
    drawings: [...page.querySelectorAll("svg")].map(box),
    width: page.documentElement.clientWidth,
    content_width: page.documentElement.scrollWidth,
    background: page.defaultView.getComputedStyle(page.body).backgroundColor,
  }});
}});
</script>
"""


@dataclass(frozen=True)
class OpenedPage:
    """A page as laid out by the browser.

    Attributes:
        images: Natural width and height of each image, in pixels.
        drawings: Width and height of each SVG as laid out.
        width: Width of the page, in CSS pixels.
        content_width: Width that its content takes.
        background: Colour of the body.
        console: Lines of the console: errors, warnings, what the page's policy has blocked.
        requests: URLs other than local files that it requested.
    """

    images: list[tuple[float, float]]
    drawings: list[tuple[float, float]]
    width: int
    content_width: int
    background: str
    console: list[str]
    requests: list[str]


def open_page(page: Path, folder: Path, width: int = 1100, dark: bool = False) -> OpenedPage:
    """Open the file of a page in a window of this width; the browser writes into the new folder."""
    assert CHROMIUM is not None
    folder.mkdir()
    scheme = "dark" if dark else "light"
    frame = folder / "frame.html"
    frame.write_text(FRAME.format(scheme=scheme, address=page.resolve().as_uri(), width=width))
    log = folder / "net.json"
    command = [
        CHROMIUM,
        *FLAGS,
        f"--user-data-dir={folder / 'profile'}",
        f"--log-net-log={log}",
        "--window-size=1300,1000",
        frame.as_uri(),
    ]
    completed = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    found = re.search(r'<pre id="seen">([^<]+)</pre>', completed.stdout)
    assert found, completed.stdout[-2000:] + completed.stderr[-2000:]
    return OpenedPage(
        **json.loads(html.unescape(found[1])),
        console=[line for line in completed.stderr.splitlines() if "CONSOLE" in line],
        requests=_requests(json.loads(log.read_text())),
    )


def _requests(log: dict[str, Any]) -> list[str]:
    """Return the URLs that a page requested; the browser's own requests have no page as their origin."""
    requests = [event.get("params", {}) for event in log["events"]]
    return sorted(
        {
            each["url"]
            for each in requests
            if each.get("initiator", "not an origin") != "not an origin"
            and not each["url"].startswith(("file:", "data:"))
        }
    )
