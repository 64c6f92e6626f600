"""The report page, from a run folder as training and evaluation leave it."""

import json
import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

from a2inet_jax.datasets import splits as split_files
from a2inet_jax.datasets.splits import Split
from a2inet_jax.evaluation import cases, plots, predictions, protocol, report
from a2inet_jax.evaluation.cases import Clip
from a2inet_jax.evaluation.metrics import fit_logistic
from a2inet_jax.evaluation.predictions import Prediction

NOISE = {"a2inet": 5.0, "concat": 6.5, "vsfa": 8.0, "svr": 10.0}
SPLITS, TESTED = 10, 24


def make_run(run: Path) -> tuple[list[Clip], list[Clip]]:
    """Fills a run folder with results such as real ones; returns the best and the worst clips."""
    rng = np.random.default_rng(3)
    ids = [f"clip_{i:03d}" for i in range(120)]
    mos = dict(zip(ids, np.clip(rng.normal(60, 24, len(ids)), 2, 99), strict=True))
    parts, rows = [], {name: [] for name in NOISE}  # type: ignore[var-annotated]
    for number in range(SPLITS):
        order = [ids[i] for i in rng.permutation(len(ids))]
        test, validation = sorted(order[:TESTED]), sorted(order[TESTED:44])
        parts.append(Split(tuple(sorted(order[44:])), tuple(validation), tuple(test)))
        for name, noise in NOISE.items():
            for video in test:
                score = 15 + 75 / (1 + np.exp(-(mos[video] - 55) / 15)) + rng.normal(0, noise)
                rows[name].append(Prediction(number, video, float(mos[video]), float(score)))

    (run / "a2inet").mkdir(parents=True)
    curve = ["split,epoch,train_loss,val_srcc,learning_rate"]
    for number in range(SPLITS):
        for epoch in range(30):
            loss = 0.12 + 0.5 * np.exp(-epoch / 6) + rng.normal(0, 0.01)
            val = 0.9 - 0.7 * np.exp(-epoch / 5) + rng.normal(0, 0.03)
            curve.append(f"{number},{epoch},{loss:.6f},{val:.6f},0.0001")
    (run / "a2inet" / "metrics.csv").write_text("\n".join(curve) + "\n")
    predictions.write(run / "predictions.csv", rows["a2inet"])
    split_files.save(parts, run / "splits.json")
    note = "The labels are VMAF against the pristine source: a metric's opinion, not people's."
    data = protocol.Data("sample", len(ids), "VMAF", note)
    measured = {name: predictions.measure_splits(found) for name, found in rows.items()}
    protocol.write(run / "metrics.json", protocol.results(measured, data, "best_val"))
    config = {"name": "demo", "seed": 0, "data": {"name": "sample"}, "baselines": ["concat", "svr"]}
    (run / "config.json").write_text(json.dumps(config))
    environment = {"packages": {"jax": "0.10.2"}, "weights": {"resnet18_fdim": "ab" * 32}}
    (run / "environment.json").write_text(json.dumps(environment))

    best, worst = cases.choose(rows["a2inet"], 2)
    return [_clip(row, rng) for row in best], [_clip(row, rng) for row in worst]


def _clip(row: Prediction, rng: np.random.Generator) -> Clip:
    t = np.arange(16) / 8
    frames = []
    for k in range(3):
        y, x = np.mgrid[0:270, 0:480]
        picture = np.stack([x / 2, y, 128 + 90 * np.sin((x + y + 40 * k) / 50)], axis=-1)
        frames.append((float(t[6 * k]), np.clip(picture, 0, 255).astype(np.uint8)))
    scores = row.score + 4 * np.sin(3 * t) + rng.normal(0, 1, t.size)
    return Clip(row.video, Path("x.mp4"), row.split, row.mos, row.score, t, scores, frames)
