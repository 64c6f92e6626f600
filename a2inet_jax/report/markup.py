"""Pieces of HTML; text from outside is escaped here."""

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

THUMBNAIL_PX = 320  # longer side


def text(value: str) -> str:
    """Return the text, safe inside an element or an attribute."""
    return escape(value)


def note(value: str) -> str:
    """Return a highlighted note, which the reader must not miss."""
    return f'<p class="note">{escape(value)}</p>'


def number_range(values: Sequence[int]) -> str:
    """Return `5`, or `5–8` if the values differ."""
    low, high = min(values), max(values)
    return str(low) if low == high else f"{low}–{high}"


def table(headings: Sequence[str], rows: Sequence[tuple[str, Sequence[str]]]) -> str:
    """Return a table with these headings; a row is its name, for the first column, and the other cells."""
    head = "".join(f'<th scope="col">{escape(heading)}</th>' for heading in headings)
    body = []
    for name, cells in rows:
        inside = "".join(f"<td>{escape(cell)}</td>" for cell in cells)
        body.append(f'<tr><th scope="row">{escape(name)}</th>{inside}</tr>')
    return f"<table><thead><tr>{head}</tr></thead><tbody>{''.join(body)}</tbody></table>"


def flatten(values: Any, name: str = "") -> Iterator[tuple[str, str]]:
    """Yield the leaves of nested JSON as dotted names and texts."""
    if isinstance(values, dict):
        for key, value in values.items():
            yield from flatten(value, f"{name}.{key}" if name else str(key))
    elif isinstance(values, list):
        yield name, ", ".join(str(value) for value in values)
    else:
        yield name, "–" if values is None or values == "" else str(values)


def fields_table(values: Any) -> str:
    """Return nested JSON as a table of dotted names and values."""
    rows = "".join(
        f'<tr><th scope="row">{escape(name)}</th><td>{escape(value)}</td></tr>'
        for name, value in flatten(values)
    )
    return f'<table class="fields"><tbody>{rows}</tbody></table>'


def details(summary: str, html: str, aside: str = "", css_class: str = "") -> str:
    """Return HTML that unfolds on a click on its summary; `aside` is further text in the summary."""
    span = f" <span>{escape(aside)}</span>" if aside else ""
    attribute = f' class="{css_class}"' if css_class else ""
    return f"<details{attribute}><summary>{escape(summary)}{span}</summary>{html}</details>"


def scrollable(html: str) -> str:
    """Return HTML that may be wider than the page."""
    return f'<div class="scroll">{html}</div>'


def note_list(texts: Sequence[str]) -> str:
    """Return a list in small print."""
    items = "".join(f"<li>{escape(value)}</li>" for value in texts)
    return f'<ul class="notes">{items}</ul>' if texts else ""


def file_links(names: Sequence[str]) -> str:
    """Return a line of links to files beside the page."""
    links = " · ".join(f'<a href="{escape(name)}">{escape(name)}</a>' for name in names)
    return f'<p class="muted">These results as files: {links}</p>'


def figure(svg: str, caption: str, wide: bool = False) -> str:
    """Return a drawing on a card; a wide one has a row of its own."""
    css_class = "card wide" if wide else "card"
    return f'<figure class="{css_class}">{svg}<figcaption>{escape(caption)}</figcaption></figure>'


def example_card(example: Example, limits: tuple[float, float], label: str, key: str) -> str:
    """Return an example's frames, its label and score, and its frame scores over time.

    Args:
        example: The example.
        limits: Smallest and largest score of the time axis.
        label: Name of the labels, such as "MOS".
        key: Name of the drawing, unique on the page.
    """
    frames = "".join(
        f'<div><img src="{_jpeg(frame)}" alt="{escape(example.video_id)} at {seconds:.2f} s">'
        f"{seconds:.2f} s</div>"
        for seconds, frame in example.thumbnails
    )
    error = f"{round(example.score - example.mos, 1) + 0.0:+.1f}".replace("-", "−")
    timeline = plots.timeline(
        example.timestamps, example.frame_scores, example.mos, example.score, limits, label, key
    )
    return (
        f'<article class="card example"><header><h3>{escape(example.video_id)}</h3>'
        f'<span class="split">split {example.split_index}</span></header>'
        f'<div class="frames">{frames}</div>'
        f'<div class="pair"><span>predicted <b>{example.score:.1f}</b></span>'
        f"<span>{escape(label)} <b>{example.mos:.1f}</b></span>"
        f'<span class="muted">error {error}</span></div>'
        f"<figure>{timeline}</figure></article>"
    )


def _jpeg(frame: NDArray[np.uint8]) -> str:
    """Return an RGB frame [h, w, 3], scaled down to a thumbnail, as a data URL."""
    image = Image.fromarray(frame)
    image.thumbnail((THUMBNAIL_PX, THUMBNAIL_PX), Image.Resampling.LANCZOS)
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=82)
    return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode("ascii")
