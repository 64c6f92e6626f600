"""Data sets by name: built-in and custom ones, missing videos, and the keys of feature stores."""

from collections.abc import Callable
from pathlib import Path

import pytest

from a2inet_jax.datasets import registry
from a2inet_jax.datasets.video import Video
from a2inet_jax.errors import ConfigError
from tests import dataset_inputs


def silent(video_id: str, done: int, total: int) -> None:
    pass


@pytest.fixture
def listing(tmp_path: Path) -> Path:
    for name in "abc":
        (tmp_path / f"{name}.mp4").touch()
    path = tmp_path / "mine.csv"
    path.write_text("path,mos\nc.mp4,3\na.mp4,1\nb.mp4,2\n")
    return path


def test_names_of_all_built_in_data_sets() -> None:
    paper = {"cvd2014", "konvid_1k", "live_qualcomm", "live_vqc", "lsvq", "youtube_ugc"}
    assert set(registry.NAMES) == {*paper, "lsvq_1080p", "sample"}
    assert registry.info("konvid_1k").title == "KoNViD-1k"
    assert registry.info("live_qualcomm").label == "MOS"
    assert registry.info("lsvq_1080p").note
    assert all(registry.info(name).homepage for name in paper)
    assert [registry.slug(name) for name in registry.NAMES] == list(registry.NAMES)


def test_a_custom_data_set_is_named_by_its_path(
    listing: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    videos = registry.load(str(listing), tmp_path)
    assert [video.video_id for video in videos] == ["a.mp4", "b.mp4", "c.mp4"]
    assert registry.load(str(tmp_path), tmp_path) == videos
    info = registry.info(str(listing))
    assert (info.title, info.label, info.note) == (str(listing), "MOS", "")
    monkeypatch.chdir(tmp_path)
    assert registry.load("mine.csv", tmp_path) == registry.load("./mine.csv", tmp_path)
    assert registry.version("mine.csv") == registry.version(str(listing))


@pytest.mark.parametrize("function", [registry.info, registry.slug, registry.version])
def test_unknown_names_are_refused(function: Callable[[str], object]) -> None:
    with pytest.raises(ConfigError, match=r"no data set 'konvid'.*konvid_1k, .*sample") as caught:
        function("konvid")
    assert "CSV file" in str(caught.value)


@pytest.mark.parametrize(
    ("name", "slug"),
    [
        ("/data/my set/phones v2.csv", "phones_v2"),
        ("/data/my set", "my_set"),
        ("/data/my set/labels.csv", "my_set"),
        ("/data/clips.v2/", "clips.v2"),
        ("/data/.hidden.CSV", "hidden"),
        ("/data/sample.csv", "sample-own"),
        ("/data/Größe.csv", "Größe"),
        ("/", "own"),
    ],
)
def test_slugs_are_valid_file_names(name: str, slug: str) -> None:
    assert registry.slug(name) == slug


def test_titles_of_custom_data_sets_are_no_built_in_titles(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "KoNViD-1k").mkdir()
    names = ("KoNViD-1k", "./KoNViD-1k", "x/labels.csv", "y/labels.csv", "labels.csv")
    titles = [registry.info(name).title for name in names]
    assert titles == ["KoNViD-1k/", *names[1:]]
    assert not {registry.info(name).title for name in registry.NAMES} & set(titles)
    with pytest.raises(ConfigError, match="no data set ''"):
        registry.info("")


def test_custom_data_sets_have_different_versions() -> None:
    assert registry.version("/a/mine.csv") != registry.version("/b/mine.csv")
    assert registry.version("/a/labels.csv") == registry.version("/a") != registry.version("/b")
    assert registry.version("/a/../a/mine.csv") == registry.version("/a/mine.csv")


def test_file_names_are_unique() -> None:
    assert [registry.unique_slug(name) for name in registry.NAMES] == list(registry.NAMES)
    one, other = (registry.unique_slug(f"/{folder}/a") for folder in "xy")
    assert one != other
    assert one == f"a-{registry.version('/x/a')}" == registry.unique_slug("/x/a/labels.csv")


def test_missing_videos_are_reported(listing: Path, tmp_path: Path) -> None:
    (tmp_path / "b.mp4").unlink()
    with pytest.raises(FileNotFoundError, match=r"1 of 3 videos of .*: .*b\.mp4\. ") as caught:
        registry.load(str(listing), tmp_path)
    assert f"a2inet data verify {listing}" in str(caught.value)
    assert "--config.data.allow_missing=True" in str(caught.value)
    videos = registry.load(str(listing), tmp_path, allow_missing=True)
    assert [video.video_id for video in videos] == ["a.mp4", "c.mp4"]
    assert len(registry.list_videos(str(listing), tmp_path)) == 3
    assert registry.prepare(str(listing), tmp_path, silent) == [tmp_path / "b.mp4"]
    for name in "ac":
        (tmp_path / f"{name}.mp4").unlink()
    with pytest.raises(FileNotFoundError, match="3 of 3"):
        registry.load(str(listing), tmp_path, allow_missing=True)


def test_a_published_data_set_from_its_folder(tmp_path: Path) -> None:
    data, manual = tmp_path / "data", tmp_path / "data" / "manual" / "live_vqc"
    with pytest.raises(FileNotFoundError, match="a2inet data prepare live_vqc"):
        registry.load("live_vqc", data)
    with pytest.raises(ConfigError, match="manual_dir"):
        registry.prepare("live_vqc", data, silent)
    rows = dataset_inputs.excerpt("live_vqc")
    clip = dataset_inputs.tiny_video(tmp_path / "clip.mp4")
    names = [name for name, _ in rows]
    manual.mkdir(parents=True)
    dataset_inputs.live_vqc_mat(manual / "data.mat", rows)
    dataset_inputs.under_names(clip, manual / "Video", names[1:])
    progress: list[tuple[str, int, int]] = []
    (missing,) = registry.prepare("live_vqc", data, lambda *args: progress.append(args))
    assert missing.name == names[0]
    assert progress[-1][1] == progress[-1][2] > 0
    with pytest.raises(FileNotFoundError, match=rf"1 of {len(rows)} videos of live_vqc"):
        registry.load("live_vqc", data)
    videos = registry.load("live_vqc", data, allow_missing=True)
    assert [(video.path.name, video.mos) for video in videos] == sorted(rows[1:])
    assert [type(video) for video in videos] == [Video] * (len(rows) - 1)
    assert registry.list_unlabelled("live_vqc", data) == []
    dataset_inputs.under_names(clip, tmp_path / "elsewhere", names)
    dataset_inputs.live_vqc_mat(tmp_path / "elsewhere" / "data.mat", rows)
    assert registry.prepare("live_vqc", data, silent, tmp_path / "elsewhere") == []
    assert all(v.path.parent == tmp_path / "elsewhere" for v in registry.load("live_vqc", data))
    assert registry.version("live_vqc") == registry.version("konvid_1k")
