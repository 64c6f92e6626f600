"""Splits: disjoint in content, reproducible, and checked when they are read."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from a2inet_jax.datasets import splits
from a2inet_jax.datasets.video import Video
from a2inet_jax.errors import ConfigError, DataError

# Digest of ten splits of 23 contents, of which a fifth is for testing, as in the sample data set.
DIGEST = "5c46a5e633915b2eb71f88c20d1e389426cea22badb455fdfafc6d8fd864fb26"


def make_videos(sizes: list[int]) -> list[Video]:
    return [
        Video(f"{c}-{k}", Path(f"{c}-{k}.mp4"), 50.0, f"content {c}")
        for c, size in enumerate(sizes)
        for k in range(size)
    ]


@given(
    st.lists(st.integers(1, 4), min_size=4, max_size=12),
    st.integers(0, 2**31),
    st.sampled_from([0.0, 0.2, 0.4]),
)
def test_every_video_is_in_one_subset_and_no_content_in_two(
    sizes: list[int], seed: int, validation: float
) -> None:
    videos = make_videos(sizes)
    content = {video.video_id: video.reference_id for video in videos}
    for split in splits.make_splits(videos, 3, seed, 0.2, validation):
        subsets = (split.train, split.validation, split.test)
        assert sorted(sum(subsets, ())) == sorted(content)
        contents = [{content[name] for name in subset} for subset in subsets]
        assert sum(len(each) for each in contents) == len(sizes)
        assert len(contents[2]) == max(1, round(0.2 * len(sizes)))
        assert bool(contents[1]) == bool(validation)


def test_splits_depend_only_on_contents_and_seed() -> None:
    videos = make_videos([3] * 10)
    first = splits.make_splits(videos, 4, 7, 0.2, 0.2)
    assert splits.make_splits(videos[::-1], 4, 7, 0.2, 0.2) == first
    assert splits.make_splits(videos, 4, 8, 0.2, 0.2) != first
    assert len(set(first)) == 4
    assert splits.make_splits(videos, 2, 7, 0.2, 0.2) == first[:2]


def test_impossible_splits_are_refused() -> None:
    videos = make_videos([2, 2])
    with pytest.raises(DataError, match="2 contents are too few"):
        splits.make_splits(videos, 1, 0, 0.5, 0.5)
    with pytest.raises(DataError, match="occur more than once, such as '0-0'"):
        splits.make_splits([*videos, videos[0]], 1, 0, 0.5, 0.0)
    with pytest.raises(ConfigError, match="fractions"):
        splits.make_splits(videos, 1, 0, 1.5, 0.0)


def test_a_file_is_read_back_and_checked(tmp_path: Path) -> None:
    made = splits.make_splits(make_videos([3] * 10), 2, 0, 0.2, 0.2)
    path = tmp_path / "splits.json"
    splits.save(made, path)
    assert splits.read(path) == made
    content = json.loads(path.read_text())
    content["splits"][0]["train"].append(content["splits"][0]["test"][0])
    path.write_text(json.dumps(content))
    with pytest.raises(DataError, match="was changed"):
        splits.read(path)
    path.write_text(path.read_text()[:50])
    with pytest.raises(DataError, match="is not a splits file"):
        splits.read(path)
    with pytest.raises(FileNotFoundError, match="a2inet train"):
        splits.read(tmp_path / "none.json")
    one = splits.Split(("a", "b"), (), ("b",))
    splits.save([one], path)
    with pytest.raises(DataError, match=r"a video in two subsets.*'b'"):
        splits.read(path)


def test_more_splits_than_different_test_sets_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"10 splits of 3 contents, 1 of them .* only 3 such"):
        splits.make_splits(make_videos([4] * 3), 10, 0, 0.2, 0.2)
    with pytest.raises(ConfigError, match=r"11 splits of 5 contents, 2 of them .* only 10 such"):
        splits.make_splits(make_videos([3] * 5), 11, 0, 0.4, 0.2)
    with pytest.raises(ConfigError, match="num_splits is 0: take at least 1"):
        splits.make_splits(make_videos([3] * 3), 0, 0, 0.2, 0.2)


@pytest.mark.parametrize("seed", range(5))
def test_no_two_splits_test_on_the_same_contents(seed: int) -> None:
    videos = make_videos([2] * 5)
    # There are exactly ten test sets.
    drawn = splits.make_splits(videos, 10, seed, 0.4, 0.2)
    assert len({split.test for split in drawn}) == 10
    assert splits.make_splits(videos[::-1], 10, seed, 0.4, 0.2) == drawn
    assert splits.make_splits(videos, 6, seed, 0.4, 0.2) == drawn[:6]


def test_splits_are_the_same_as_in_earlier_versions() -> None:
    """Unless a test set was drawn twice, runs of earlier versions keep their splits."""
    drawn = splits.make_splits(make_videos([12] * 23), 10, 0, 0.2, 0.0)
    assert splits.digest(drawn) == DIGEST


def test_test_sets_need_two_different_labels() -> None:
    videos = [replace(video, mos=1.0 * n) for n, video in enumerate(make_videos([1] * 6))]
    good = splits.Split(("0-0", "1-0"), (), ("2-0", "3-0"))
    one = splits.Split(("0-0", "1-0"), (), ("2-0",))
    splits.check_test_sets([good], videos)
    with pytest.raises(
        DataError, match=r"split 1 has 1 of 6 videos, which show 6 contents, to test on: "
    ):
        splits.check_test_sets([good, one], videos)
    with pytest.raises(DataError, match=r"split 0 has 2 of 6 .*, all with the same label: "):
        splits.check_test_sets([good], make_videos([1] * 6))


def train_and_test(train: list[int], test: int) -> list[Video]:
    tested = [Video(f"t{k}", Path("t.mp4"), 1.0, f"t{k}", subset="test") for k in range(test)]
    return tested + [replace(video, subset="train") for video in make_videos(train)]


def test_the_split_of_the_data_set_is_kept(tmp_path: Path) -> None:
    videos = train_and_test([2] * 20, 7)
    split = splits.own_split(videos, 3, 0.1)
    assert split.test == tuple(f"t{k}" for k in range(7))
    assert len(split.validation) == 4
    trained = {video.video_id for video in videos if video.subset == "train"}
    assert {*split.train, *split.validation} == trained
    assert len(split.train) == 36
    assert splits.count_shared_contents([split], videos) == 0
    assert splits.own_split(videos[::-1], 3, 0.1) == split
    assert splits.own_split(videos, 4, 0.1).validation != split.validation
    assert splits.own_split(videos, 3, 0.0).validation == ()
    assert splits.own_split(videos, 3, 1e-9).validation != ()
    splits.save([split], tmp_path / "splits.json")
    assert splits.read(tmp_path / "splits.json") == [split]


def test_impossible_own_splits_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"no split of its own.*6 in none.*splits\.kind=content"):
        splits.own_split(make_videos([2] * 3), 0, 0.1)
    with pytest.raises(ConfigError, match="it has 7 in 'test'"):
        splits.own_split(train_and_test([], 7), 0, 0.1)
    with pytest.raises(ConfigError, match="no videos"):
        splits.own_split([], 0, 0.1)
    with pytest.raises(DataError, match="1 contents to train on are too few"):
        splits.own_split(train_and_test([5], 2), 0, 0.1)
    with pytest.raises(ConfigError, match="fraction"):
        splits.own_split(train_and_test([5, 5], 2), 0, 1.0)
    with pytest.raises(DataError, match="more than once"):
        splits.own_split(train_and_test([2, 2], 2) * 2, 0, 0.1)


def test_contents_in_two_subsets_are_counted() -> None:
    videos = make_videos([3, 3, 1])
    apart = splits.Split(("0-0", "0-1", "0-2"), ("1-0", "1-1", "1-2"), ("2-0",))
    one = splits.Split(("0-0", "0-1"), ("1-0", "1-1", "1-2"), ("2-0", "0-2"))
    two = splits.Split(("0-0", "1-0"), ("0-1", "1-1"), ("2-0", "0-2", "unknown"))
    assert [splits.count_shared_contents(each, videos) for each in ([apart], [one], [two])] == [
        0,
        1,
        2,
    ]
    assert splits.count_shared_contents([one, two, apart], videos) == 2


def test_splits_with_unknown_videos_are_refused_or_restricted() -> None:
    videos = make_videos([2] * 10)
    made = splits.make_splits(videos, 3, 0, 0.2, 0.2)
    splits.check_known(made, videos)
    gone = videos[0]
    with pytest.raises(DataError, match=r"1 of 20 videos of the splits .*: 0-0") as caught:
        splits.check_known(made, videos[1:])
    assert "..." not in str(caught.value)
    left = splits.restrict(made, videos[1:])
    splits.check_known(left, videos[1:])
    for before, after in zip(made, left, strict=True):
        for name in ("train", "validation", "test"):
            kept = tuple(v for v in getattr(before, name) if v != gone.video_id)
            assert getattr(after, name) == kept
    assert splits.restrict(made, videos) == made


@pytest.mark.parametrize("gone", ["0-0", "1-0", "2-0"])
def test_no_subset_may_become_empty(gone: str) -> None:
    whole = splits.Split(("3-0",), ("3-1",), ("3-2",))
    thin = splits.Split(("0-0",), ("1-0",), ("2-0",))
    left = [video for video in make_videos([1, 1, 1, 3]) if video.video_id != gone]
    with pytest.raises(DataError, match="split 1: all videos of a subset"):
        splits.restrict([whole, thin], left)


def test_an_empty_validation_set_may_stay_empty() -> None:
    split = splits.Split(("0-0", "0-1"), (), ("1-0",))
    (left,) = splits.restrict([split], make_videos([1, 1]))
    assert left == splits.Split(("0-0",), (), ("1-0",))
