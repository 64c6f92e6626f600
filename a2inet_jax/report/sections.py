"""The parts of a run's page that the page of several runs has as well."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path
from string import Template

import numpy as np

from a2inet_jax import atomic
from a2inet_jax.evaluation.metrics import fit_logistic
from a2inet_jax.report import markup, plots
from a2inet_jax.report.examples import Example
from a2inet_jax.report.run_files import Run

FILES = ("csv", "json", "tex")


@dataclass(frozen=True)
class Examples:
    """The clips of a run that a page shows.

    Attributes:
        best: clips that are predicted well.
        worst: clips that are predicted badly.
        missing: why there are none; empty if there are.
    """

    best: Sequence[Example] = field(default_factory=tuple)
    worst: Sequence[Example] = field(default_factory=tuple)
    missing: str = ""


def save(path: Path, title: str, lead: str, notes: Sequence[str], body: str) -> Path:
    """Writes a page, whole or not at all; title, lead and notes are text, the body is HTML.

    Raises:
        FolderError: it can't be written.
    """
    text = Template(resources.files(__package__).joinpath("page.html").read_text("utf-8"))
    page = text.substitute(
        title=markup.text(title),
        lead=markup.text(lead),
        notes="".join(markup.note(note) for note in notes),
        body=body,
    )
    atomic.write(path, page.encode())
    return path


def figures(run: Run, key: str) -> str:
    """Scores against labels, and the learning curves; `key` tells the drawings of a page apart."""
    scores, mos = [row.score for row in run.tested], [row.mos for row in run.tested]
    curve = fit_logistic(scores, mos)
    return "".join(
        (
            markup.figure(
                plots.scatter(scores, mos, curve, run.label, f"{key}-scatter"),
                f"Predicted score against {run.label}: the test parts of all splits together.",
            ),
            markup.figure(
                plots.learning_curves(run.history, f"{key}-curves"),
                "Mean over the splits; the band is one standard deviation to either side.",
            ),
        )
    )


def cases(shown: Examples, label: str, key: str, heading: str) -> str:
    """Best and worst clips under headings of this level, or why there are none."""
    if shown.missing:
        return markup.note(f"No best and worst cases: {shown.missing}")
    # One range for all timelines, so that they can be compared.
    every = [*shown.best, *shown.worst]
    if not every:
        return ""
    values = np.concatenate([[*clip.frame_scores, clip.mos, clip.score] for clip in every])
    margin = 0.06 * max(float(np.ptp(values)), 1e-6)
    limits = float(values.min()) - margin, float(values.max()) + margin
    notes = {
        "Best cases": f"The smallest errors, one from each equal part of the range of {label}.",
        "Worst cases": "The largest errors of all test parts.",
    }
    drawn = []
    for (title, note), clips in zip(notes.items(), (shown.best, shown.worst), strict=True):
        cards = "".join(
            markup.clip(clip, limits, label, f"{key}-{title[0]}{place}")
            for place, clip in enumerate(clips)
        )
        drawn.append(
            f'<{heading}>{title}</{heading}><p class="muted">{markup.text(note)}</p>'
            f'<div class="grid">{cards}</div>'
        )
    return "".join(drawn)


def provenance(run: Run) -> str:
    """Configuration, environment and hashes, each to be opened."""
    parts: Mapping[str, object] = {
        "Configuration": run.config,
        "Environment and weights": run.environment,
        "SHA-256 of the run's files": run.hashes,
    }
    return "".join(
        markup.details(heading, markup.scroll(markup.facts(values)))
        for heading, values in parts.items()
    )
