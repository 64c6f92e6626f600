"""Extraction as one writes it with PyTorch and decord: a loop over videos, a loop over their frames."""

from collections.abc import Sequence
from pathlib import Path

import decord
import numpy as np
import torch

from benchmarks.torch_backbones import Described


def extract(
    videos: Sequence[Path],
    networks: Sequence[Described],
    folder: Path,
    chunk: int,
    dtype: torch.dtype,
    device: str,
) -> int:
    """Write the features of each video into a file of its own; the number of frames.

    Args:
      videos: to be read from their first frame to their last.
      networks: on the device, in this dtype and channels last.
      folder: where the files go.
      chunk: frames at a time.
      dtype: of the computation.
      device: "cpu" or "cuda".
    """
    total = 0
    for path in videos:
        reader = decord.VideoReader(str(path))
        rows: list[list[np.ndarray]] = [[] for _ in networks]
        for start in range(0, len(reader), chunk):
            numbers = range(start, min(start + chunk, len(reader)))
            frames = torch.from_numpy(reader.get_batch(numbers).asnumpy()).to(device)
            with torch.inference_mode():
                for kept, network in zip(rows, networks):
                    kept.append(network(frames, len(frames)).half().cpu().numpy())
        np.savez(folder / f"{path.stem}.npz", *[np.concatenate(each) for each in rows])
        total += len(reader)
    return total
