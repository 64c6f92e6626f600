"""Headless Chromium, for tests of pages: what a page shows, what it complains of, what it asks for."""

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
# The page has no scripts, so it is measured from outside: in a frame, with everything in it opened.
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
    needed: page.documentElement.scrollWidth,
    background: page.defaultView.getComputedStyle(page.body).backgroundColor,
  }});
}});
</script>
"""


@dataclass(frozen=True)
class Seen:
    """A page as the browser had it.

    Attributes:
        images: natural width and height of each, in pixels.
        drawings: width and height of each svg as laid out.
        width: of the page, in CSS pixels.
        needed: width that its content takes.
        background: colour of the body.
        complaints: lines of the console: errors, warnings, what the page's policy has blocked.
        requests: addresses outside of this machine's files that it asked for.
    """

    images: list[tuple[float, float]]
    drawings: list[tuple[float, float]]
    width: int
    needed: int
    background: str
    complaints: list[str]
    requests: list[str]


def look(page: Path, folder: Path, width: int = 1100, dark: bool = False) -> Seen:
    """Opens a page of this width in an empty folder, from its file."""
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
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    found = re.search(r'<pre id="seen">([^<]+)</pre>', done.stdout)
    assert found, done.stdout[-2000:] + done.stderr[-2000:]
    return Seen(
        **json.loads(html.unescape(found[1])),
        complaints=[line for line in done.stderr.splitlines() if "CONSOLE" in line],
        requests=_requests(json.loads(log.read_text())),
    )


def _requests(log: dict[str, Any]) -> list[str]:
    """Addresses that a page asked for; the browser's own requests have no page as their origin."""
    asked = [event.get("params", {}) for event in log["events"]]
    return sorted(
        {
            each["url"]
            for each in asked
            if each.get("initiator", "not an origin") != "not an origin"
            and not each["url"].startswith(("file:", "data:"))
        }
    )
