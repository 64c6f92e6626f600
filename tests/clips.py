"""Small video files, good and bad, made with the bundled ffmpeg when a test first needs them."""

import random
import subprocess
from pathlib import Path

import imageio_ffmpeg
import numpy as np

_TEST = ["-f", "lavfi", "-i", "testsrc2=s=128x80:r=25:d=1"]
# testsrc2 has even sides only.
_ODD = ["-f", "lavfi", "-i", "testsrc2=s=98x66:r=25:d=1", "-vf"]
_ODD_FILTER = "format=yuv444p,crop=97:65:0:0:exact=1,format="
_H264 = ["-c:v", "libx264", "-pix_fmt", "yuv420p", "-g", "12"]
_X265 = ["-c:v", "libx265", "-x265-params", "log-level=none"]
_FASTSTART = [*_H264, "-movflags", "+faststart"]
_TONE = ["-f", "lavfi", "-i", "sine=d=1"]


def _colour_filter(tag: str, matrix: str) -> str:
    return f"scale=out_color_matrix={matrix}:out_range=tv,setparams=colorspace={tag}:range=tv"


# ffmpeg's options for each clip; {folder} is the folder of the clips.
_COMMANDS = {
    "h264.mp4": [*_TEST, *_H264],
    "faststart.mp4": [*_TEST, *_FASTSTART],
    "h264.mkv": [*_TEST, *_H264],
    "h264.mov": [*_TEST, *_H264],
    "h264.avi": [*_TEST, *_H264],
    "h264.flv": [*_TEST, *_H264],
    "fragments.mp4": [*_TEST, *_H264, "-movflags", "frag_keyframe+empty_moov"],
    "hevc_10bit.mp4": [*_TEST, *_X265, "-pix_fmt", "yuv420p10le"],
    "av1.mp4": [*_TEST, "-c:v", "libsvtav1", "-preset", "12", "-svtav1-params", "lp=1"],
    "vp8.webm": [*_TEST, "-c:v", "libvpx", "-auto-alt-ref", "1", "-lag-in-frames", "16"],
    "vp9.webm": [*_TEST, "-c:v", "libvpx-vp9", "-deadline", "realtime", "-cpu-used", "8"],
    "alpha.mov": [*_TEST, "-c:v", "qtrle", "-pix_fmt", "argb"],
    "yuv444.mp4": [*_TEST, "-c:v", "libx264", "-pix_fmt", "yuv444p"],
    "gray.mp4": [*_TEST, "-c:v", "libx264", "-pix_fmt", "gray"],
    "full_range_709.mp4": [
        *_TEST,
        "-vf",
        "scale=out_color_matrix=bt709:out_range=full,setparams=colorspace=bt709",
        "-c:v",
        "libx264",
        "-pix_fmt",
        "yuvj420p",
    ],
    "odd_420.mkv": [*_ODD, f"{_ODD_FILTER}yuv420p", "-c:v", "ffv1"],
    "odd_444.mp4": [*_ODD, f"{_ODD_FILTER}yuv444p", "-c:v", "libx264"],
    "wmv.wmv": [*_TEST, "-c:v", "wmv2", "-g", "12"],
    "mpeg4_b_frames.avi": [*_TEST, "-c:v", "mpeg4", "-bf", "2", "-g", "12"],
    "transport.ts": [*_TEST, *_H264],
    "bluray.m2ts": [*_TEST, *_H264, "-mpegts_m2ts_mode", "1"],
    "program.mpg": [*_TEST, "-c:v", "mpeg2video", "-q:v", "3"],
    "elementary.h264": [*_TEST, *_H264],
    "theora.ogv": [*_TEST, "-c:v", "libtheora"],
    "animated.gif": [*_TEST],
    "rotate90.mp4": ["-display_rotation", "90", "-i", "{folder}/h264.mp4", "-c", "copy"],
    "rotate45_meta.mp4": ["-display_rotation", "45", "-i", "{folder}/h264.mp4", "-c", "copy"],
    "hflip_meta.mp4": ["-display_hflip", "-i", "{folder}/h264.mp4", "-c", "copy"],
    "edit_list.mp4": ["-ss", "0.28", "-i", "{folder}/h264.mp4", "-c", "copy"],
    "one_frame.mp4": [*_TEST, *_H264, "-frames:v", "1"],
    "two_frames.mp4": [*_TEST, *_H264, "-frames:v", "2"],
    "black.mp4": ["-f", "lavfi", "-i", "color=black:s=128x80:r=25:d=0.4", *_H264],
    "variable_rate.mp4": [
        *_TEST,
        "-vf",
        "select='not(mod(n,5))+lt(n,12)',settb=1/1000",
        "-fps_mode",
        "vfr",
        *_H264,
    ],
    "audio_first.mp4": [*_TONE, *_TEST, "-map", "0", "-map", "1", *_H264],
    "audio_only.mp4": [*_TONE],
    "audio_only.ogg": [*_TONE],
    "still.png": [*_TEST, "-frames:v", "1"],
    "interlaced.mp4": [*_TEST, "-vf", "interlace", "-flags", "+ildct+ilme", *_H264],
    "yuv422.mp4": [*_TEST, "-c:v", "libx264", "-pix_fmt", "yuv422p"],
    "h264_10bit.mp4": [*_TEST, "-c:v", "libx264", "-pix_fmt", "yuv420p10le"],
    "tagged_bt601.mp4": [*_TEST, "-vf", _colour_filter("smpte170m", "bt601"), *_H264],
    "tagged_bt709.mp4": [*_TEST, "-vf", _colour_filter("bt709", "bt709"), *_H264],
    "strip_1280x16.mp4": ["-f", "lavfi", "-i", "testsrc2=s=1280x16:r=30:d=1", *_H264],
    "tiny_2x2.mkv": [*_TEST, "-vf", "scale=2:2", "-c:v", "ffv1"],
    "odd_dims_mjpeg.avi": [*_ODD, f"{_ODD_FILTER}yuvj420p", "-c:v", "mjpeg", "-q:v", "3"],
    "long_gop.mp4": [
        *("-f", "lavfi", "-i", "testsrc2=s=96x80:r=25:d=10", "-c:v", "libx264"),
        *("-pix_fmt", "yuv420p", "-g", "1000", "-sc_threshold", "0"),
    ],
    "hd.mp4": [
        *("-f", "lavfi", "-i", "testsrc2=s=1920x1080:r=26:d=1", "-c:v", "libx264"),
        *("-preset", "ultrafast", "-pix_fmt", "yuv420p"),
    ],
    # Too many bytes for decord.
    "hd_long.mp4": ["-stream_loop", "3", "-i", "{folder}/hd.mp4", "-c", "copy"],
    "tiny.mp4": ["-f", "lavfi", "-i", "testsrc2=s=16x16:r=25:d=0.4", *_H264],
    "width96.mp4": ["-f", "lavfi", "-i", "testsrc2=s=96x64:r=25:d=0.4", *_H264],
    "small.ts": ["-f", "lavfi", "-i", "testsrc2=s=64x48:r=25:d=1", *_H264],
    "still.jpg": [*_TEST, "-frames:v", "1"],
    "large.mp4": ["-f", "lavfi", "-i", "testsrc2=s=160x120:r=25:d=2", *_H264],
}
_MADE_FROM = {
    "rotate90.mp4": "h264.mp4",
    "edit_list.mp4": "h264.mp4",
    "rotate45_meta.mp4": "h264.mp4",
    "hflip_meta.mp4": "h264.mp4",
    "hd_long.mp4": "hd.mp4",
}


class Clips:
    """A folder of clips made on demand: `clips["h264.mp4"]` is a path."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(exist_ok=True)
        self._frames: dict[str, np.ndarray] = {}

    def __getitem__(self, name: str) -> Path:
        path = self.folder / name
        if not path.exists():
            if name in _COMMANDS:
                if name in _MADE_FROM:
                    self[_MADE_FROM[name]]
                arguments = [a.format(folder=self.folder) for a in _COMMANDS[name]]
                run_ffmpeg("-y", *arguments, str(path))
            else:
                path.write_bytes(self._bytes(name))
        return path

    def frames(self, name: str, height: int, width: int) -> np.ndarray:
        """Return all frames that ffmpeg shows of a clip, [T, height, width, 3] uint8 RGB, decoded once."""
        if name not in self._frames:
            self._frames[name] = ffmpeg_frames(self[name], height, width)
        return self._frames[name]

    def _bytes(self, name: str) -> bytes:
        match name:
            case "empty.mp4":
                return b""
            case "text_long.mp4":
                return b"This is not a video.\n" * 100_000
            case "starts_mid_gop.ts":
                return self._from_second_frame()
            case "text.mp4":
                return b"This is not a video.\n" * 500
            case "random.mp4":
                return random.Random(0).randbytes(20_000)
            case "jpeg.mp4":
                return self["still.jpg"].read_bytes()
            case "renamed_transport.mp4":
                return self["transport.ts"].read_bytes()
            case "size_changes.ts":
                return self["transport.ts"].read_bytes() + self["small.ts"].read_bytes()
            case "cut_faststart.mp4":
                return _truncated(self["faststart.mp4"], 0.6)
            case "cut_last_byte.mp4":
                return self["faststart.mp4"].read_bytes()[:-1]
            case "cut_no_index.mp4":
                return _truncated(self["h264.mp4"], 0.6)
            case "cut.mkv":
                return _truncated(self["h264.mkv"], 0.6)
            case "cut.avi":
                return _truncated(self["h264.avi"], 0.6)
            case "truncated_header.mp4":
                return self["faststart.mp4"].read_bytes()[:100]
            case "header_only.mp4":
                return self["faststart.mp4"].read_bytes()[:32]
            case "no_tracks.mp4":
                return self["faststart.mp4"].read_bytes()[:32] + b"\x00\x00\x00\x08moov"
            case "broken_png.mp4":
                return self["still.png"].read_bytes()[:8] + bytes(100)
            case "damaged_frames.mp4":
                return _damaged(self["faststart.mp4"].read_bytes(), b"mdat", 0.3)
            case "damaged_index.mp4":
                return _damaged(self["faststart.mp4"].read_bytes(), b"moov", 0.0)
        raise KeyError(name)

    def _from_second_frame(self) -> bytes:
        """Return a stream of three groups of 9, 9 and 7 frames without the first key frame."""
        whole = self.folder / "groups_of_9.ts"
        run_ffmpeg(
            "-y", *_TEST, "-c:v", "mpeg2video", "-q:v", "3", "-bf", "0", "-g", "9", str(whole)
        )
        packets = [whole.read_bytes()[k : k + 188] for k in range(0, whole.stat().st_size, 188)]
        # Packets of the video stream (PID 256) in which a frame starts.
        starts = [
            k for k, p in enumerate(packets) if p[1] & 0x40 and p[1] & 0x1F == 1 and p[2] == 0
        ]
        return b"".join(packets[: starts[0]] + packets[starts[1] :])


def run_ffmpeg(*arguments: str) -> bytes:
    """Run ffmpeg, which must not fail, and return its standard output."""
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-nostdin", "-v", "error", "-threads", "1"]
    return subprocess.run([*command, *arguments], check=True, capture_output=True).stdout


def ffmpeg_frames(path: Path, height: int, width: int, *options: str) -> np.ndarray:
    """Return all frames that ffmpeg shows, [T, height, width, 3] uint8 RGB; `options` are for the input."""
    raw = run_ffmpeg(
        *(*options, "-i", str(path), "-map", "0:v:0", "-fps_mode", "passthrough"),
        *("-f", "rawvideo", "-pix_fmt", "rgb24", "-"),
    )
    return np.frombuffer(raw, np.uint8).reshape(-1, height, width, 3)


def _truncated(path: Path, fraction: float) -> bytes:
    content = path.read_bytes()
    return content[: int(fraction * len(content))]


def _damaged(content: bytes, box: bytes, start_fraction: float) -> bytes:
    """Return the content with noise over a section of a box's payload."""
    start = content.index(box) + 4
    start += int(start_fraction * (len(content) - start))
    noise = random.Random(1).randbytes(400 if box == b"moov" else (len(content) - start) // 2)
    return content[:start] + noise + content[start + len(noise) :]
