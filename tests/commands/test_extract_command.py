import csv
import itertools
from pathlib import Path

import numpy as np
import pytest

from a2inet_jax.config import Experiment
from a2inet_jax.features.extractor import Extractor
from a2inet_jax.features.store import Store, open_stores
from a2inet_jax.pipeline import extract
from tests.clips import Clips, run_ffmpeg
from tests.extraction_inputs import extractor, network, pair
from tests.ray_inputs import content

GOOD = ("h264.mp4", "black.mp4", "gray.mp4", "one_frame.mp4", "two_frames.mp4")


@pytest.fixture(autouse=True)
def small_networks(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(extract, "open_extractor", lambda *_: extractor())
    monkeypatch.setenv("A2INET_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(extract.jax.config, "update", lambda *_: None)


@pytest.fixture
def folder(tmp_path_factory: pytest.TempPathFactory, tmp_path: Path) -> Path:
    clips = Clips(tmp_path_factory.getbasetemp() / "clips")
    (tmp_path / "videos").mkdir()
    for name in GOOD:
        (tmp_path / "videos" / name).symlink_to(clips[name])
    return tmp_path / "videos"


def config() -> Experiment:
    return Experiment()


def stores(out: Path) -> list[Store]:
    return list(open_stores(out, extractor().recipes).values())


def ids(out: Path) -> list[str]:
    """Return the videos in the stores of both networks."""
    quality, semantic = ([each.video_id for each in store.manifest()] for store in stores(out))
    assert quality == semantic
    return quality


def listings(out: Path, name: str = "failures.csv") -> list[Path]:
    return [store.folder / name for store in stores(out)]


def test_shards_together_are_the_whole(folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    parts: list[list[str]] = []
    for shard in range(3):
        assert extract.extract(config(), [folder], out, (shard, 3)) == 0
        parts.append(sorted(set(ids(out)).difference(*parts)))
    assert sorted(itertools.chain(*parts)) == sorted(GOOD)
    assert sum(bool(part) for part in parts) > 1
    # A video is in the same shard whatever is beside it.
    (folder / "gray.mp4").unlink()
    again = tmp_path / "again"
    for shard in range(3):
        before = set(ids(again))
        extract.extract(config(), [folder], again, (shard, 3))
        assert sorted(set(ids(again)) - before) == sorted(set(parts[shard]) - {"gray.mp4"})
    assert extract.extract(config(), [folder], tmp_path / "whole") == 0
    assert len(content(out)) == 2 * len(GOOD)
    assert content(tmp_path / "whole").items() < content(out).items()


def test_what_failed_is_listed_until_it_is_mended(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    bad = folder / "bad, worse.mp4"
    bad.write_text("not a video")
    assert extract.extract(config(), [folder], out) == 1
    shown = capsys.readouterr().out
    assert f"failed: {bad}: cannot be decoded: no video stream" in shown
    assert (
        f"1 of 6 videos have no features; listed in {' and '.join(map(str, listings(out)))}"
        in shown
    )
    assert "Repair or replace these files, and run the same command again." in shown
    assert "allow_missing" not in shown  # they are of no data set
    assert "5 videos, 63 frames" in shown
    for path in listings(out):
        with path.open(newline="") as file:
            rows = list(csv.DictReader(file))
        assert [(row["video"], row["path"]) for row in rows] == [("bad, worse.mp4", str(bad))]
        assert rows[0]["reason"].startswith("cannot be decoded: no video stream")
    # A shard has a list of its own.
    codes = [extract.extract(config(), [folder], out, (shard, 6)) for shard in range(6)]
    assert sum(codes) == 1
    assert all(path.exists() for path in listings(out, f"failures-{codes.index(1)}-of-6.csv"))
    bad.write_bytes((folder / "h264.mp4").read_bytes())
    assert extract.extract(config(), [folder], out) == 0
    assert not any(path.exists() for path in listings(out))
    assert len(ids(out)) == 6


def test_a_list_of_raw_videos(folder: Path, tmp_path: Path) -> None:
    frames = run_ffmpeg(
        *("-i", str(folder / "h264.mp4"), "-pix_fmt", "yuv420p", "-f", "rawvideo", "-")
    )
    (folder / "frames.yuv").write_bytes(frames)
    listing = folder / "list.csv"
    listing.write_text("path,width,height,frame_rate\nh264.mp4,,,\nframes.yuv,128,80,25\n")
    out = tmp_path / "out"
    assert extract.extract(config(), [listing], out) == 0
    for store in stores(out):
        coded, raw = store.read("h264.mp4"), store.read("frames.yuv")
        np.testing.assert_array_equal(raw.features, coded.features)
        np.testing.assert_allclose(raw.timestamps, coded.timestamps)


def test_each_store_lists_what_it_lacks(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A network that takes no small frames does not keep the other's features from being there."""
    out, (quality, semantic) = tmp_path / "out", stores(tmp_path / "out")
    assert extract.extract(config(), [folder], out) == 0
    for path in semantic.folder.iterdir():
        path.unlink()
    demanding = network("semantic", 6, min_side=100)
    monkeypatch.setattr(extract, "open_extractor", lambda *_: Extractor(pair(semantic=demanding)))
    assert extract.extract(config(), [folder], out) == 1
    assert [path.exists() for path in listings(out)] == [False, True]
    assert len(quality.manifest()) == len(GOOD)


def test_videos_of_ones_own_need_a_store_and_the_reverse(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="--out=FOLDER"):
        extract.extract(config(), [folder])
    with pytest.raises(ValueError, match="--out=FOLDER"):
        extract.extract(config(), out=tmp_path)


def test_two_folders_with_the_same_names_are_refused(folder: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    (other / "h264.mp4").touch()
    with pytest.raises(ValueError, match=r"both called 'h264.mp4'"):
        extract.extract(config(), [folder, other], tmp_path / "out")


def test_names_of_every_kind(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A store takes every name that a file system takes; others are listed as failures."""
    video = (folder / "one_frame.mp4").read_bytes()
    odd = tmp_path / "odd [red]"
    odd.mkdir()
    names = [
        "视频" * 30 + ".mp4",
        "a" * 250 + ".mp4",
        "a" * 250 + "b.mp4",
        "[bold] %20.mp4",
        "\udcff.mp4",
    ]
    for name in names:
        (odd / name).write_bytes(video)
    out = tmp_path / "[out]"
    assert extract.extract(config(), [odd], out) == 1
    # The decoder can't open what is no UTF-8.
    assert f"failed: {odd}/\\udcff.mp4" in capsys.readouterr().out
    assert ids(out) == sorted(names[:-1])
    listing = tmp_path / "list.csv"
    listing.write_text(f"path\n{'x' * 5000}.mp4\nnul\0.mp4\nvideos/h264.mp4\n")
    assert extract.extract(config(), [listing], out) == 1
    with listings(out)[0].open(newline="") as file:
        reasons = [row["reason"] for row in csv.DictReader(line.replace("\0", "") for line in file)]
    assert len(reasons) == 2
    assert "videos/h264.mp4" in ids(out)


def test_another_raw_format_is_another_video(folder: Path, tmp_path: Path) -> None:
    (folder / "frames.yuv").write_bytes(np.random.default_rng(0).bytes(64 * 48 * 3))
    listing, out = folder / "list.csv", tmp_path / "out"
    found = []
    for size in ("64,48", "48,64"):
        listing.write_text(f"path,width,height\nframes.yuv,{size}\n")
        assert extract.extract(config(), [listing], out) == 0
        found.append(stores(out)[0].read("frames.yuv").features)
    assert not np.array_equal(found[0], found[1])


def test_a_complete_store_needs_no_writing(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert extract.extract(config(), [folder], tmp_path / "out") == 0

    def refuse(*_: object, **__: object) -> None:
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr(Path, "unlink", refuse)
    monkeypatch.setattr(Path, "open", refuse)
    assert extract.extract(config(), [folder], tmp_path / "out") == 0
