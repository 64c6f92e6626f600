"""Plain extraction with PyTorch and decord: a loop over videos, and a loop over their frames."""

from collections.abc import Sequence
from pathlib import Path

import decord
import numpy as np
import torch

from benchmarks.torch_backbones import FeatureExtractor


def extract(
    videos: Sequence[Path],
    networks: Sequence[FeatureExtractor],
    folder: Path,
    chunk: int,
    dtype: torch.dtype,
    device: str,
) -> int:
    """Write the features of each video into its own file; return the number of frames.

    Args:
        videos: Every frame of them is read.
        networks: On the device, in `dtype`, with channels last in memory.
        folder: Folder of the files.
        chunk: Frames at a time.
        dtype: Dtype of the networks.
        device: "cpu" or "cuda".
    """
    total = 0
    for path in videos:
        reader = decord.VideoReader(str(path))
        features: list[list[np.ndarray]] = [[] for _ in networks]
        for start in range(0, len(reader), chunk):
            indices = range(start, min(start + chunk, len(reader)))
            frames = torch.from_numpy(reader.get_batch(indices).asnumpy()).to(device)
            with torch.inference_mode():
                for kept, network in zip(features, networks):
                    kept.append(network(frames, len(frames)).half().cpu().numpy())
        np.savez(folder / f"{path.stem}.npz", *[np.concatenate(each) for each in features])
        total += len(reader)
    return total
