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
    "--timeout=20000", "--dump-dom",
)  # fmt: skip
# The page has no scripts, so it is measured from outside: in a frame, with all of its details unfolded.
FRAME = """<!doctype html>
<meta name="color-scheme" content="{scheme}">
<iframe id="page" src="{address}" width="{width}" height="900" style="color-scheme: {scheme}"></iframe>
<pre id="seen"></pre>
<script>
const frame = document.getElementById("page");
const until = async (done) => {{
  for (let n = 0; n < 100 && !done(); n++) await new Promise(go => setTimeout(go, 50));
}};
const channels = text => text.match(/[0-9.]+/g).map(Number);
const over = (top, below) => {{
  const alpha = top[3] ?? 1;
  return [0, 1, 2].map(n => alpha * top[n] + (1 - alpha) * below[n]);
}};
const luminance = colour => {{
  const [r, g, b] = colour.map(x => x / 255).map(x => x <= .04045 ? x / 12.92 : ((x + .055) / 1.055) ** 2.4);
  return .2126 * r + .7152 * g + .0722 * b;
}};
addEventListener("load", async () => {{
  const page = frame.contentDocument, style = each => page.defaultView.getComputedStyle(each);
  for (const each of page.querySelectorAll("details")) each.open = true;
  const box = each => [each.getBoundingClientRect().width, each.getBoundingClientRect().height];
  // The lowest contrast of a text with what is behind it.
  const background = each => each
    ? over(channels(style(each).backgroundColor), background(each.parentElement))
    : channels(style(page.body).backgroundColor);
  let contrast = 21;
  const texts = page.createTreeWalker(page.body, NodeFilter.SHOW_TEXT);
  while (texts.nextNode()) {{
    const parent = texts.currentNode.parentElement;
    if (!texts.currentNode.data.trim() || parent.closest("svg")) continue;
    const pair = [channels(style(parent).color), background(parent)].map(luminance);
    contrast = Math.min(contrast, (Math.max(...pair) + .05) / (Math.min(...pair) + .05));
  }}
  // The first thumbnail, before and after its button is pressed by the keyboard, and closed again.
  const button = page.querySelector("button[popovertarget]"), enlarged = [];
  if (button) {{
    const image = page.getElementById(button.getAttribute("popovertarget")).querySelector("img");
    enlarged.push(box(image)[0]);
    button.click();
    enlarged.push(box(image)[0]);
    image.parentElement.hidePopover();
    enlarged.push(box(image)[0]);
  }}
  const videos = [...page.querySelectorAll("video")];
  await until(() => videos.every(each => each.readyState > 0 || each.error));
  document.getElementById("seen").textContent = JSON.stringify({{
    images: [...page.images].map(each => [each.naturalWidth, each.naturalHeight]),
    drawings: [...page.querySelectorAll("svg")].map(box),
    videos: videos.map(each => [each.videoWidth, each.videoHeight, each.duration || 0]),
    width: page.documentElement.clientWidth,
    content_width: page.documentElement.scrollWidth,
    background: style(page.body).backgroundColor,
    contrast, enlarged,
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
        videos: Width, height and seconds of each video; 0 if it cannot be played.
        width: Width of the page, in CSS pixels.
        content_width: Width that its content takes.
        background: Colour of the body.
        contrast: Lowest contrast of a text with its background, outside drawings.
        enlarged: Width of the first thumbnail on the page, enlarged, and closed again.
        console: Lines of the console: errors, warnings, what the page's policy has blocked.
        requests: URLs other than local files that it requested.
    """

    images: list[tuple[float, float]]
    drawings: list[tuple[float, float]]
    videos: list[tuple[int, int, float]]
    width: int
    content_width: int
    background: str
    contrast: float
    enlarged: list[float]
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
