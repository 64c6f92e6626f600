"""`a2inet report`: a run as a page, several runs as one, or the page of a table."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from a2inet_jax.build import build_model, features_folder, open_extractor, seeds
from a2inet_jax.config import Experiment
from a2inet_jax.configs import rows
from a2inet_jax.console import progress, say
from a2inet_jax.errors import A2INetError, VideoError
from a2inet_jax.evaluation.predictions import Prediction
from a2inet_jax.features.store import matching_records, open_stores
from a2inet_jax.model import ensemble
from a2inet_jax.pipeline import run_results
from a2inet_jax.report import examples, make_table, page, run_files
from a2inet_jax.report.examples import Example, Examples
from a2inet_jax.report.run_files import Run
from a2inet_jax.report.table import ResultsTable
from a2inet_jax.run import RunFolder
from a2inet_jax.video.reader import Reader

# Best and worst clips of a run, and frames of each: on its own page, and beside others.
CLIPS, THUMBNAILS = 4, 4
FEW_CLIPS, FEW_THUMBNAILS = 2, 3
# With more runs than these, one best and one worst clip of each, without previews: a table has up to 48.
MANY_RUNS = 8


def report(config: Experiment) -> int:
    """Write report.html of an experiment's run, with the best and the worst clips."""
    return report_runs([RunFolder.existing(config).path])


def report_runs(runs: Sequence[Path], out: Path | None = None) -> int:
    """Write report.html of a run, or one page of several.

    Args:
        runs: Folders of runs that have been evaluated; one named twice counts once.
        out: Folder of the page; None: the run's own, or runs/report for several.

    Returns:
        The exit code: 1 if the clips of a run could not be shown.

    Raises:
        FileNotFoundError: A run has not been evaluated.
    """
    paths = list({path.resolve(): path for path in runs}.values())
    found = _read(paths)
    comparisons: list[str] = []
    if len(found) > 1:
        unique = make_table.run_names([(run.path, run.name) for run, _ in found])
        names = {RunFolder(run.path): name for (run, _), name in zip(found, unique, strict=True)}
        comparisons = run_results.compare_runs(names)
    folder = paths[0] if len(paths) == 1 else Path("runs") / "report"
    paper_rows = [rows.named(run.config.get("paper_row", "")) for run, _ in found]
    path = page.write(out or folder, found, comparisons, paper_rows)
    is_incomplete = _say_missing(found)
    say(f"Report: {path.resolve()}")
    return int(is_incomplete)


def report_table(results: ResultsTable, folder: Path) -> Path:
    """Write report.html of a table of the paper, with a section for each run in it; return its path."""
    found = _read(list(dict.fromkeys(Path(cell.run) for _, _, cell in results.cells())))
    _say_missing(found)
    return page.write_table(folder, results, found)


def _read(paths: Sequence[Path]) -> list[tuple[Run, Examples]]:
    """Read runs, with a few clips of each."""
    runs = [run_files.read(path) for path in paths]
    clips, thumbnails = (CLIPS, THUMBNAILS) if len(runs) == 1 else (FEW_CLIPS, FEW_THUMBNAILS)
    has_previews = len(runs) <= MANY_RUNS
    found = []
    with progress("clips") as advance:
        for done, run in enumerate(runs):
            advance(run.name, done, len(runs))
            shown = _examples(run, clips if has_previews else 1, thumbnails, has_previews)
            found.append((run, shown))
        advance("", len(runs), len(runs))
    return found


def _say_missing(found: Sequence[tuple[Run, Examples]]) -> bool:
    """Say why clips are not shown; return whether there are any."""
    reasons = dict.fromkeys(each.reason_missing for _, each in found if each.reason_missing)
    for reason in reasons:
        say(f"No clips: {reason}")
    return bool(reasons)


def _examples(run: Run, num_clips: int, num_thumbnails: int, has_previews: bool) -> Examples:
    """Return the best and the worst clips of a run; or why not, if its videos or features are not there."""
    best, worst = examples.choose(run.predictions, num_clips)
    if not run.videos:
        return Examples(reason_missing=run.reason_no_videos)
    try:
        config = RunFolder(run.path).config()
        models = ensemble.load(run.path / "model.safetensors")
        model = build_model(config.model.name, config.model)
        recipes = open_extractor(config).recipes
        stores = list(open_stores(features_folder(config), recipes).values())
        with Reader() as reader:

            def example(row: Prediction) -> Example:
                matching_records(stores, row.video)
                video, found = run.videos[row.video], [store.read(row.video) for store in stores]
                stored = found[0]
                # The frame scores of the model that has the video in its test set.
                _, frames_SxT = models.scores(model, tuple(each.features for each in found))
                member = row.split * len(seeds(config)) + seeds(config).index(row.seed)
                # Frames at equal distances, and the clip to play.
                last = len(stored.timestamps) - 1
                where = np.unique(np.linspace(0, last, num_thumbnails).round().astype(int))
                frames = reader.read(video.path, stored.frame_index[where], raw=video.raw)
                pictures = np.concatenate(list(frames))
                thumbnails = list(zip(stored.timestamps[where].tolist(), pictures))
                preview: dict[str, Any] = {}
                if has_previews:
                    try:
                        preview = {"preview": examples.make_preview(video)}
                    except VideoError as error:
                        preview = {"reason_no_preview": str(error)}
                return Example(row, stored.timestamps, frames_SxT[member], thumbnails, **preview)

            return Examples([example(row) for row in best], [example(row) for row in worst])
    except (A2INetError, OSError, KeyError) as error:
        return Examples(reason_missing=str(error) or type(error).__name__)
