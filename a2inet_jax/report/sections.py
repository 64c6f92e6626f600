"""The sections that the page of one run and the page of several runs share."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path
from string import Template

import numpy as np

from a2inet_jax import files
from a2inet_jax.metrics import fit_logistic
from a2inet_jax.report import markup, plots
from a2inet_jax.report.examples import Example
from a2inet_jax.report.run_files import Run

SUFFIXES = ("csv", "json", "tex")  # of the files beside a page


@dataclass(frozen=True)
class Examples:
    """The examples of a run that a page shows.

    Attributes:
        best: Videos with good predictions.
        worst: Videos with bad predictions.
        missing: Why there are none; empty if there are.
    """

    best: Sequence[Example] = field(default_factory=tuple)
    worst: Sequence[Example] = field(default_factory=tuple)
    reason_missing: str = ""


def save(path: Path, title: str, lead: str, notes: Sequence[str], body: str) -> Path:
    """Write a page, whole or not at all; title, lead and notes are text, the body is HTML.

    Raises:
        FolderError: The file cannot be written.
    """
    template = Template(resources.files(__package__).joinpath("page.html").read_text("utf-8"))
    page = template.substitute(
        title=markup.text(title),
        lead=markup.text(lead),
        notes="".join(markup.note(note) for note in notes),
        body=body,
    )
    files.write(path, page.encode())
    return path


def figures(run: Run, key: str) -> str:
    """Return a plot of scores against labels and the learning curves; `key` is unique on the page."""
    scores, mos = [row.score for row in run.predictions], [row.mos for row in run.predictions]
    logistic = fit_logistic(scores, mos)
    return "".join(
        (
            markup.figure(
                plots.scatter(scores, mos, logistic, run.label, f"{key}-scatter"),
                f"Predicted score against {run.label}: the test sets of all splits together.",
            ),
            markup.figure(
                plots.learning_curves(run.history, f"{key}-curves"),
                "Mean over the splits; the band is one standard deviation to either side.",
            ),
        )
    )


def examples(shown: Examples, label: str, key: str, heading: str) -> str:
    """Return the best and worst predictions under headings such as "h2", or why there are none."""
    if shown.reason_missing:
        return markup.note(f"Examples of predictions cannot be shown: {shown.reason_missing}")
    both = [*shown.best, *shown.worst]
    if not both:
        return ""
    # One range for all timelines, so that they can be compared.
    values = np.concatenate([[*each.frame_scores, each.mos, each.score] for each in both])
    margin = 0.06 * max(float(np.ptp(values)), 1e-6)
    limits = float(values.min()) - margin, float(values.max()) + margin
    notes = {
        "Best predictions": f"The smallest errors, one from each group of videos with similar {label}.",
        "Worst predictions": "The largest errors in all test sets.",
    }
    html = []
    for (title, note), group in zip(notes.items(), (shown.best, shown.worst), strict=True):
        cards = "".join(
            markup.example_card(each, limits, label, f"{key}-{title[0]}{i}")
            for i, each in enumerate(group)
        )
        html.append(
            f'<{heading}>{title}</{heading}><p class="muted">{markup.text(note)}</p>'
            f'<div class="grid">{cards}</div>'
        )
    return "".join(html)


def provenance(run: Run) -> str:
    """Return configuration, environment and hashes, each of which can be unfolded."""
    blocks: Mapping[str, object] = {
        "Configuration": run.config,
        "Environment and weights": run.environment,
        "SHA-256 of the run's files": run.hashes,
    }
    return "".join(
        markup.details(heading, markup.scrollable(markup.fields_table(values)))
        for heading, values in blocks.items()
    )
