"""`a2inet score`: how good videos look, by a trained run."""

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from a2inet_jax.commands.options import add_command, add_videos

if TYPE_CHECKING:
    from a2inet_jax.datasets.video import VideoFile


_COLUMNS = ("path", "score", "spread", "frames", "error", "warning")


def add_verb(verbs: Any) -> None:
    """Declare `a2inet score`."""
    verb = add_command(
        verbs,
        "score",
        "score videos with a trained run",
        "a2inet score video.mp4",
        "a2inet score clips/ list.csv --run=runs/demo --csv=scores.csv",
    )
    add_videos(verb, "folder of a trained run")
    verb.add_argument(
        "--json", action="store_true", help="print a JSON object a video, with frame scores"
    )
    verb.add_argument("--csv", type=Path, metavar="FILE", help="also write a table to this file")
    verb.set_defaults(handler=_run)


def _run(options: argparse.Namespace) -> int:
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
        run: Folder of a trained run.
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
