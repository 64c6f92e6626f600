"""Splits: disjoint in content, reproducible, checked when they are read."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from a2inet_jax.datasets import splits
from a2inet_jax.datasets.video import Video


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
def test_every_video_is_in_one_part_and_no_content_in_two(
    sizes: list[int], seed: int, validation: float
) -> None:
    videos = make_videos(sizes)
    content = {video.video_id: video.reference_id for video in videos}
    for split in splits.make_splits(videos, 3, seed, 0.2, validation):
        parts = (split.train, split.validation, split.test)
        assert sorted(sum(parts, ())) == sorted(content)
        contents = [{content[name] for name in part} for part in parts]
        assert sum(len(each) for each in contents) == len(sizes)
        assert len(contents[2]) == max(1, round(0.2 * len(sizes)))
        assert bool(contents[1]) == bool(validation)


def test_the_seed_alone_decides() -> None:
    videos = make_videos([3] * 10)
    first = splits.make_splits(videos, 4, 7, 0.2, 0.2)
    assert splits.make_splits(videos[::-1], 4, 7, 0.2, 0.2) == first
    assert splits.make_splits(videos, 4, 8, 0.2, 0.2) != first
    assert len(set(first)) == 4
    assert splits.make_splits(videos, 2, 7, 0.2, 0.2) == first[:2]


def test_impossible_wishes_are_refused() -> None:
    videos = make_videos([2, 2])
    with pytest.raises(ValueError, match="2 contents are too few"):
        splits.make_splits(videos, 1, 0, 0.5, 0.5)
    with pytest.raises(ValueError, match="occur more than once, such as '0-0'"):
        splits.make_splits([*videos, videos[0]], 1, 0, 0.5, 0.0)
    with pytest.raises(ValueError, match="fractions"):
        splits.make_splits(videos, 1, 0, 1.5, 0.0)


def test_a_file_is_read_back_and_checked(tmp_path: Path) -> None:
    made = splits.make_splits(make_videos([3] * 10), 2, 0, 0.2, 0.2)
    path = tmp_path / "splits.json"
    splits.save(made, path)
    assert splits.read(path) == made
    content = json.loads(path.read_text())
    content["splits"][0]["train"].append(content["splits"][0]["test"][0])
    path.write_text(json.dumps(content))
    with pytest.raises(ValueError, match="was changed"):
        splits.read(path)
    path.write_text(path.read_text()[:50])
    with pytest.raises(ValueError, match="is no file of splits"):
        splits.read(path)
    with pytest.raises(FileNotFoundError, match="a2inet train"):
        splits.read(tmp_path / "none.json")
    one = splits.Split(("a", "b"), (), ("b",))
    splits.save([one], path)
    with pytest.raises(ValueError, match=r"a video in two parts.*'b'"):
        splits.read(path)
