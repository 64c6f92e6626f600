"""The published data sets in every known layout: real names and labels, tiny videos."""

import csv
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from a2inet_jax.datasets.builder import prepare, read, without_mos
from a2inet_jax.datasets.verify import fingerprint
from a2inet_jax.errors import DataError
from a2inet_jax.video.raw import RawFormat
from tests.dataset_inputs import (
    EXCERPTS,
    excerpt,
    live_qualcomm_mat,
    live_vqc_mat,
    prepared,
    put_list,
    raw_video,
    records,
    save_mat_7_3,
    save_xlsx,
    silent,
    tiny_video,
    under_names,
    without_paths,
)


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_video(tmp_path_factory.mktemp("clip") / "clip.mp4")


def test_konvid_files_are_matched_by_their_number(clip: Path, tmp_path: Path) -> None:
    folder = tmp_path / "set"
    put_list("konvid_1k", "KoNViD_1k_mos.csv", folder / "KoNViD_1k_metadata")
    new, old = "KoNViD_1k_videos/6408325533.mp4", "5319047612_cut_centercrop_960x540_8s.mp4"
    # Other numbers, files that are no videos, and a deleted file in the trash.
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
def test_konvid_lists_of_both_generations_agree(list_name: str, tmp_path: Path) -> None:
    put_list("konvid_1k", list_name, tmp_path / "set")
    put_list("konvid_1k", "KoNViD_1k_mos.csv", tmp_path / "official")
    assert without_paths(prepared("konvid_1k", tmp_path / "set")) == without_paths(
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


def test_cvd2014_files_are_matched_by_test_scene_and_camera(tmp_path: Path) -> None:
    folder = tmp_path / "set"
    put_list("cvd2014", "Realignment_MOS.csv", folder / "CVD2014_ratings")
    avi = tiny_video(tmp_path / "clip.avi")
    # A folder and a file whose case differs from that in the list.
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
        assert without_paths(prepared("cvd2014", tmp_path / list_name / "set")) == without_paths(
            list(videos.values())
        )


def test_cvd2014_from_an_xlsx_file(tmp_path: Path) -> None:
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
def test_live_qualcomm_is_raw_and_grouped_by_scene(kind: str, tmp_path: Path) -> None:
    folder = tmp_path / "set"
    folder.mkdir()
    if kind == "mat":
        live_qualcomm_mat(folder / "qualcommSubjectiveData.mat", excerpt("live_qualcomm"))
    else:
        file = {"csv": "LIVE-Qualcomm.csv", "txt": "LIVE_Qualcomm.txt"}[kind]
        put_list("live_qualcomm", file, folder)
    whole, cut = "Focus/0911driving_5s_IMG_0145", "Color/0912_Cheerleader1_GS5_20150912_153429"
    raw_video(folder / f"{whole}.yuv", frames=2)
    raw_video(folder / f"{cut}.yuv", extra_bytes=1)
    # A copy that was encoded again is not taken.
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
    record = found[Path(whole).name]
    assert (record["frame_rate"], record["height"], record["width"]) == (30, 1080, 1920)
    record = found[Path(cut).name]
    assert record["present"]
    assert (record["frame_rate"], record["height"], record["width"]) == (0, 0, 0)


def test_live_qualcomm_with_an_unknown_distortion(tmp_path: Path) -> None:
    videos = {"vidNames": ["a_b_c.yuv"], "distortionNames": ["Color"], "distortionType": [2.0]}
    variables = {"qualcommVideoData": videos, "qualcommSubjectiveData": {"unBiasedMOS": [1.0]}}
    save_mat_7_3(tmp_path / "qualcommSubjectiveData.mat", variables)
    with pytest.raises(DataError, match=r"qualcommSubjectiveData\.mat: row 1: .*number 2"):
        prepare("live_qualcomm", tmp_path / "data", tmp_path, silent)


@pytest.mark.parametrize("kind", ["5", "7.3", "csv", "txt"])
def test_live_vqc_from_each_kind_of_label_file(kind: str, clip: Path, tmp_path: Path) -> None:
    folder = tmp_path / "set"
    # Of the two copies, the one at the expected path counts.
    under_names(clip, folder, ["Video/A010.mp4", "copies/A010.mp4"])
    if kind == "5":
        live_vqc_mat(folder / "data.mat", excerpt("live_vqc"))
    elif kind == "7.3":
        names, scores = zip(*excerpt("live_vqc"))
        save_mat_7_3(folder / "data.mat", {"video_list": list(names), "mos": list(scores)})
    else:
        put_list("live_vqc", {"csv": "LIVE-VQC.csv", "txt": "LIVE_VQC.txt"}[kind], folder)
    videos = prepared("live_vqc", folder)
    assert [(f"{video.video_id}.mp4", video.mos) for video in videos] == excerpt("live_vqc")
    assert [video.path.exists() for video in videos] == [False, False, True, False]
    assert [video.path.parent for video in videos] == [folder / "Video"] * 4
    assert (videos[0].subset, videos[0].raw) == ("", None)


def test_youtube_ugc_files_are_found_in_folders_and_flat(clip: Path, tmp_path: Path) -> None:
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
    # Two copies of one video, of which one is at the expected path, and two of which neither is.
    under_names(clip, folder, ["h264/Animation_1080P-05f8_crf_10_ss_00_t_20.0.mp4"])
    assert {v.video_id: v.path for v in prepared("youtube_ugc", folder)}[
        "Animation_1080P-05f8"
    ] == folder / original
    under_names(clip, folder, ["more/Vlog_480P-5ebd.mp4"])
    with pytest.raises(DataError, match=r"2 files for one video: h264/Vlog.* and more/Vlog"):
        prepared("youtube_ugc", folder)


def test_youtube_ugc_reports_a_video_without_a_label(tmp_path: Path) -> None:
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
    with pytest.raises(DataError, match=r"\.xlsx: no video in it has a label"):
        prepared("youtube_ugc", folder)
    save_xlsx(sheet, {"MOS": [*rows, ["HDR_1080P-0000", "HDR", None, "n/a"]]})
    with pytest.raises(DataError, match=r"\.xlsx: row 5: 'n/a' is not a number"):
        prepared("youtube_ugc", folder)


def lsvq_csv(folder: Path) -> None:
    """Write the label files of PatchVQ: names without suffix, and train and test in one file."""
    folder.mkdir()

    def rows(split: str) -> list[list[str]]:
        lines = (EXCERPTS / "lsvq" / f"labels_{split}.txt").read_text().splitlines()
        return [[(c := line.split(", "))[0].removesuffix(".mp4"), c[3]] for line in lines]

    with (folder / "labels_train_test.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["name", "mos_p1", "mos", "is_test"])
        for split in ("train", "test"):
            writer.writerows([[name, 1, mos, split == "test"] for name, mos in rows(split)])
    with (folder / "labels_test_1080p.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerows([["name", "mos", "frame_number"], *([*row, 9] for row in rows("1080p"))])


def test_lsvq_has_the_same_splits_from_both_kinds_of_label_files(
    clip: Path, tmp_path: Path
) -> None:
    lsvq_csv(tmp_path / "csv")
    # The CSV file has these already.
    put_list("lsvq", "labels_train.txt", tmp_path / "csv")
    dotted = "ia-batch1/Consistency_Is_KEY_Grow_St._Charles_Monday_Minute_Ep._11"
    under_names(clip, tmp_path / "csv", [f"{dotted}.mp4", "LSVQ/yfcc-batch1/722.mp4"])
    for split in ("train", "test", "1080p"):
        put_list("lsvq", f"labels_{split}.txt", tmp_path / "txt")
    videos = prepared("lsvq", tmp_path / "csv")
    assert without_paths(videos) == without_paths(prepared("lsvq", tmp_path / "txt"))
    assert Counter(video.subset for video in videos) == {"train": 4, "test": 4}
    assert [(v.video_id, v.subset) for v in videos if v.path.exists()] == [(dotted, "test")]
    large = read("lsvq_1080p", tmp_path / "csv-data")
    assert without_paths(large) == without_paths(read("lsvq_1080p", tmp_path / "txt-data"))
    assert {video.subset for video in large} == {"test"}
    assert {v.video_id: v.mos for v in large}["yfcc-batch1/722"] == 78.7741935483871
    assert large[0].video_id == "ia-batch13/cocsv-Warrior_Games_2018_PSA_-_40_sec."
    missing = prepare("lsvq_1080p", tmp_path / "csv-data", None, silent)
    assert sorted(missing) == [video.path for video in large if not video.path.exists()]
    assert len(missing) == 3
    names = ("lsvq", "lsvq_1080p")
    assert len({fingerprint(read(name, tmp_path / "csv-data")) for name in names}) == 2


def test_lsvq_without_the_label_file_of_a_split(tmp_path: Path) -> None:
    put_list("lsvq", "labels_1080p.txt", tmp_path / "set")
    prepare("lsvq_1080p", tmp_path / "data", tmp_path / "set", silent)
    assert len(read("lsvq_1080p", tmp_path / "data")) == 4
    with pytest.raises(FileNotFoundError, match=r"set had no list of the train subset of LSVQ"):
        read("lsvq", tmp_path / "data")


def test_lsvq_with_an_invalid_split(tmp_path: Path) -> None:
    file = tmp_path / "labels_train_test.csv"
    file.write_text("name,mos,is_test\nyfcc-batch1/1,50,maybe\n")
    with pytest.raises(DataError, match=r"row 2: is_test is 'maybe'"):
        prepare("lsvq", tmp_path / "data", tmp_path, silent)
