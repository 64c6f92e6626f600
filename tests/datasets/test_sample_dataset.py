"""A small sample data set: real ffmpeg, real photographs from installed packages, a few frames."""

import json
import shutil
import subprocess
import sys
from collections import Counter
from dataclasses import replace
from pathlib import Path

import imageio_ffmpeg
import numpy as np
import pytest
from PIL import Image

from a2inet_jax.datasets import registry
from a2inet_jax.datasets.sample import distortions, ffmpeg, sample_dataset_builder, sources
from a2inet_jax.datasets.sample.distortions import DISTORTIONS, Distortion
from a2inet_jax.datasets.sample.prepare import prepare
from a2inet_jax.datasets.sample.recipe import SampleRecipe, draw
from a2inet_jax.datasets.sample.sources import SOURCES, Photo, Shot
from a2inet_jax.errors import ClipError, ConfigError, PackageFileError

BY_NAME = {source.name: source for source in SOURCES}
BY_LABEL = {distortion.label: distortion for distortion in DISTORTIONS}


def small(name: str, frames: int = 6) -> Photo:
    photo = BY_NAME[name]
    assert isinstance(photo, Photo)
    return replace(
        photo, height=128, width=192, start=(320, 210, 2.5), stop=(320, 215, 2.5), frames=frames
    )


TINY = SampleRecipe(
    sources=(small("china"), small("flower", frames=5)),
    distortions=(BY_LABEL["h264_5"], BY_LABEL["noise_2"], BY_LABEL["loss_4"]),
    number=2,
)


def silent(video_id: str, done: int, total: int) -> None:
    pass


def clip_files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted((folder / "clips").iterdir())}


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return prepare(tmp_path_factory.mktemp("data"), 2, silent, TINY)


def test_clips_labels_and_index_agree(tiny: Path) -> None:
    videos = sample_dataset_builder.read(tiny)
    assert [video.video_id for video in videos] == sorted(c.video_id for c in TINY.clips())
    assert Counter(video.reference_id for video in videos) == {"china": 3, "flower": 3}
    for video in videos:
        record = json.loads(video.path.with_suffix(".json").read_text())
        assert video.mos == pytest.approx(record["mos"], rel=1e-6)
        assert video.distortion == record["distortion"]
        assert (record["height"], record["width"]) == (128, 192)
        assert record["frames"] == {"china": 6, "flower": 5}[video.reference_id]
        if record["distortion"] == "pristine":
            assert video.mos > 90
        else:
            assert 0 <= video.mos < 90


def test_one_worker_makes_the_same_bytes_as_two(tiny: Path, tmp_path: Path) -> None:
    assert clip_files(prepare(tmp_path, 1, silent, TINY)) == clip_files(tiny)


def test_a_killed_job_is_resumed(tiny: Path, tmp_path: Path) -> None:
    half = tmp_path / "sample" / tiny.name
    shutil.copytree(tiny / "clips", half / "clips")
    clips = half / "clips"
    names = [clip.video_id for clip in TINY.clips()]
    # As after a kill between a clip and its label, before a clip, and during a clip.
    (clips / f"{names[0]}.json").unlink()
    (clips / f"{names[4]}.mp4").unlink()
    with (clips / f"{names[5]}.mp4").open("r+b") as file:
        file.truncate(100)
    (clips / f".{names[5]}.part1.mp4").write_bytes(b"partial")
    kept = {name: (clips / f"{name}.mp4").stat().st_mtime_ns for name in names[1:4]}
    progress: list[tuple[str, int, int]] = []
    assert prepare(tmp_path, 2, lambda *args: progress.append(args), TINY) == half
    assert clip_files(half) == clip_files(tiny)
    assert progress[0] == ("", 3, 6)
    assert {name for name, _, _ in progress[1:]} == {names[0], names[4], names[5]}
    assert progress[-1][1:] == (6, 6)
    assert kept == {name: (clips / f"{name}.mp4").stat().st_mtime_ns for name in kept}
    assert len(sample_dataset_builder.read(half)) == 6


def test_a_complete_data_set_is_not_touched(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("ffmpeg was started")

    monkeypatch.setattr(subprocess, "run", refuse)
    progress: list[tuple[str, int, int]] = []
    assert prepare(tiny.parents[1], 2, lambda *args: progress.append(args), TINY) == tiny
    assert progress == [("", 6, 6)]


def test_an_error_names_the_clip_and_ends_with_the_lines_of_ffmpeg(tmp_path: Path) -> None:
    bad = Distortion("bad", 1, 50.0, filters="no_such_filter=3")
    recipe = SampleRecipe((small("china"),), (bad,), number=1)
    with pytest.raises(ClipError, match=r"(?s)china__bad_1: .*no_such_filter"):
        prepare(tmp_path, 1, silent, recipe)
    (folder,) = (tmp_path / "sample").iterdir()
    assert sorted(clip_files(folder)) == ["china__pristine.json", "china__pristine.mp4"]
    with pytest.raises(FileNotFoundError, match="a2inet data prepare sample"):
        sample_dataset_builder.read(folder)


def test_a_missing_clip_is_reported(tiny: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(tiny, copy)
    (copy / "clips" / "china__pristine.mp4").unlink()
    with pytest.raises(FileNotFoundError, match=r"china__pristine\.mp4 is missing"):
        sample_dataset_builder.read(copy)


@pytest.mark.parametrize("kind", sorted({d.name for d in DISTORTIONS}))
def test_stronger_distortions_have_lower_labels(kind: str, tiny: Path, tmp_path: Path) -> None:
    grades = [d for d in DISTORTIONS if d.name == kind]
    pristine = tiny / "clips" / "china__pristine.mp4"
    labels = []
    for distortion in (grades[0], grades[-1]):
        output = tmp_path / f"{distortion.label}.mp4"
        args = (distortion, (128, 192), 5, pristine, tmp_path, output)
        distortions.make_distorted(*args)
        label, frames = ffmpeg.vmaf(output, pristine, tmp_path)
        assert frames == 6
        labels.append(label)
    assert labels[0] > labels[1] + 5


def test_a_shot_is_cut_to_the_frame(tmp_path: Path) -> None:
    # Frame n has the grey value 25 n.
    grey = np.repeat(np.arange(0, 250, 25, dtype=np.uint8), 48 * 64)
    raw = ["-f", "rawvideo", "-pix_fmt", "gray", "-s", "64x48", "-i", "pipe:0"]
    film = tmp_path / "film.mkv"
    ffmpeg.convert(raw, "", ("-c:v", "ffv1"), film, grey.tobytes())
    shot = Shot("shot", sources.File("none", "film.mkv", ""), 24, 32, 3, 7)
    sources.make_pristine(shot, film, tmp_path / "shot.mp4")
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-i", str(tmp_path / "shot.mp4")]
    command += ["-f", "rawvideo", "-pix_fmt", "gray", "-"]
    decoded = subprocess.run(command, capture_output=True, check=True).stdout
    grey_T = np.frombuffer(decoded, np.uint8).reshape(-1, 24, 32).mean(axis=(1, 2))
    np.testing.assert_allclose(grey_T, [75, 100, 125, 150], atol=3)
    assert shot.frames == 4


def test_the_first_slice_of_every_picture_is_kept() -> None:
    start = b"\x00\x00\x01"
    # A parameter set, a later slice of an IDR picture, then slices of other pictures.
    header, idr = b"\x67abc", b"\x65\x20rest"
    first, later = b"\x41\x9afirst", b"\x41\x2alater"
    stream = start.join([b"\x00", header, idr, first, later, later, first, later])
    kept = start.join([b"\x00", header, idr, first, first])
    rng = np.random.default_rng(0)
    assert distortions.drop_slices(stream, 1.0, rng) == kept
    assert distortions.drop_slices(stream, 0.0, rng) == stream


def test_the_full_recipe_covers_vmaf_evenly() -> None:
    recipe = SampleRecipe()
    clips = recipe.clips()
    assert len({clip.video_id for clip in clips}) == len(clips) == 23 * 15
    used = Counter(clip.distortion.label for clip in clips if clip.distortion)
    assert set(used) == {d.label for d in DISTORTIONS}
    for name in BY_NAME:
        vmaf = sorted(c.distortion.vmaf for c in clips if c.source.name == name and c.distortion)
        assert len(vmaf) == 14
        assert np.diff(vmaf).max() <= 18
        assert vmaf[0] < 20
        assert vmaf[-1] > 88
    assert recipe.clips() == clips
    assert replace(recipe, seed=1).clips() != clips
    with pytest.raises(ValueError, match="cannot draw 4"):
        draw(TINY.distortions, 1, 4, 0)


def test_the_fingerprint_depends_on_the_whole_recipe(monkeypatch: pytest.MonkeyPatch) -> None:
    other = [replace(TINY, seed=1), replace(TINY, number=1), replace(TINY, sources=SOURCES[:2])]
    other.append(
        replace(TINY, distortions=(*TINY.distortions[:2], replace(BY_LABEL["loss_4"], lost=0.2)))
    )
    fingerprints = {recipe.fingerprint() for recipe in (TINY, *other)}
    monkeypatch.setattr(ffmpeg, "version", lambda: "another")
    assert len(fingerprints | {TINY.fingerprint()}) == 6
    assert TINY.fingerprint() not in fingerprints


def test_the_fingerprint_is_the_same_as_in_earlier_versions(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Otherwise all clips would be made again; change it only together with the clips."""
    monkeypatch.setattr(ffmpeg, "version", lambda: "7.0")
    assert SampleRecipe().fingerprint() == "d370be862c46"


@pytest.mark.parametrize(
    "photo", [s for s in SOURCES if isinstance(s, Photo)], ids=lambda p: p.name
)
def test_the_camera_moves_slowly_and_never_enlarges(photo: Photo) -> None:
    boxes = sources.windows(photo)
    assert boxes.shape == (sources.FRAMES, 4)
    assert photo.height % 2 == photo.width % 2 == 0
    scale = (boxes[:, 2] - boxes[:, 0]) / photo.width
    assert scale.min() >= 1.0
    np.testing.assert_allclose((boxes[:, 3] - boxes[:, 1]) / photo.height, scale)
    moves = np.abs(np.diff(boxes, axis=0)).max(axis=1) / scale[1:]
    assert 0.5 < moves.max() < 8.0
    if "==" not in photo.file.package:
        with Image.open(sources.locate([photo])[photo.file]) as picture:
            width, height = picture.size
        assert boxes[:, :2].min() >= 0
        assert boxes[:, 2].max() <= width
        assert boxes[:, 3].max() <= height


def test_another_picture_in_an_installed_package_is_refused() -> None:
    photo = small("china")
    changed = replace(photo, file=replace(photo.file, sha256="0" * 64))
    with pytest.raises(PackageFileError, match=r"china\.jpg"):
        sources.locate([changed])


@pytest.mark.slow
@pytest.mark.network
def test_every_source_makes_a_pristine_clip(tmp_path: Path) -> None:
    files = sources.locate(SOURCES)
    for source in SOURCES:
        output = tmp_path / f"{source.name}.mp4"
        sources.make_pristine(source, files[source.file], output)
        label, frames = ffmpeg.vmaf(output, output, tmp_path)
        assert (frames, label > 95) == (sources.FRAMES, True)


def test_unknown_names_and_missing_data_sets(tmp_path: Path) -> None:
    for call in (
        lambda: registry.load("no_set", tmp_path),
        lambda: registry.prepare("no_set", tmp_path, silent),
        lambda: registry.info("no_set"),
    ):
        with pytest.raises(ConfigError, match="no_set"):
            call()
    with pytest.raises(FileNotFoundError, match="a2inet data prepare sample"):
        registry.load("sample", tmp_path)
    assert registry.info("sample").label == "VMAF"
    assert "no person" in registry.info("sample").note


def test_importing_the_registry_does_not_import_tfds() -> None:
    code = (
        "import sys, a2inet_jax.datasets.registry; sys.exit('tensorflow_datasets' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
