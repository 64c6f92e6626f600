"""The index of a published data set: its content, when it is written again, and refused label files."""

import json
import shutil
import subprocess
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from a2inet_jax.datasets import builder, scan
from a2inet_jax.datasets.builder import prepare, read
from a2inet_jax.datasets.catalog import DATASETS
from a2inet_jax.datasets.verify import fingerprint
from a2inet_jax.errors import ConfigError, DataError
from a2inet_jax.video.ffmpeg import ffmpeg_command
from a2inet_jax.video.raw import RawFormat
from tests.dataset_inputs import (
    EXCERPTS,
    LISTS,
    excerpt,
    prepared,
    put_list,
    records,
    silent,
    tiny_video,
    under_names,
    without_paths,
)

SMALL = ("cvd2014", "konvid_1k", "live_qualcomm", "live_vqc", "youtube_ugc")


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_video(tmp_path_factory.mktemp("clip") / "clip.mp4")


@pytest.mark.parametrize("name", SMALL)
def test_labels_of_a_published_list_are_read_exactly(name: str, tmp_path: Path) -> None:
    (list_name,) = [
        file.name
        for file in (EXCERPTS / name).glob("*.csv")
        if "-" in file.name or "CVD" in file.name
    ]
    put_list(name, list_name, tmp_path / "set")
    videos = prepared(name, tmp_path / "set")
    assert sorted(video.mos for video in videos) == sorted(mos for _, mos in excerpt(name))
    assert [video.video_id for video in videos] == sorted(video.video_id for video in videos)
    assert not any(video.path.exists() for video in videos)
    assert all(video.path.is_relative_to(tmp_path / "set") for video in videos)


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        (
            "live_vqc",
            "video,mos\nA001.mp4,1\na001.MP4,2\n",
            "row 3: a001 is in row 2 of .* already",
        ),
        ("live_vqc", "video,mos\nA001.mp4,nan\n", "row 2: 'nan' is not a number"),
        ("live_vqc", "video,mos\nA001.mp4,\n", "row 2: column 'mos' is empty"),
        ("konvid_1k", "flickr_id,mos\nfirst.mp4,1\n", "row 2: 'first.mp4' does not begin with"),
        ("konvid_1k", "flickr_id,mos\n1,1\n1_cut_x.mp4,1\n", "row 3: 1 is in row 2"),
        ("cvd2014", "video,mos\nTest1/City.avi,1\n", "row 2: 'Test1/City.avi' is not the name of"),
    ],
)
def test_a_broken_row_is_reported_and_the_existing_index_kept(
    name: str, text: str, message: str, tmp_path: Path
) -> None:
    folder, data_dir = tmp_path / "set", tmp_path / "data"
    folder.mkdir()
    good = {"live_vqc": "A001.mp4", "konvid_1k": "1.mp4", "cvd2014": "Test01_City_D01.avi"}
    (folder / "labels.csv").write_text(f"video,mos\n{good[name]},3\n")
    prepare(name, data_dir, folder, silent)
    (folder / "labels.csv").write_text(text)
    with pytest.raises(DataError, match=rf"labels\.csv: {message}"):
        prepare(name, data_dir, folder, silent)
    assert [video.mos for video in read(name, data_dir)] == [3]
    assert [path.name for path in data_dir.iterdir()] == [name]


@pytest.mark.parametrize("name", [*SMALL, "lsvq", "lsvq_1080p"])
def test_missing_folders_label_files_and_indices_are_reported(name: str, tmp_path: Path) -> None:
    title = DATASETS[name].title
    with pytest.raises(
        ConfigError,
        match=rf"the folder of {title} is not known: .*manual_dir.*{DATASETS[name].homepage}",
    ):
        prepare(name, tmp_path, None, silent)
    with pytest.raises(FileNotFoundError, match=rf"no folder .*put {title} .*manual_dir"):
        prepare(name, tmp_path, tmp_path / "none", silent)
    with pytest.raises(FileNotFoundError, match=r"has no list of labels .*labels.*https://"):
        prepare(name, tmp_path, tmp_path, silent)
    with pytest.raises(FileNotFoundError, match=rf"no index of {title} .*prepare {name}"):
        read(name, tmp_path)
    with pytest.raises(FileNotFoundError, match="no index"):
        fingerprint(read(name, tmp_path))


def test_the_index_is_written_again_only_after_a_change(
    clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, data_dir = tmp_path / "set", tmp_path / "data"
    put_list("live_vqc", "LIVE-VQC.csv", folder)
    under_names(clip, folder, ["Video/A001.mp4"])
    probed: list[str] = []
    progress: list[tuple[str, int, int]] = []

    probe = scan.probe

    def recording_probe(path: Path, raw: RawFormat | None) -> scan.ProbeResult:
        probed.append(path.name)
        return probe(path, raw)

    monkeypatch.setattr(scan, "probe", recording_probe)

    def num_missing(manual_dir: Path | None = None) -> int:
        probed.clear()
        progress.clear()
        missing = prepare("live_vqc", data_dir, manual_dir, lambda *args: progress.append(args))
        return len(missing)

    def inode() -> int:
        return (data_dir / "live_vqc").stat().st_ino

    assert num_missing(folder) == 3
    assert progress == [("A001", 1, 4), ("A002", 2, 4), ("A010", 3, 4), ("B001", 4, 4)]
    first, before = inode(), fingerprint(read("live_vqc", data_dir))
    # Nothing has changed.
    assert num_missing() == 3
    assert (probed, progress, inode()) == ([], [], first)
    # A new file; the other one is not probed again.
    under_names(clip, folder, ["A002.mp4"])
    assert num_missing() == 2
    assert probed == ["A002.mp4"]
    assert inode() != first
    assert fingerprint(read("live_vqc", data_dir)) == before
    # A file of another size.
    (folder / "Video" / "A001.mp4").unlink()
    shutil.copy(clip, folder / "Video" / "A001.mp4")
    with (folder / "Video" / "A001.mp4").open("ab") as file:
        file.write(bytes(16))
    assert num_missing() == 2
    assert probed == ["A001.mp4"]
    # A deleted file.
    (folder / "Video" / "A001.mp4").unlink()
    assert num_missing() == 3
    # Another label.
    text = (folder / "LIVE-VQC.csv").read_text()
    (folder / "LIVE-VQC.csv").write_text(text.replace("80.232", "80.233"))
    assert num_missing() == 3
    assert fingerprint(read("live_vqc", data_dir)) != before
    assert read("live_vqc", data_dir)[0].mos == 80.233


def test_probe_results_of_files(clip: Path, tmp_path: Path) -> None:
    folder = tmp_path / "set"
    put_list("live_vqc", "LIVE-VQC.csv", folder)
    under_names(clip, folder, ["A001.mp4"])
    rotate = ["-display_rotation", "90", "-i", str(clip), "-c", "copy"]
    ffmpeg = ffmpeg_command("error")
    subprocess.run([*ffmpeg, *rotate, str(folder / "A002.mp4")], check=True)
    (folder / "A010.mp4").write_bytes(b"no video" * 100)
    videos = prepared("live_vqc", folder)
    found = records("live_vqc", tmp_path / "set-data")
    keys = ("path", "present", "bytes", "frame_rate", "height", "width", "raw_width")
    size = clip.stat().st_size
    assert [found["A001"][key] for key in keys] == ["A001.mp4", True, size, 25.0, 48, 64, 0]
    assert [found["A002"][key] for key in keys[3:]] == [25.0, 64, 48, 0]
    assert [found["A010"][key] for key in keys] == ["A010.mp4", True, 800, 0, 0, 0, 0]
    assert [found["B001"][key] for key in keys] == ["Video/B001.mp4", False, 0, 0, 0, 0, 0]
    assert len(videos) == 4


@pytest.mark.parametrize("name", [*SMALL, "lsvq"])
def test_tfds_alone_writes_the_same_index_with_description(name: str, tmp_path: Path) -> None:
    import tensorflow_datasets as tfds

    folder = tmp_path / "set"
    for file in (EXCERPTS / name).iterdir():
        put_list(name, file.name, folder)
    assert prepared(name, folder)
    tfds_builder = builder._make_builder(name, tmp_path / "alone")
    assert tfds_builder.name == name
    config = tfds.download.DownloadConfig(manual_dir=str(folder))
    tfds_builder.download_and_prepare(download_dir=tmp_path / "downloads", download_config=config)
    assert without_paths(read(name, tmp_path / "alone")) == without_paths(
        read(name, tmp_path / "set-data")
    )
    info = json.loads((tmp_path / "alone" / name / "1.0.0" / "dataset_info.json").read_text())
    assert DATASETS[name].title in info["description"]
    assert "licence" in info["description"].lower()
    assert "@" in info["citation"]
    assert info["location"]["urls"] == [DATASETS[name].homepage]
    assert info["redistributionInfo"]["license"] == DATASETS[name].licence != ""


def needs_complete_list(name: str) -> Callable[..., Any]:
    return pytest.mark.skipif(not (LISTS / name).exists(), reason="needs the complete label files")


@needs_complete_list("CVD2014.csv")
@pytest.mark.parametrize(
    ("name", "lists", "num_videos", "num_contents", "lowest", "highest"),
    [
        ("cvd2014", ["CVD2014.csv"], 234, 18, -6.5, 93.38),
        ("cvd2014", ["alternative/CVD2014.txt"], 234, 18, -6.5, 93.38),
        ("live_qualcomm", ["LIVE-Qualcomm.csv"], 208, 54, 16.562095145958942, 73.64276415152705),
        (
            "live_qualcomm",
            ["alternative/LIVE_Qualcomm.txt"],
            208,
            54,
            16.562095145958942,
            73.64276415152705,
        ),
        ("live_vqc", ["LIVE-VQC.csv"], 585, 585, 6.22368, 94.2865),
        ("live_vqc", ["alternative/LIVE_VQC.txt"], 585, 585, 6.22368, 94.2865),
        ("youtube_ugc", ["YouTube-UGC.csv"], 1142, 1142, 1.242, 4.677),
        ("youtube_ugc", ["alternative/YouTubeUGC.txt"], 1147, 1147, 1.242, 4.677),
        ("konvid_1k", ["KoNViD-1k.csv"], 1200, 1200, 1.22, 4.64),
        ("konvid_1k", ["alternative/KoNViD.txt"], 1200, 1200, 1.22, 4.64),
    ],
)
def test_complete_label_files(
    name: str,
    lists: list[str],
    num_videos: int,
    num_contents: int,
    lowest: float,
    highest: float,
    tmp_path: Path,
) -> None:
    folder = tmp_path / "set"
    folder.mkdir()
    for file in lists:
        shutil.copy(LISTS / file, folder)
    videos = scan.scan(builder._make_builder(name, tmp_path), folder).videos
    assert len({video.video_id.lower() for video in videos}) == len(videos) == num_videos
    assert len({video.reference_id for video in videos}) == num_contents
    assert (min(v.mos for v in videos), max(v.mos for v in videos)) == (lowest, highest)
    # Each video has its own label: compare with a simpler way of reading the file.
    header, column = (0, 3) if lists[0].endswith(".txt") else (1, 2)
    rows = [line.split(",") for line in (LISTS / lists[0]).read_text().splitlines()[header:]]
    video_id = builder._make_builder(name, tmp_path).video_id
    mos = {video_id(row[0 if column == 3 else 1].strip()): float(row[column]) for row in rows}
    assert {video.video_id: video.mos for video in videos} == mos


@pytest.fixture
def complete_lsvq(clip: Path, tmp_path: Path) -> Path:
    """A folder with all lists of LSVQ and two of its videos."""
    folder = tmp_path / "set"
    shutil.copytree(LISTS / "lsvq", folder)
    under_names(clip, folder, ["yfcc-batch1/725.mp4", "yfcc-batch1/747.mp4"])
    return folder


@needs_complete_list("lsvq/labels_train.txt")
def test_complete_label_files_of_lsvq(complete_lsvq: Path, tmp_path: Path) -> None:
    layout = builder._make_builder("lsvq", tmp_path / "data")
    videos = scan.scan(layout, complete_lsvq).videos
    assert Counter((video.split, layout.SUBSETS[video.split]) for video in videos) == {
        ("train", "train"): 28_056,
        ("test", "test"): 7_186,
        ("test_1080p", "test"): 3_573,
    }
    assert sum(video.present for video in videos) == 2


@pytest.mark.slow
@needs_complete_list("lsvq/labels_train.txt")
def test_complete_index_of_lsvq(complete_lsvq: Path, tmp_path: Path) -> None:
    data_dir = tmp_path / "data"
    assert len(prepare("lsvq", data_dir, complete_lsvq, silent)) == 28_056 + 7_186 - 2
    videos = read("lsvq", data_dir)
    assert Counter(video.subset for video in videos) == {"train": 28_056, "test": 7_186}
    assert sum(video.path.exists() for video in videos) == 2
    assert len(read("lsvq_1080p", data_dir)) == 3_573
