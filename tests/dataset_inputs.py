"""Data set folders as users have them: label files in every format, tiny videos under real names."""

import csv
import os
import shutil
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import imageio_ffmpeg
import numpy as np
import scipy.io

from a2inet_jax.datasets import builder
from a2inet_jax.datasets.video import Video

EXCERPTS = Path(__file__).parent / "excerpts"
# The complete label files, which are not part of the project.
LISTS = Path(__file__).parents[2] / "shared" / "labels"
# What MATLAB writes before the HDF5 part of a file: a text, the version and the byte order.
MAT_7_3_HEAD = b"MATLAB 7.3 MAT-file".ljust(124) + b"\x00\x02IM"
RAW_FRAME_BYTES = 1920 * 1080 * 3 // 2


def excerpt(name: str) -> list[tuple[str, float]]:
    """Return name and MOS of each row of the numbered list in a data set's excerpt."""
    (file,) = [f for f in (EXCERPTS / name).glob("*.csv") if f.read_text().startswith("number,")]
    with file.open(newline="") as opened:
        return [(row["video"], float(row["mos"])) for row in csv.DictReader(opened)]


def tiny_video(path: Path, *options: str) -> Path:
    """Write six frames of 64×48 pixels at 25 frames per second."""
    path.parent.mkdir(parents=True, exist_ok=True)
    source = ["-f", "lavfi", "-i", "testsrc2=size=64x48:rate=25", "-frames:v", "6"]
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-y", *source, *options]
    subprocess.run([*command, "-pix_fmt", "yuv420p", str(path)], check=True)
    return path


def under_names(video: Path, folder: Path, names: Iterable[str]) -> None:
    """Link one file under many names."""
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        os.link(video, folder / name)


def raw_video(path: Path, frames: int = 1, extra_bytes: int = 0) -> None:
    """Write black frames of LIVE-Qualcomm's size as a sparse file, which takes no space on the disk."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        file.truncate(frames * RAW_FRAME_BYTES + extra_bytes)


def cells(texts: Sequence[str]) -> np.ndarray:
    """Return a MATLAB cell array of one column."""
    return np.array([*texts, None], dtype=object)[:-1, None]


def live_vqc_mat(path: Path, rows: Sequence[tuple[str, float]]) -> None:
    """Write LIVE-VQC's `data.mat`, version 5."""
    names, scores = zip(*rows)
    scipy.io.savemat(path, {"video_list": cells(names), "mos": np.array(scores)[:, None]})


def live_qualcomm_mat(path: Path, rows: Sequence[tuple[str, float]]) -> None:
    """Write `qualcommSubjectiveData.mat`, version 5, with structs and numbered folders."""
    folders = sorted({name.split("/")[0] for name, _ in rows})
    types = np.array([folders.index(name.split("/")[0]) + 1 for name, _ in rows], np.uint8)
    videos = {
        "vidNames": cells([name.split("/")[1] for name, _ in rows]),
        "distortionNames": cells(folders),
        "distortionType": types[:, None],
    }
    scores = np.array([mos for _, mos in rows])[:, None]
    subjective = {"unBiasedMOS": scores, "biasedMOS": scores / 2}
    scipy.io.savemat(path, {"qualcommVideoData": videos, "qualcommSubjectiveData": subjective})


def save_mat_7_3(path: Path, variables: dict[str, Any]) -> None:
    """Write a MATLAB 7.3 file of strings, lists of strings, lists of numbers and structs of these."""
    import h5py

    def save(group: Any, name: str, value: Any) -> None:
        if isinstance(value, dict):
            inner = group.create_group(name)
            inner.attrs["MATLAB_class"] = np.bytes_("struct")
            for key, item in value.items():
                save(inner, key, item)
        elif isinstance(value, str):
            # An empty array is stored as its shape.
            codes = np.array([[ord(c)] for c in value] or [[0], [0]], np.uint16)
            written = group.create_dataset(name, data=codes)
            written.attrs["MATLAB_class"] = np.bytes_("char")
            if not value:
                written.attrs["MATLAB_empty"] = np.uint8(1)
        elif isinstance(value[0], str):
            targets = group.file.require_group("#refs#")
            references = []
            for text in value:
                key = str(len(targets))
                save(targets, key, text)
                references.append(targets[key].ref)
            data = np.array([references], h5py.ref_dtype)
            group.create_dataset(name, data=data).attrs["MATLAB_class"] = np.bytes_("cell")
        else:
            data = np.array([value], float)
            group.create_dataset(name, data=data).attrs["MATLAB_class"] = np.bytes_("double")

    with h5py.File(path, "w", userblock_size=512) as file:
        for name, value in variables.items():
            save(file, name, value)
    with path.open("r+b") as head:
        head.write(MAT_7_3_HEAD)


def save_xlsx(path: Path, sheets: Mapping[str, Sequence[Sequence[Any]]]) -> None:
    """Write sheets of rows of cells."""
    import openpyxl

    book = openpyxl.Workbook()
    book.remove(book.worksheets[0])
    for title, rows in sheets.items():
        sheet = book.create_sheet(title)
        for row in rows:
            sheet.append(row)
    book.save(path)


def silent(video_id: str, done: int, total: int) -> None:
    """Ignore progress."""


def put_list(name: str, list_name: str, folder: Path) -> Path:
    """Copy a label file of an excerpt into a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copy(EXCERPTS / name / list_name, folder)
    return folder / list_name


def prepared(name: str, folder: Path) -> list[Video]:
    """Prepare a data set from this folder and read its videos."""
    data_dir = folder.parent / f"{folder.name}-data"
    builder.prepare(name, data_dir, folder, silent)
    return builder.read(name, data_dir)


def without_paths(videos: list[Video]) -> list[tuple[Any, ...]]:
    """Return everything that an index has of its videos, except their paths."""
    return [(v.video_id, v.mos, v.reference_id, v.subset, v.raw) for v in videos]


def records(name: str, data_dir: Path, split: str = "train") -> dict[str, dict[str, Any]]:
    """Read the records of an index, by video id."""
    found = {}
    for record in builder._make_builder(name, data_dir).as_data_source(split=split):
        plain = {k: v.decode() if isinstance(v, bytes) else v for k, v in record.items()}
        found[plain["video_id"]] = plain
    return found
