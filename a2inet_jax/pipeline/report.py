"""`a2inet report`: a run as a page, several runs as one, or the page of a table."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from a2inet_jax.build import (
    build_model,
    features_folder,
    labelled_videos,
    open_extractor,
    seeds,
)
from a2inet_jax.config import Experiment
from a2inet_jax.configs import rows
from a2inet_jax.console import progress, say
from a2inet_jax.errors import A2INetError
from a2inet_jax.evaluation import predictions
from a2inet_jax.evaluation.predictions import Prediction
from a2inet_jax.features.store import matching_records, open_stores
from a2inet_jax.model import ensemble
from a2inet_jax.pipeline import run_comparison
from a2inet_jax.report import examples, results_table, run_files, runs_page
from a2inet_jax.report import run_page as page
from a2inet_jax.report.columns import ResultsTable
from a2inet_jax.report.examples import Example
from a2inet_jax.report.run_files import Run
from a2inet_jax.report.sections import Examples
from a2inet_jax.run import RunFolder
from a2inet_jax.video.reader import Reader

# Best and worst clips of a run, and frames of each: on its own page, and beside others.
CLIPS, THUMBNAILS = 4, 4
FEW_CLIPS, FEW_THUMBNAILS = 2, 3
# With more runs than these, one best and one worst clip of each: a table has up to 48 runs.
MANY_RUNS = 8


def report(config: Experiment) -> int:
    """Write report.html of an experiment's run, with the best and the worst clips."""
    run = RunFolder.existing(config)
    return _one(run.path, None)


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
    if len(paths) == 1:
        return _one(paths[0], out)
    found = _read(paths)
    unique = results_table.names([(run.path, run.name) for run, _ in found])
    names = {RunFolder(run.path): name for (run, _), name in zip(found, unique, strict=True)}
    page_path = runs_page.write_runs(
        out or Path("runs") / "report",
        found,
        run_comparison.compare(names),
        [rows.named(run.config.get("paper_row", "")) for run, _ in found],
    )
    return _finish(page_path, [shown for _, shown in found])


def report_table(results: ResultsTable, folder: Path) -> Path:
    """Write report.html of a table of the paper, with a section for each run in it.

    Returns:
        The page's path.
    """
    cells = [cell for row in results["rows"] for cell in row["cells"].values()]
    paths = list(dict.fromkeys(Path(cell["run"]) for cell in cells if "run" in cell))
    found = _read(paths)
    _say_missing([shown for _, shown in found])
    return runs_page.write_table(folder, results, found)


def _one(path: Path, folder: Path | None) -> int:
    config = run_files.read(path).config
    shown = _examples(path, CLIPS, THUMBNAILS)
    return _finish(
        page.write(path, shown, rows.named(config.get("paper_row", "")), folder), [shown]
    )


def _read(paths: Sequence[Path]) -> list[tuple[Run, Examples]]:
    """Runs with a few clips of each."""
    runs = [run_files.read(path) for path in paths]
    num_clips = FEW_CLIPS if len(paths) <= MANY_RUNS else 1
    with progress("clips") as advance:
        found = []
        for done, run in enumerate(runs):
            advance(run.name, done, len(runs))
            found.append((run, _examples(run.path, num_clips, FEW_THUMBNAILS)))
        advance("", len(runs), len(runs))
    return found


def _finish(path: Path, shown: Sequence[Examples]) -> int:
    """Say where the page is; return the exit code."""
    missing = _say_missing(shown)
    say(f"Report: {path.resolve()}")
    return int(missing)


def _say_missing(shown: Sequence[Examples]) -> bool:
    """Say why clips are not shown; return whether there are any."""
    reasons = list(dict.fromkeys(each.reason_missing for each in shown if each.reason_missing))
    for reason in reasons:
        say(f"No clips: {reason}")
    return bool(reasons)


def _examples(path: Path, num_clips: int, thumbnails: int) -> Examples:
    """The best and the worst clips of a run; or why not, if its videos or features are not there."""
    best, worst = examples.choose(predictions.read(path / "predictions.csv"), num_clips)
    try:
        config = RunFolder(path).config()
        videos = {video.video_id: video for video in labelled_videos(config)}
        models = ensemble.load(path / "model.safetensors")
        model = build_model(config.model.name, config.model)
        recipes = open_extractor(config).recipes
        stores = list(open_stores(features_folder(config), recipes).values())
        with Reader() as reader:

            def clip(row: Prediction) -> Example:
                matching_records(stores, row.video)
                video, found = videos[row.video], [store.read(row.video) for store in stores]
                stored = found[0]
                _, frames_SxT = models.scores(model, tuple(each.features for each in found))
                member = row.split * len(seeds(config)) + seeds(config).index(row.seed)
                last = len(stored.timestamps) - 1
                where = np.unique(np.linspace(0, last, thumbnails).round().astype(int))
                frames = reader.read(video.path, stored.frame_index[where], raw=video.raw)
                pictures = np.concatenate(list(frames))
                return Example(
                    video_id=row.video,
                    path=video.path,
                    split_index=row.split,
                    mos=row.mos,
                    score=row.score,
                    timestamps=stored.timestamps,
                    frame_scores=frames_SxT[member],
                    thumbnails=list(zip(stored.timestamps[where].tolist(), pictures)),
                )

            return Examples([clip(row) for row in best], [clip(row) for row in worst])
    except (A2INetError, OSError, KeyError) as error:
        return Examples(reason_missing=str(error) or type(error).__name__)
