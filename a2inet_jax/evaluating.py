"""`a2inet evaluate`: metrics of a run's model and of its baselines."""

from collections.abc import Sequence
from pathlib import Path

from a2inet_jax.console import console, progress
from a2inet_jax.datasets import index, splits
from a2inet_jax.datasets.splits import Split
from a2inet_jax.datasets.video import Video
from a2inet_jax.evaluation import baselines, predictions, protocol
from a2inet_jax.evaluation.predictions import Prediction
from a2inet_jax.from_config import (
    Config,
    labelled_videos,
    plain,
    replicas,
    stored_features,
)
from a2inet_jax.run_folder import RunFolder


def evaluate(config: Config) -> int:
    """Metrics of the model and the baselines on the test parts: metrics.json, and a table on the screen."""
    main = config["model"]["name"]
    run = RunFolder(Path("runs") / config["name"])
    run.check(plain(config))
    videos = labelled_videos(config)
    parts = splits.read(run.path / "splits.json")
    if "svr" in config["baselines"] and not (run.path / "svr" / "predictions.csv").is_file():
        _support_vectors(config, videos, parts, run)
    tables = {
        name: predictions.measure_splits(predictions.read(run.path / name / "predictions.csv"))
        for name in (main, *config["baselines"])
    }
    predictions.write(
        run.path / "predictions.csv", predictions.read(run.path / main / "predictions.csv")
    )
    label, note = index.label(config["data"]["name"])
    data = protocol.Data(config["data"]["name"], len(videos), label, note)
    rule, number = config["train"]["epoch_rule"], config["splits"]["seeds"]
    content = protocol.results(main, tables, data, rule, number)
    protocol.write(run.path / "metrics.json", content)
    console.print(protocol.table(content))
    return 0


def _support_vectors(
    config: Config, videos: Sequence[Video], parts: Sequence[Split], run: RunFolder
) -> None:
    features, recipe = stored_features(config, videos)
    run.check(plain(config), {"features": features.digest, "recipe": recipe})
    pooled = baselines.pool(features.read(n) for n in range(len(videos)))
    contents = [video.reference_id for video in videos]
    rows: list[Prediction] = []
    trainings = replicas(config, parts)
    with progress("svr") as advance:
        for done, replica in enumerate(trainings):
            advance(f"split {replica.number}", done, len(trainings))
            # It has no epochs to choose among, so it may learn from the validation part as well.
            known = features.rows((*replica.split.train, *replica.split.validation))
            scores = baselines.svr_scores(pooled, features.mos, contents, known, replica.seed)
            tested = features.rows(replica.split.test)
            rows += predictions.tested(replica, features, scores[tested])
        advance("", len(trainings), len(trainings))
    (run.path / "svr").mkdir(exist_ok=True)
    predictions.write(run.path / "svr" / "predictions.csv", rows)
