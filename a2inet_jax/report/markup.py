"""Pieces of HTML; text that comes from outside is escaped here."""

import base64
import io
from collections.abc import Iterator, Sequence
from html import escape
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from a2inet_jax.report import plots
from a2inet_jax.report.examples import Example

THUMBNAIL = 320  # pixels of the longer side


def text(value: str) -> str:
    """The text, safe inside an element or an attribute."""
    return escape(value)


def note(value: str) -> str:
    """Something that the reader must not miss."""
    return f'<p class="note">{escape(value)}</p>'


def span(values: Sequence[int]) -> str:
    """`5`, or `5–8` where the values differ."""
    low, high = min(values), max(values)
    return str(low) if low == high else f"{low}–{high}"


def table(headings: Sequence[str], rows: Sequence[tuple[str, Sequence[str]]]) -> str:
    """A table under these headings; a row is its name, which is the first column, and its cells."""
    head = "".join(f'<th scope="col">{escape(heading)}</th>' for heading in headings)
    body = []
    for name, cells in rows:
        inside = "".join(f"<td>{escape(cell)}</td>" for cell in cells)
        body.append(f'<tr><th scope="row">{escape(name)}</th>{inside}</tr>')
    return f"<table><thead><tr>{head}</tr></thead><tbody>{''.join(body)}</tbody></table>"


def leaves(values: Any, name: str = "") -> Iterator[tuple[str, str]]:
    """Nested JSON as dotted names and values."""
    if isinstance(values, dict):
        for key, value in values.items():
            yield from leaves(value, f"{name}.{key}" if name else str(key))
    elif isinstance(values, list):
        yield name, ", ".join(str(value) for value in values)
    else:
        yield name, "–" if values is None or values == "" else str(values)


def facts(values: Any) -> str:
    """Nested JSON as a table of dotted names and values."""
    rows = "".join(
        f'<tr><th scope="row">{escape(name)}</th><td>{escape(value)}</td></tr>'
        for name, value in leaves(values)
    )
    return f'<table class="facts"><tbody>{rows}</tbody></table>'


def details(summary: str, inside: str, aside: str = "", kind: str = "") -> str:
    """Something that opens on a click; `inside` is HTML."""
    more = f" <span>{escape(aside)}</span>" if aside else ""
    name = f' class="{kind}"' if kind else ""
    return f"<details{name}><summary>{escape(summary)}{more}</summary>{inside}</details>"


def scroll(inside: str) -> str:
    """HTML that may be wider than the page."""
    return f'<div class="scroll">{inside}</div>'


def listed(texts: Sequence[str]) -> str:
    """Small print, a line each."""
    lines = "".join(f"<li>{escape(value)}</li>" for value in texts)
    return f'<ul class="notes">{lines}</ul>' if texts else ""


def links(names: Sequence[str]) -> str:
    """Files beside the page."""
    found = " · ".join(f'<a href="{escape(name)}">{escape(name)}</a>' for name in names)
    return f'<p class="muted">These numbers as files: {found}</p>'


def figure(svg: str, caption: str, wide: bool = False) -> str:
    """A drawing on a card, which may take a row of its own."""
    kind = "card wide" if wide else "card"
    return f'<figure class="{kind}">{svg}<figcaption>{escape(caption)}</figcaption></figure>'


def clip(shown: Example, limits: tuple[float, float], label: str, name: str) -> str:
    """A clip's frames, its numbers, and its frame scores over time; the name is of the drawing."""
    frames = "".join(
        f'<div><img src="{_jpeg(frame)}" alt="{escape(shown.video_id)} at {seconds:.2f} s">'
        f"{seconds:.2f} s</div>"
        for seconds, frame in shown.thumbnails
    )
    error = f"{round(shown.score - shown.mos, 1) + 0.0:+.1f}".replace("-", "−")
    line = plots.timeline(
        shown.timestamps, shown.frame_scores, shown.mos, shown.score, limits, label, name
    )
    return (
        f'<article class="card clip"><header><h3>{escape(shown.video_id)}</h3>'
        f'<span class="error">split {shown.split}</span></header>'
        f'<div class="frames">{frames}</div>'
        f'<div class="pair"><span>predicted <b>{shown.score:.1f}</b></span>'
        f"<span>{escape(label)} <b>{shown.mos:.1f}</b></span>"
        f'<span class="muted">error {error}</span></div>'
        f"<figure>{line}</figure></article>"
    )


def _jpeg(frame: NDArray[np.uint8]) -> str:
    """An RGB frame [h, w, 3] as a data address, not larger than a thumbnail."""
    image = Image.fromarray(frame)
    image.thumbnail((THUMBNAIL, THUMBNAIL), Image.Resampling.LANCZOS)
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=82)
    return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode("ascii")
