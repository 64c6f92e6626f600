"""The folder of an evaluated run with realistic results, and examples for its page."""

import functools
import json
import tempfile
from pathlib import Path

import numpy as np

from a2inet_jax import config_file, files
from a2inet_jax.datasets import splits as split_files
from a2inet_jax.datasets.splits import Split
from a2inet_jax.datasets.video import VideoFile
from a2inet_jax.evaluation import predictions, protocol
from a2inet_jax.evaluation.predictions import Prediction
from a2inet_jax.report import examples
from a2inet_jax.report.examples import Example, Examples
from tests.clips import run_ffmpeg

NOISE = {"a2inet": 5.0, "svr": 10.0}
IDS = [f"clip_{i:03d}" for i in range(120)]
CONTENTS = {video: video[:-1] for video in IDS}  # ten versions of each scene
NOTE = "The labels are VMAF against the pristine source: a metric's opinion, not people's."
NUM_SPLITS, NUM_TEST, NUM_VALIDATION = 5, 24, 20


def make_run(run: Path, name: str = "demo", seed: int = 3, width: int = 256) -> Examples:
    """Write the files of a run; return its examples."""
    # Labels and splits are the same for every run.
    rng = np.random.default_rng(3)
    mos = dict(zip(IDS, np.clip(rng.normal(60, 24, len(IDS)), 2, 99).tolist(), strict=True))
    splits = []
    for _ in range(NUM_SPLITS):
        order = [IDS[i] for i in rng.permutation(len(IDS))]
        test, rest = order[:NUM_TEST], order[NUM_TEST:]
        validation, train = rest[:NUM_VALIDATION], rest[NUM_VALIDATION:]
        splits.append(Split(*(tuple(sorted(subset)) for subset in (train, validation, test))))
    rng = np.random.default_rng(seed)
    rows: dict[str, list[Prediction]] = {model: [] for model in NOISE}
    for index, split in enumerate(splits):
        for model, noise in NOISE.items():
            for video in split.test:
                score = 15 + 75 / (1 + np.exp(-(mos[video] - 55) / 15)) + rng.normal(0, noise)
                rows[model].append(Prediction(index, video, mos[video], float(score)))

    (run / "a2inet").mkdir(parents=True)
    history = ["split,epoch,train_loss,val_srcc,learning_rate"]
    for index in range(NUM_SPLITS):
        for epoch in range(30):
            loss = 0.12 + 0.5 * np.exp(-epoch / 6) + rng.normal(0, 0.01)
            srcc = 0.9 - 0.7 * np.exp(-epoch / 5) + rng.normal(0, 0.03)
            history.append(f"{index},{epoch},{loss:.6f},{srcc:.6f},0.0001")
    (run / "a2inet" / "history.csv").write_text("\n".join(history) + "\n")
    predictions.write(run / "predictions.csv", rows["a2inet"])
    split_files.save(splits, run / "splits.json")
    save_results(
        run, rows, protocol.EvaluatedDataset("sample", len(IDS), "VMAF", NOTE), "best_val", splits
    )
    fields = (f"name={name}", f"model.width={width}", "data.folder=nowhere")
    config = config_file.load("sample", fields)
    (run / "config.json").write_text(json.dumps(config.to_dict()))
    environment = {
        "packages": {"jax": "0.10.2"},
        "weights": {"resnet18_fdim": "ab" * 32},
        "inputs": {"labels": "1ab"},
    }
    (run / "environment.json").write_text(json.dumps(environment))
    best, worst = examples.choose(rows["a2inet"], 2)
    return Examples([_example(row, rng) for row in best], [_example(row, rng) for row in worst])


def save_results(
    run: Path,
    rows: dict[str, list[Prediction]],
    data: protocol.EvaluatedDataset,
    epoch_rule: str,
    splits: list[Split],
) -> None:
    """Write metrics.json."""
    results = protocol.results("a2inet", rows, data, epoch_rule, CONTENTS, splits)
    files.write_json(run / "metrics.json", results)


def _example(row: Prediction, rng: np.random.Generator) -> Example:
    t = np.arange(16) / 8
    frames = []
    for k in range(3):
        y, x = np.mgrid[0:270, 0:480]
        image = np.stack([x / 2, y, 128 + 90 * np.sin((x + y + 40 * k) / 50)], axis=-1)
        frames.append((float(t[6 * k]), np.clip(image, 0, 255).astype(np.uint8)))
    scores = row.score + 4 * np.sin(3 * t) + rng.normal(0, 1, t.size)
    return Example(row, t, scores, frames, preview())


@functools.cache
def preview() -> bytes:
    """Return the preview of a clip of two seconds."""
    with tempfile.TemporaryDirectory() as folder:
        clip = Path(folder) / "clip.mkv"
        options = ["-f", "lavfi", "-i", "testsrc=s=800x450:r=10:d=2", "-c:v", "ffv1"]
        run_ffmpeg(*options, str(clip))
        return examples.make_preview(VideoFile("clip", clip))
