"""`a2inet analyze`: activation maps of both streams, frame entropy and frame scores, as a picture."""

import argparse
from pathlib import Path
from typing import Any

from a2inet_jax.commands.options import add_command, add_videos


def add_verb(verbs: Any) -> None:
    """Declare `a2inet analyze`."""
    verb = add_command(
        verbs,
        "analyze",
        "draw the activation maps of both networks, and curves over time",
        "a2inet analyze video.mp4",
        "a2inet analyze pristine.mp4 damaged.mp4 --run=runs/demo --out=analysis.png",
    )
    add_videos(verb, "folder of a trained run, whose data set and features are here")
    verb.add_argument(
        "--out",
        type=Path,
        default=Path("analysis.png"),
        metavar="PICTURE",
        help="the picture (default: %(default)s)",
    )
    verb.set_defaults(handler=_run)


def _run(options: argparse.Namespace) -> int:
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
