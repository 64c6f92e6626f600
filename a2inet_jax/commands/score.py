"""The verbs that apply a trained run to videos: `score` and `analyze`."""

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from a2inet_jax.commands.options import DEFAULT_RUN, Parser, add_command

if TYPE_CHECKING:
    from a2inet_jax.datasets.video import VideoFile

_COLUMNS = ("path", "score", "spread", "frames", "error", "warning")


def add_score(verbs: Any) -> None:
    """Declare `a2inet score`."""
    verb = add_command(verbs, "score", _score)
    _add_videos(verb, "folder of a trained run")
    verb.add_argument(
        "--json", action="store_true", help="print a JSON object a video, with frame scores"
    )
    verb.add_argument("--csv", type=Path, metavar="FILE", help="also write a table to this file")


def add_analyze(verbs: Any) -> None:
    """Declare `a2inet analyze`."""
    verb = add_command(verbs, "analyze", _analyze)
    _add_videos(verb, "folder of a trained run, whose data set and features are here")
    verb.add_argument(
        "--out",
        type=Path,
        default=Path("analysis.png"),
        metavar="PICTURE",
        help="the picture (default: %(default)s)",
    )


def _add_videos(parser: Parser, run_help: str) -> None:
    parser.variadic = "videos"
    parser.add_argument(
        "videos",
        nargs="+",
        type=Path,
        metavar="VIDEO|FOLDER|CSV",
        help="videos, folders of them, or CSV files with a column `path`",
    )
    parser.add_argument(
        "--run",
        type=Path,
        default=DEFAULT_RUN,
        metavar="RUN",
        help=f"{run_help} (default: %(default)s)",
    )


def _score(options: argparse.Namespace) -> int:
    """Score videos with a trained run.

    a2inet score video.mp4
    a2inet score clips/ list.csv --run=runs/demo --csv=scores.csv
    """
    from a2inet_jax.datasets import lists

    videos = lists.find_videos(options.videos)
    table = options.csv.expanduser() if options.csv else None
    return score_all(videos, options.run, options.json, table)


def score_all(
    videos: Sequence["VideoFile"], run: Path, as_json: bool, csv_path: Path | None
) -> int:
    """Score videos and print a line for each; a video that fails has its own line and stops no other.

    Args:
        videos: From `datasets.lists.find_videos`.
        as_json: Print a JSON object a line instead: `Score.as_json`, or `path` and `error`.
        csv_path: Also write the columns `_COLUMNS` there, whole or not at all.

    Returns:
        The exit code: 1 if a video failed, else 0.
    """
    from a2inet_jax.console import per_frame, progress, say
    from a2inet_jax.errors import VideoError
    from a2inet_jax.scoring import Scorer

    if csv_path:
        _write_csv(csv_path, [])  # a file that cannot be written is an error before the work
    rows: list[dict[str, Any]] = []
    with Scorer(run) as scorer, progress("score") as advance:
        if not as_json:
            low, high = scorer.scale
            say(f"   score ± spread   in {scorer.calibrated_to}: {low:.1f} to {high:.1f}")
        for done, video in enumerate(videos):
            path = video.path
            on_frames = per_frame(advance, path.name, done, len(videos))
            try:
                scored = scorer.score(path, video.raw, on_frames)
            except (VideoError, OSError) as error:
                reason = error.reason if isinstance(error, VideoError) else str(error)
                rows.append({"path": str(path), "error": reason})
                line = f"{'failed':>8}           {path}: {reason}"
                shown: dict[str, Any] = rows[-1]
            else:
                warning = "; ".join(scored.warnings)
                rows.append(
                    {
                        "path": str(path),
                        "score": f"{scored.score:.4f}",
                        "spread": f"{scored.spread:.4f}",
                        "frames": len(scored.timestamps),
                        "warning": warning,
                    }
                )
                line = f"{scored.score:8.2f} ± {scored.spread:5.2f}   {path}"
                line += f"   ({warning})" if warning else ""
                shown = scored.as_json()
            if as_json:
                print(json.dumps(shown), flush=True)
            else:
                say(line)
        advance("", len(videos), len(videos))
    if csv_path:
        _write_csv(csv_path, rows)
    return 1 if any("error" in row for row in rows) else 0


def _write_csv(path: Path, rows: Sequence[dict[str, Any]]) -> None:
    from a2inet_jax import files

    files.write_csv(path, _COLUMNS, [[row.get(name, "") for name in _COLUMNS] for row in rows])


def _analyze(options: argparse.Namespace) -> int:
    """Draw the activation maps of both networks, and curves over time.

    a2inet analyze video.mp4
    a2inet analyze pristine.mp4 damaged.mp4 --run=runs/demo --out=analysis.png
    """
    from a2inet_jax.analysis import Analyst
    from a2inet_jax.console import per_frame, progress, say
    from a2inet_jax.datasets import lists
    from a2inet_jax.errors import VideoError
    from a2inet_jax.report import stream_maps
    from a2inet_jax.scoring import outside

    videos = lists.find_videos(options.videos)
    analyses, failures = [], []
    with Analyst(options.run) as analyst, progress("analyze") as advance:
        for done, video in enumerate(videos):
            on_frames = per_frame(advance, video.path.name, done, len(videos))
            try:
                analyses.append(analyst.analyze(video.path, video.raw, on_frames))
            except VideoError as error:
                failures.append(error)
        advance("", len(videos), len(videos))
        low, high = analyst.scale
        for each in analyses:
            if count := int(outside(each.scores, analyst.scale).sum()):
                say(
                    f"{each.path}: {count} of {len(each.scores)} frame scores are far outside {low:.1f} to "
                    f"{high:.1f}, the labels' range: unlike what the networks' regression has seen"
                )
    for failure in failures:
        say(f"failed: {failure}", "red")
    if analyses:
        out = options.out.expanduser()
        stream_maps.write(analyses, analyst.label, analyst.scale, out)
        say(out.resolve())
    return int(bool(failures))
