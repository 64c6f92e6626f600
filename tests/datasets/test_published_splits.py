"""Published splits: excerpts of real names with made-up permutations; the complete lists where available."""

import csv
import importlib
import json
import random
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import h5py
import numpy as np
import pytest
import scipy.io

from a2inet_jax.datasets import published_splits, splits
from a2inet_jax.datasets.video import Video
from a2inet_jax.errors import ConfigError, DataError
from tests.dataset_inputs import LISTS, MAT_7_3_HEAD, cells, excerpt

SETS = {
    "cvd2014": "CVD2014",
    "konvid_1k": "KoNViD-1k",
    "live_qualcomm": "LIVE-Qualcomm",
    "live_vqc": "LIVE-VQC",
    "youtube_ugc": "YouTube-UGC",
}


def labelled(data_set: str, rows: Sequence[tuple[str, float]]) -> list[Video]:
    """Return videos with the ids and contents of the data set's builder."""
    module = importlib.import_module(f"a2inet_jax.datasets.{data_set}.{data_set}_dataset_builder")
    builder = module.Builder.__new__(module.Builder)
    ids = [(builder.video_id(name), mos) for name, mos in rows]
    return [Video(each, Path(each), mos, builder.content_id(each)) for each, mos in ids]


def videos(*names: str) -> list[Video]:
    return [Video(name, Path(name), 1.0, name) for name in names]


def write_list(path: Path, names: Sequence[str]) -> Path:
    lines = [f"{n},{name},1.5\n" for n, name in enumerate(names, start=1)]
    path.write_text("number,video,mos\n" + "".join(lines))
    return path


def write_json(path: Path, permutations: object) -> Path:
    path.write_text(json.dumps({"source": "made up", "permutations": permutations}))
    return path


def shuffles(count: int, length: int) -> list[list[int]]:
    numbers = range(1, length + 1)
    return [random.Random(seed).sample(numbers, length) for seed in range(count)]


def sizes(split: splits.Split) -> tuple[int, int, int]:
    return len(split.train), len(split.validation), len(split.test)


@pytest.mark.parametrize("data_set", SETS)
def test_names_of_each_data_set_are_matched(data_set: str, tmp_path: Path) -> None:
    rows = excerpt(data_set)
    filler = [f"filler{k}" for k in range(10)]
    ours = labelled(data_set, rows) + videos(*filler)
    names = [name for name, _ in rows] + filler
    listing = write_list(tmp_path / "list.csv", names)
    permutations = shuffles(3, len(names))
    found = published_splits.read(
        write_json(tmp_path / "p.json", permutations), listing, ours[::-1]
    )
    assert (found.unknown, found.unused) == ([], [])
    for split, permutation in zip(found.splits, permutations, strict=True):
        ids = [ours[n - 1].video_id for n in permutation]
        train, validation, _ = sizes(split)
        assert split.train == tuple(sorted(ids[:train]))
        assert split.validation == tuple(sorted(ids[train : train + validation]))
        assert split.test == tuple(sorted(ids[train + validation :]))


def test_subsets_are_cut_as_in_the_published_code(tmp_path: Path) -> None:
    # `ceil((1 - 0.2 - 0.2) * n)` and `ceil((1 - 0.2) * n)`: for 1200, one more than 60 %.
    for n, expected in ((1200, (721, 239, 240)), (234, (141, 47, 46)), (208, (125, 42, 41))):
        names = [f"v{k}.mp4" for k in range(n)]
        listing = write_list(tmp_path / "list.csv", names)
        file = write_json(tmp_path / "p.json", shuffles(1, n))
        (split,) = published_splits.read(file, listing, videos(*names)).splits
        assert sizes(split) == expected


def test_other_spellings_of_names_are_matched(tmp_path: Path) -> None:
    published = (
        "1234567890_original_centercrop_960x540_8s.mp4",
        "Animation_1080P-05f8_crf_10_ss_00_t_20.0.mp4",
        "Test1/Talking_head/Test01_Talking_Head_D01.avi",
        "Color\\0912_CheerLeader1_Nokia1080_Pro.yuv",
        "deep/same.mp4",
        "other/same.mp4",
        "A001.MP4",
    )
    ours = (
        "1234567890",
        "Animation_1080P-05f8",
        "test1/talking_head/test01_talking_head_d01",
        "0912_Cheerleader1_Nokia1080_Pro",
        "Deep/same.mp4",
        "other/same",
        "videos/A001.mp4",
    )
    listing = write_list(tmp_path / "list.csv", published)
    file = write_json(tmp_path / "p.json", [[1, 2, 3, 4, 5, 6, 7]])
    (split,) = published_splits.read(file, listing, videos(*ours)).splits
    assert split.train == tuple(sorted(ours[:5]))
    assert (split.validation, split.test) == ((ours[5],), (ours[6],))


def test_ambiguous_names_are_refused(tmp_path: Path) -> None:
    ours = ("a/same.mp4", "b/same.mp4", "c.mp4", "d.mp4", "e.mp4", "f.mp4")
    listing = write_list(tmp_path / "list.csv", ["same.mp4", *ours[2:]])
    file = write_json(tmp_path / "p.json", [[1, 2, 3, 4, 5]])
    with pytest.raises(DataError, match=r"1 of 5 videos are not in the data set: same\.mp4"):
        published_splits.read(file, listing, videos(*ours))
    twice = write_list(tmp_path / "twice.csv", ["x/c.mp4", "y/c.mp4", "d.mp4", "e.mp4", "f.mp4"])
    with pytest.raises(DataError, match=r"x/c\.mp4 and y/c\.mp4 are both the video c\.mp4"):
        published_splits.read(file, twice, videos(*ours))


def test_videos_missing_on_either_side(tmp_path: Path) -> None:
    names = [f"v{k:02}.mp4" for k in range(20)]
    listing = write_list(tmp_path / "list.csv", names)
    file = write_json(tmp_path / "p.json", shuffles(2, 20))
    ours = videos(*names[2:], "extra.mp4")
    with pytest.raises(
        DataError,
        match=r"list\.csv: 2 of 20 .*: v00\.mp4, v01\.mp4; --config.data.allow_missing=True leaves",
    ):
        published_splits.read(file, listing, ours)
    found = published_splits.read(file, listing, ours, allow_missing=True)
    assert (found.unknown, found.unused) == (names[:2], ["extra.mp4"])
    whole = published_splits.read(file, listing, videos(*names)).splits
    # The other videos stay in their subsets.
    assert found.splits == splits.restrict(whole, ours)
    with pytest.raises(DataError, match="too few"):
        published_splits.read(file, listing, videos("other.mp4"), allow_missing=True)


def test_only_the_first_ten_splits_are_read(tmp_path: Path) -> None:
    names = list("abcdefg")
    listing = write_list(tmp_path / "list.csv", names)
    # The eleventh is broken, but never checked.
    permutations = [*shuffles(10, 7), [1]]
    found = published_splits.read(
        write_json(tmp_path / "p.json", permutations), listing, videos(*names)
    )
    assert len(found.splits) == 10


def test_matlab_files_of_both_versions(tmp_path: Path) -> None:
    names = [f"{k}_cut_centercrop_960x540_8s.mp4" for k in range(100, 125)]
    index = np.array(shuffles(12, 25), float)
    file = tmp_path / "KoNViD-1kinfo.mat"
    with h5py.File(file, "w", userblock_size=512) as opened:
        references = []
        for k, name in enumerate(names):
            codes = np.array([[ord(letter)] for letter in name], np.uint16)
            name_array = opened.create_dataset(f"#refs#/{k}", data=codes)
            name_array.attrs["MATLAB_class"] = np.bytes_("char")
            references.append(name_array.ref)
        opened["video_names"] = np.array([references], h5py.ref_dtype)
        # HDF5 has MATLAB's axes in reverse.
        opened["index"] = index.T
        opened["scores"] = np.ones((1, 25))
    with file.open("r+b") as head:
        head.write(MAT_7_3_HEAD)
    ours = videos(*(str(k) for k in range(100, 125)))
    found = published_splits.read(file, None, ours)
    assert len(found.splits) == 10
    for split, permutation in zip(found.splits, index.astype(int).tolist(), strict=False):
        assert split.test == tuple(sorted(str(99 + n) for n in permutation[20:]))
        assert split.train == tuple(sorted(str(99 + n) for n in permutation[:16]))
    older = tmp_path / "older.mat"
    scipy.io.savemat(older, {"video_names": cells(names), "index": index})
    assert published_splits.read(older, None, ours) == found
    numbers = {"video_names": np.arange(100.0, 125.0)[:, None], "index": index}
    scipy.io.savemat(older, numbers)
    assert published_splits.read(older, None, ours) == found
    large = 11_000_000_000
    numbers["video_names"] = large + np.arange(25.0)[:, None]
    scipy.io.savemat(older, numbers)
    published_splits.read(older, None, videos(*(str(large + k) for k in range(25))))
    with pytest.raises(ConfigError, match="has its own list"):
        published_splits.read(file, older, ours)
    scipy.io.savemat(older, {"video_names": cells(names[:24]), "index": index})
    with pytest.raises(DataError, match="does not fit its 24 video_names"):
        published_splits.read(older, None, ours)
    scipy.io.savemat(older, {"index": index})
    with pytest.raises(DataError, match=r"older\.mat has no video_names"):
        published_splits.read(older, None, ours)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ('{"permutations": [[1, 2, 3, 4]]}', "split 1 is not a permutation of the list's 5"),
        ('{"permutations": [[1, 2, 3, 4, 5], [1, 1, 3, 4, 5]]}', "split 2 is not a permutation"),
        ('{"permutations": [[0, 1, 2, 3, 4]]}', "split 1 is not a permutation"),
        ('{"permutations": []}', "has no splits"),
        ('{"permutations": [["a"]]}', "is not a JSON file"),
        ('{"splits": []}', "is not a JSON file"),
        ("[]", "is not a JSON file"),
        ("text", "is not a JSON file"),
    ],
)
def test_unsound_files_are_refused(tmp_path: Path, content: str, reason: str) -> None:
    names = list("abcde")
    listing = write_list(tmp_path / "list.csv", names)
    file = tmp_path / "p.json"
    file.write_text(content)
    with pytest.raises(DataError, match=reason) as caught:
        published_splits.read(file, listing, videos(*names))
    assert str(caught.value).startswith(str(file))


def test_unsound_lists_are_refused(tmp_path: Path) -> None:
    file = write_json(tmp_path / "p.json", [[1, 2, 3, 4, 5]])
    with pytest.raises(ConfigError, match="name the CSV list"):
        published_splits.read(file, None, videos(*"abcde"))
    listing = tmp_path / "list.csv"
    with pytest.raises(FileNotFoundError, match=r"list\.csv does not exist"):
        published_splits.read(file, listing, videos(*"abcde"))
    with pytest.raises(FileNotFoundError, match=r"q\.json does not exist"):
        published_splits.read(tmp_path / "q.json", None, videos(*"abcde"))
    listing.write_text("number,video\n1,a\n2,b\n2,c\n")
    with pytest.raises(
        DataError, match="row 4: an earlier row gives the number 2 to another video"
    ):
        published_splits.read(file, listing, videos(*"abcde"))


COMPLETE = [
    pytest.param(
        data_set,
        name,
        marks=pytest.mark.skipif(
            not (LISTS / f"{name}.splits.json").is_file(), reason="needs the complete label files"
        ),
    )
    for data_set, name in SETS.items()
]


@pytest.mark.parametrize(("data_set", "name"), COMPLETE)
def test_complete_lists(data_set: str, name: str) -> None:
    listing = LISTS / f"{name}.csv"
    with listing.open(newline="") as opened:
        rows = [(row["video"], float(row["mos"])) for row in csv.DictReader(opened)]
    ours = labelled(data_set, rows)
    found = published_splits.read(LISTS / f"{name}.splits.json", listing, ours)
    assert (len(found.splits), found.unknown, found.unused) == (10, [], [])
    for split in found.splits:
        assert Counter((*split.train, *split.validation, *split.test)) == Counter(
            video.video_id for video in ours
        )
    num_contents = len({video.reference_id for video in ours})
    num_leaking = splits.count_shared_contents(found.splits, ours)
    # The published splits of these two separate videos of one scene.
    expected = {"cvd2014": (18, 18), "live_qualcomm": (47, 54)}
    assert (num_leaking, num_contents) == expected.get(data_set, (0, len(ours)))
    drawn = splits.make_splits(ours, 10, 0, 0.2, 0.2)
    assert splits.count_shared_contents(drawn, ours) == 0


SCENES = {
    "cvd2014": (
        ("Test1/City/Test01_City_D01.avi", "Test1/City/Test01_City_D02.avi"),
        ("Test2/City/Test02_City_D01.avi", "Test2/City/Test02_City_D02.avi"),
        (
            "Test1/Talking_head/Test01_Talking_Head_D01.avi",
            "Test1/Talking_head/Test01_Talking_Head_D02.avi",
        ),
        ("Test6/Television/Test06_Television_D03.avi",),
    ),
    "live_qualcomm": (
        (
            "Artifacts/0723_ManUnderTree_GS5_03_20150723_130016.yuv",
            "Artifacts/0723_ManUnderTree_Nokia1020_03_WP_20130426_22_12_02_Pro.yuv",
        ),
        (
            "Color/0912_CheerLeader1_Nokia1080_20130306_17_46_21_Pro.yuv",
            "Color/0912_Cheerleader1_GS5_20150912_153429.yuv",
        ),
        (
            "Artifacts/0911nightScene_1020_WindowsPhone_20130305_21_59_44_Pro.yuv",
            "Artifacts/0911nightScene_5s_IMG_0160.yuv",
        ),
        ("Artifacts/1006_DucksAndFish2_GS6_20151006_161642.yuv",),
    ),
}


@pytest.mark.parametrize("data_set", SCENES)
def test_scenes_of_real_names_are_kept_together(data_set: str) -> None:
    scenes = SCENES[data_set]
    ours = labelled(data_set, [(name, 1.0) for scene in scenes for name in scene])
    ids = iter(video.video_id for video in ours)
    grouped = [{next(ids) for _ in scene} for scene in scenes]
    for split in splits.make_splits(ours, 4, 0, 0.2, 0.2):
        subsets = [set(subset) for subset in (split.train, split.validation, split.test)]
        assert all(sum(bool(scene & subset) for subset in subsets) == 1 for scene in grouped)
    # They are different scenes.
    assert len({video.reference_id for video in ours}) == len(scenes)
