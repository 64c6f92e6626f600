"""The six published data sets: real names and labels, tiny videos, every layout that is known."""

import csv
import json
import shutil
import subprocess
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from a2inet_jax.datasets import labelled_builder, probe
from a2inet_jax.datasets.facts import FACTS
from a2inet_jax.datasets.labelled_builder import prepare, read, without_mos
from a2inet_jax.datasets.verify import fingerprint
from a2inet_jax.datasets.video import Video
from a2inet_jax.video.raw_format import RawFormat
from tests.dataset_inputs import (
    EXCERPTS,
    LISTS,
    excerpt,
    live_qualcomm_mat,
    live_vqc_mat,
    raw_video,
    save_mat_7_3,
    save_xlsx,
    tiny_video,
    under_names,
)

SMALL = ("cvd2014", "konvid_1k", "live_qualcomm", "live_vqc", "youtube_ugc")


def silent(video_id: str, done: int, total: int) -> None:
    pass


@pytest.fixture(scope="session")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_video(tmp_path_factory.mktemp("clip") / "clip.mp4")


def put_list(name: str, list_name: str, folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copy(EXCERPTS / name / list_name, folder)
    return folder / list_name


def prepared(name: str, folder: Path) -> list[Video]:
    data_dir = folder.parent / f"{folder.name}-data"
    prepare(name, data_dir, folder, silent)
    return read(name, data_dir)


def essence(videos: list[Video]) -> list[tuple[Any, ...]]:
    return [(v.video_id, v.mos, v.reference_id, v.part, v.raw) for v in videos]


def records(name: str, data_dir: Path, split: str = "train") -> dict[str, dict[str, Any]]:
    builder = labelled_builder._builder(name, data_dir)
    found = {}
    for record in builder.as_data_source(split=split):
        plain = {k: v.decode() if isinstance(v, bytes) else v for k, v in record.items()}
        found[plain["video_id"]] = plain
    return found


@pytest.mark.parametrize("name", SMALL)
def test_labels_come_back_exactly_from_a_published_list(name: str, tmp_path: Path) -> None:
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


def test_konvid_matches_by_number_whatever_the_file_is_called(clip: Path, tmp_path: Path) -> None:
    folder = tmp_path / "set"
    put_list("konvid_1k", "KoNViD_1k_mos.csv", folder / "KoNViD_1k_metadata")
    new, old = "KoNViD_1k_videos/6408325533.mp4", "5319047612_cut_centercrop_960x540_8s.mp4"
    # Names that begin with the number of a video and are of another, or of none; what was thrown away.
    others = ["53190476120.mp4", "8536919744copy.mp4", "6408325533_notes.txt", "readme_1.mp4"]
    under_names(clip, folder, [new, old, *others, ".Trash/8536919744.mp4"])
    videos = {video.video_id: video for video in prepared("konvid_1k", folder)}
    assert {key: video.path for key, video in videos.items() if video.path.exists()} == {
        "6408325533": folder / new,
        "5319047612": folder / old,
    }
    assert videos["8536919744"].path == folder / "KoNViD_1k_videos/8536919744.mp4"
    assert videos["8536919744"].mos == 1.22


@pytest.mark.parametrize(
    "list_name", ["KoNViD_1k_mos.csv", "KoNViD_1k_attributes.csv", "KoNViD-1k.csv"]
)
def test_konvid_lists_of_both_generations_are_one(list_name: str, tmp_path: Path) -> None:
    put_list("konvid_1k", list_name, tmp_path / "set")
    put_list("konvid_1k", "KoNViD_1k_mos.csv", tmp_path / "official")
    assert essence(prepared("konvid_1k", tmp_path / "set")) == essence(
        prepared("konvid_1k", tmp_path / "official")
    )


def test_the_first_list_in_documented_order_is_read(tmp_path: Path) -> None:
    folder = tmp_path / "set"
    put_list("konvid_1k", "KoNViD.txt", folder)
    assert {v.video_id: v.mos for v in prepared("konvid_1k", folder)}["5319047612"] == 1.346863469
    put_list("konvid_1k", "KoNViD_1k_mos.csv", folder / "down").rename(
        folder / "down" / "konvid_1k_MOS.csv"
    )
    put_list("konvid_1k", "KoNViD.txt", folder / "down" / "deep").rename(
        folder / "down" / "deep" / "KoNViD_1k_mos.csv"
    )
    assert {v.video_id: v.mos for v in prepared("konvid_1k", folder)}["5319047612"] == 1.3469


def test_cvd2014_is_found_by_test_scene_and_camera(tmp_path: Path) -> None:
    folder = tmp_path / "set"
    put_list("cvd2014", "Realignment_MOS.csv", folder / "CVD2014_ratings")
    avi = tiny_video(tmp_path / "clip.avi")
    # One folder and one file of other case than the list has.
    names = ["Test1/City/Test01_City_D01.avi", "test3/Talking_Head/Test03_Talking_head_D10.AVI"]
    under_names(avi, folder, names)
    videos = {video.video_id: video for video in prepared("cvd2014", folder)}
    assert len(videos) == 6
    assert [str(v.path.relative_to(folder)) for v in videos.values() if v.path.exists()] == names
    talking = videos["Test3/Talking_head/Test03_Talking_Head_D10"]
    assert (talking.mos, talking.reference_id) == (53.33, "Test3/Talking_head")
    assert Counter(video.reference_id for video in videos.values())["Test1/City"] == 2
    for list_name in ("CVD2014.csv", "CVD2014.txt"):
        put_list("cvd2014", list_name, tmp_path / list_name / "set")
        assert essence(prepared("cvd2014", tmp_path / list_name / "set")) == essence(
            list(videos.values())
        )


def test_cvd2014_from_a_sheet(tmp_path: Path) -> None:
    pytest.importorskip("openpyxl")
    rows: list[list[Any]] = [
        ["Content", "File_name", "Realignment MOS"],
        ["City", "Test01_City_D01", 67.29],
    ]
    (tmp_path / "set").mkdir()
    save_xlsx(tmp_path / "set" / "Realignment_MOS.xlsx", {"Sheet1": rows})
    (video,) = prepared("cvd2014", tmp_path / "set")
    assert (video.video_id, video.mos) == ("Test1/City/Test01_City_D01", 67.29)


@pytest.mark.parametrize("kind", ["mat", "csv", "txt"])
def test_live_qualcomm_is_raw_and_its_content_is_the_scene(kind: str, tmp_path: Path) -> None:
    folder = tmp_path / "set"
    folder.mkdir()
    if kind == "mat":
        live_qualcomm_mat(folder / "qualcommSubjectiveData.mat", excerpt("live_qualcomm"))
    else:
        file = {"csv": "LIVE-Qualcomm.csv", "txt": "LIVE_Qualcomm.txt"}[kind]
        put_list("live_qualcomm", file, folder)
    whole, cut = "Focus/0911driving_5s_IMG_0145", "Color/0912_Cheerleader1_GS5_20150912_153429"
    raw_video(folder / f"{whole}.yuv", frames=2)
    raw_video(folder / f"{cut}.yuv", more_bytes=1)
    # A copy that was coded again is another video.
    (folder / "0826_TrainPullsAway_LG_G2_CAM00726.mp4").write_bytes(b"coded")
    videos = {video.video_id: video for video in prepared("live_qualcomm", folder)}
    assert {v.path.relative_to(folder).as_posix(): v.mos for v in videos.values()} == dict(
        excerpt("live_qualcomm")
    )
    assert all(v.raw == RawFormat(1920, 1080, "yuv420p", 30.0) for v in videos.values())
    contents = Counter(video.reference_id for video in videos.values())
    assert contents == {
        "manundertree": 2,
        "cheerleader1": 2,
        "driving": 1,
        "trainpullsaway": 1,
        "skateboarderstepsout": 1,
    }
    found = records("live_qualcomm", tmp_path / "set-data")
    seen = found[Path(whole).name]
    assert (seen["frame_rate"], seen["height"], seen["width"]) == (30, 1080, 1920)
    seen = found[Path(cut).name]
    assert seen["present"]
    assert (seen["frame_rate"], seen["height"], seen["width"]) == (0, 0, 0)


def test_live_qualcomm_with_a_distortion_that_is_none(tmp_path: Path) -> None:
    pytest.importorskip("h5py")
    videos = {"vidNames": ["a_b_c.yuv"], "distortionNames": ["Color"], "distortionType": [2.0]}
    variables = {"qualcommVideoData": videos, "qualcommSubjectiveData": {"unBiasedMOS": [1.0]}}
    save_mat_7_3(tmp_path / "qualcommSubjectiveData.mat", variables)
    with pytest.raises(ValueError, match=r"qualcommSubjectiveData\.mat: row 1: .*number 2"):
        prepare("live_qualcomm", tmp_path / "data", tmp_path, silent)


@pytest.mark.parametrize("kind", ["5", "7.3", "csv", "txt"])
def test_live_vqc_from_each_kind_of_list(kind: str, clip: Path, tmp_path: Path) -> None:
    folder = tmp_path / "set"
    under_names(clip, folder, ["Video/A010.mp4", "copies/A010.mp4"])  # the expected one counts
    if kind == "5":
        live_vqc_mat(folder / "data.mat", excerpt("live_vqc"))
    elif kind == "7.3":
        pytest.importorskip("h5py")
        names, scores = zip(*excerpt("live_vqc"))
        save_mat_7_3(folder / "data.mat", {"video_list": list(names), "mos": list(scores)})
    else:
        put_list("live_vqc", {"csv": "LIVE-VQC.csv", "txt": "LIVE_VQC.txt"}[kind], folder)
    videos = prepared("live_vqc", folder)
    assert [(f"{video.video_id}.mp4", video.mos) for video in videos] == excerpt("live_vqc")
    assert [video.path.exists() for video in videos] == [False, False, True, False]
    assert [video.path.parent for video in videos] == [folder / "Video"] * 4
    assert (videos[0].part, videos[0].raw) == ("", None)


def test_youtube_ugc_is_found_in_folders_and_flat(clip: Path, tmp_path: Path) -> None:
    folder = tmp_path / "set"
    put_list("youtube_ugc", "YouTube-UGC.csv", folder)
    mkv = tiny_video(tmp_path / "clip.mkv")
    original = "original_videos/Animation/1080P/Animation_1080P-05f8.mkv"
    h264 = "h264/Vlog_480P-5ebd_crf_10_ss_00_t_20.0.mp4"
    under_names(mkv, folder, [original])
    under_names(clip, folder, [h264])
    videos = {video.video_id: video for video in prepared("youtube_ugc", folder)}
    assert sorted(str(v.path.relative_to(folder)) for v in videos.values() if v.path.exists()) == [
        h264,
        original,
    ]
    assert videos["HDR_1080P-282a"].path == folder / "HDR/1080P/HDR_1080P-282a.mkv"
    # Both copies of one video: neither is where the list has it, or one is.
    under_names(clip, folder, ["h264/Animation_1080P-05f8_crf_10_ss_00_t_20.0.mp4"])
    assert {v.video_id: v.path for v in prepared("youtube_ugc", folder)}[
        "Animation_1080P-05f8"
    ] == folder / original
    under_names(clip, folder, ["more/Vlog_480P-5ebd.mp4"])
    with pytest.raises(ValueError, match=r"2 files for one video: h264/Vlog.* and more/Vlog"):
        prepared("youtube_ugc", folder)


def test_youtube_ugc_names_a_video_without_label(tmp_path: Path) -> None:
    pytest.importorskip("openpyxl")
    folder = tmp_path / "set"
    folder.mkdir()
    rows: list[list[Any]] = [
        ["vid", "category", "MOS chunk00", "MOS full"],
        ["Animation_1080P-01b3", "Animation", 3.9, 3.649],
        ["Vlog_480P-5ebd", "Vlog", 3.9, None],
        ["HDR_1080P-282a", "HDR", None, 4.038],
    ]
    sheet = folder / "MOS_for_YouTube_UGC_dataset.xlsx"
    save_xlsx(sheet, {"About": [["MOS"]], "MOS": rows})
    assert [(v.video_id, v.mos) for v in prepared("youtube_ugc", folder)] == [
        ("Animation_1080P-01b3", 3.649),
        ("HDR_1080P-282a", 4.038),
    ]
    assert without_mos("youtube_ugc", tmp_path / "set-data") == ["Vlog_480P-5ebd"]
    save_xlsx(sheet, {"MOS": [rows[0], rows[2]]})
    with pytest.raises(ValueError, match=r"\.xlsx: no video in it has a label"):
        prepared("youtube_ugc", folder)
    save_xlsx(sheet, {"MOS": [*rows, ["HDR_1080P-0000", "HDR", None, "n/a"]]})
    with pytest.raises(ValueError, match=r"\.xlsx: row 5: 'n/a' is no number"):
        prepared("youtube_ugc", folder)


def lsvq_csv(folder: Path) -> None:
    """The lists as PatchVQ has them: names without suffix, and one file of two parts."""
    folder.mkdir()

    def rows(part: str) -> list[list[str]]:
        lines = (EXCERPTS / "lsvq" / f"labels_{part}.txt").read_text().splitlines()
        return [[(c := line.split(", "))[0].removesuffix(".mp4"), c[3]] for line in lines]

    with (folder / "labels_train_test.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["name", "mos_p1", "mos", "is_test"])
        for part in ("train", "test"):
            writer.writerows([[name, 1, mos, part == "test"] for name, mos in rows(part)])
    with (folder / "labels_test_1080p.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerows([["name", "mos", "frame_number"], *([*row, 9] for row in rows("1080p"))])


def test_lsvq_has_its_parts_from_either_kind_of_list(clip: Path, tmp_path: Path) -> None:
    lsvq_csv(tmp_path / "csv")
    put_list("lsvq", "labels_train.txt", tmp_path / "csv")  # the CSV file has them already
    dotted = "ia-batch1/Consistency_Is_KEY_Grow_St._Charles_Monday_Minute_Ep._11"
    under_names(clip, tmp_path / "csv", [f"{dotted}.mp4", "LSVQ/yfcc-batch1/722.mp4"])
    for part in ("train", "test", "1080p"):
        put_list("lsvq", f"labels_{part}.txt", tmp_path / "txt")
    videos = prepared("lsvq", tmp_path / "csv")
    assert essence(videos) == essence(prepared("lsvq", tmp_path / "txt"))
    assert Counter(video.part for video in videos) == {"train": 4, "test": 4}
    assert [(v.video_id, v.part) for v in videos if v.path.exists()] == [(dotted, "test")]
    later = read("lsvq_1080p", tmp_path / "csv-data")
    assert essence(later) == essence(read("lsvq_1080p", tmp_path / "txt-data"))
    assert {video.part for video in later} == {"test"}
    assert {v.video_id: v.mos for v in later}["yfcc-batch1/722"] == 78.7741935483871
    assert later[0].video_id == "ia-batch13/cocsv-Warrior_Games_2018_PSA_-_40_sec."
    missing = prepare("lsvq_1080p", tmp_path / "csv-data", None, silent)
    assert sorted(missing) == [video.path for video in later if not video.path.exists()]
    assert len(missing) == 3
    names = ("lsvq", "lsvq_1080p")
    assert len({fingerprint(read(name, tmp_path / "csv-data")) for name in names}) == 2


def test_lsvq_without_the_list_of_a_part(tmp_path: Path) -> None:
    put_list("lsvq", "labels_1080p.txt", tmp_path / "set")
    prepare("lsvq_1080p", tmp_path / "data", tmp_path / "set", silent)
    assert len(read("lsvq_1080p", tmp_path / "data")) == 4
    with pytest.raises(FileNotFoundError, match=r"set had no list of the train part of LSVQ"):
        read("lsvq", tmp_path / "data")


def test_lsvq_with_a_part_that_is_none(tmp_path: Path) -> None:
    file = tmp_path / "labels_train_test.csv"
    file.write_text("name,mos,is_test\nyfcc-batch1/1,50,maybe\n")
    with pytest.raises(ValueError, match=r"row 2: is_test is 'maybe'"):
        prepare("lsvq", tmp_path / "data", tmp_path, silent)


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        (
            "live_vqc",
            "video,mos\nA001.mp4,1\na001.MP4,2\n",
            "row 3: a001 is in row 2 of .* already",
        ),
        ("live_vqc", "video,mos\nA001.mp4,nan\n", "row 2: 'nan' is no number"),
        ("live_vqc", "video,mos\nA001.mp4,\n", "row 2: column 'mos' is empty"),
        ("konvid_1k", "flickr_id,mos\nfirst.mp4,1\n", "row 2: 'first.mp4' does not begin with"),
        ("konvid_1k", "flickr_id,mos\n1,1\n1_cut_x.mp4,1\n", "row 3: 1 is in row 2"),
        ("cvd2014", "video,mos\nTest1/City.avi,1\n", "row 2: 'Test1/City.avi' is no name of"),
    ],
)
def test_a_broken_row_is_told_and_the_last_index_stays(
    name: str, text: str, said: str, tmp_path: Path
) -> None:
    folder, data_dir = tmp_path / "set", tmp_path / "data"
    folder.mkdir()
    good = {"live_vqc": "A001.mp4", "konvid_1k": "1.mp4", "cvd2014": "Test01_City_D01.avi"}
    (folder / "labels.csv").write_text(f"video,mos\n{good[name]},3\n")
    prepare(name, data_dir, folder, silent)
    (folder / "labels.csv").write_text(text)
    with pytest.raises(ValueError, match=rf"labels\.csv: {said}"):
        prepare(name, data_dir, folder, silent)
    assert [video.mos for video in read(name, data_dir)] == [3]
    assert [path.name for path in data_dir.iterdir()] == [name]


@pytest.mark.parametrize("name", [*SMALL, "lsvq", "lsvq_1080p"])
def test_what_is_missing_is_said(name: str, tmp_path: Path) -> None:
    title = FACTS[name].title
    with pytest.raises(ValueError, match=rf"in which folder {title} is: .*{FACTS[name].homepage}"):
        prepare(name, tmp_path, None, silent)
    with pytest.raises(FileNotFoundError, match=rf"no folder .*put {title} .*manual_dir"):
        prepare(name, tmp_path, tmp_path / "none", silent)
    with pytest.raises(FileNotFoundError, match=r"has no list of labels .*labels.*https://"):
        prepare(name, tmp_path, tmp_path, silent)
    with pytest.raises(FileNotFoundError, match=rf"no index of {title} .*prepare {name}"):
        read(name, tmp_path)
    with pytest.raises(FileNotFoundError, match="no index"):
        fingerprint(read(name, tmp_path))


def test_the_index_is_made_again_only_when_something_changed(
    clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, data_dir = tmp_path / "set", tmp_path / "data"
    put_list("live_vqc", "LIVE-VQC.csv", folder)
    under_names(clip, folder, ["Video/A001.mp4"])
    looked: list[str] = []
    told: list[tuple[str, int, int]] = []

    def look(path: Path, raw: RawFormat | None) -> probe.Probe:
        looked.append(path.name)
        return probe.probe(path, raw)

    monkeypatch.setattr("a2inet_jax.datasets.survey.probe", look)

    def again(manual_dir: Path | None = None) -> int:
        looked.clear()
        told.clear()
        missing = prepare("live_vqc", data_dir, manual_dir, lambda *what: told.append(what))
        return len(missing)

    def index() -> int:
        return (data_dir / "live_vqc").stat().st_ino

    assert again(folder) == 3
    assert told == [("A001", 1, 4), ("A002", 2, 4), ("A010", 3, 4), ("B001", 4, 4)]
    first, digest = index(), fingerprint(read("live_vqc", data_dir))
    assert again() == 3
    assert (looked, told, index()) == ([], [], first)
    under_names(clip, folder, ["A002.mp4"])
    assert again() == 2
    assert looked == ["A002.mp4"]  # what was seen of the other file is still known
    assert index() != first
    assert fingerprint(read("live_vqc", data_dir)) == digest
    (folder / "Video" / "A001.mp4").unlink()
    shutil.copy(clip, folder / "Video" / "A001.mp4")
    with (folder / "Video" / "A001.mp4").open("ab") as file:
        file.write(bytes(16))
    assert again() == 2
    assert looked == ["A001.mp4"]
    (folder / "Video" / "A001.mp4").unlink()
    assert again() == 3
    text = (folder / "LIVE-VQC.csv").read_text()
    (folder / "LIVE-VQC.csv").write_text(text.replace("80.232", "80.233"))
    assert again() == 3
    assert fingerprint(read("live_vqc", data_dir)) != digest
    assert read("live_vqc", data_dir)[0].mos == 80.233


def test_what_is_seen_in_files(clip: Path, tmp_path: Path) -> None:
    folder = tmp_path / "set"
    put_list("live_vqc", "LIVE-VQC.csv", folder)
    under_names(clip, folder, ["A001.mp4"])
    turned = ["-display_rotation", "90", "-i", str(clip), "-c", "copy"]
    ffmpeg = probe.command("error")
    subprocess.run([*ffmpeg, *turned, str(folder / "A002.mp4")], check=True)
    (folder / "A010.mp4").write_bytes(b"no video" * 100)
    told = prepared("live_vqc", folder)
    found = records("live_vqc", tmp_path / "set-data")
    keys = ("path", "present", "bytes", "frame_rate", "height", "width", "raw_width")
    size = clip.stat().st_size
    assert [found["A001"][key] for key in keys] == ["A001.mp4", True, size, 25.0, 48, 64, 0]
    assert [found["A002"][key] for key in keys[3:]] == [25.0, 64, 48, 0]
    assert [found["A010"][key] for key in keys] == ["A010.mp4", True, 800, 0, 0, 0, 0]
    assert [found["B001"][key] for key in keys] == ["Video/B001.mp4", False, 0, 0, 0, 0, 0]
    assert len(told) == 4


@pytest.mark.parametrize("name", [*SMALL, "lsvq"])
def test_tfds_alone_makes_the_same_and_says_what_it_is(name: str, tmp_path: Path) -> None:
    import tensorflow_datasets as tfds

    folder = tmp_path / "set"
    for file in (EXCERPTS / name).iterdir():
        put_list(name, file.name, folder)
    assert prepared(name, folder)
    builder = labelled_builder._builder(name, tmp_path / "alone")
    assert builder.name == name
    config = tfds.download.DownloadConfig(manual_dir=str(folder))
    builder.download_and_prepare(download_dir=tmp_path / "downloads", download_config=config)
    assert essence(read(name, tmp_path / "alone")) == essence(read(name, tmp_path / "set-data"))
    info = json.loads((tmp_path / "alone" / name / "1.0.0" / "dataset_info.json").read_text())
    assert FACTS[name].title in info["description"]
    assert "licence" in info["description"].lower()
    assert "@" in info["citation"]
    assert info["location"]["urls"] == [FACTS[name].homepage]


def real(names: str) -> Callable[..., Any]:
    return pytest.mark.skipif(not (LISTS / names).exists(), reason="needs the whole lists")


@real("CVD2014.csv")
@pytest.mark.parametrize(
    ("name", "lists", "number", "contents", "lowest", "highest"),
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
def test_whole_lists(
    name: str,
    lists: list[str],
    number: int,
    contents: int,
    lowest: float,
    highest: float,
    tmp_path: Path,
) -> None:
    folder = tmp_path / "set"
    folder.mkdir()
    for file in lists:
        shutil.copy(LISTS / file, folder)
    videos = prepared(name, folder)
    assert len({video.video_id.lower() for video in videos}) == len(videos) == number
    assert len({video.reference_id for video in videos}) == contents
    assert (min(v.mos for v in videos), max(v.mos for v in videos)) == (lowest, highest)


@real("lsvq/labels_train.txt")
def test_the_whole_of_lsvq(clip: Path, tmp_path: Path) -> None:
    folder, data_dir = tmp_path / "set", tmp_path / "data"
    shutil.copytree(LISTS / "lsvq", folder)
    under_names(clip, folder, ["yfcc-batch1/725.mp4", "yfcc-batch1/747.mp4"])
    assert len(prepare("lsvq", data_dir, folder, silent)) == 28_056 + 7_186 - 2
    videos = read("lsvq", data_dir)
    assert Counter(video.part for video in videos) == {"train": 28_056, "test": 7_186}
    assert sum(video.path.exists() for video in videos) == 2
    assert len(read("lsvq_1080p", data_dir)) == 3_573
