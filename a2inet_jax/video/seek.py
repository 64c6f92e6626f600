"""A few frames of a long video, by decoding the groups of frames that they are in and no others.

A group begins at a key frame. Packets of groups that aren't needed are dropped between ffmpeg's demuxer and
its decoder: one process reads through the whole file, which takes little time, and nothing depends on a
container's index. (Seeking would, and would need a process for each group.)

Frames are those of sequential decoding, or none come out:

- A frame is decoded from its own key frame, after the whole group before: the leading frames of open groups
  are of that group, and so is what a decoder only catches up with at the key frame.
- All key frames are decoded, whatever group they are of: they carry headers, and tell a decoder where it is.
- A key frame counts if the decoder too takes it for one, an I-frame where decoding can start, and if as many
  frames came since the key frame before as the times of the packets say. A frame passes only with its own
  time, as the n-th after such a key frame, and behind all that are wanted before it. It is given on when the
  last of the frames that are decoded for it has come as well.
- ffmpeg stops at the first error that it tells.

Lost frames, key frames that only a container calls so, periodic intra refresh and decoders that lose count
thus give fewer frames than wanted, never other ones, and the caller decodes all. So it does at once where all
frames are key frames (MJPEG), where an edit list hides any, and in AVI with B-frames, which has no times.
Damage in groups that aren't decoded is not found.
"""

from collections import deque
from collections.abc import Generator, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Self

import numpy as np

from a2inet_jax.video.expression import any_of
from a2inet_jax.video.frame_pipe import FramePipe
from a2inet_jax.video.packets import Packets

# What listing the packets, and reading those that are dropped, takes, in the time of decoding a frame.
_OVERHEAD_FRAMES = 400
# Frames that a decoder may hold back for others to be shown first (H.264, HEVC). So many more are decoded:
# were the times of the packets wrong, the count would be another one.
_HELD_BACK = 16
# Frames for which the expressions are short enough to be an argument of a process.
_MOST_WANTED = 500


@dataclass(frozen=True)
class Groups:
    """What to decode for some frames, and what should come of it.

    Attributes:
      ranges: first and last packet that is decoded, for each wanted frame.
      starts: key frames of these: time, time of the key frame before, and how many frames after that it
        comes. The first of a range has its own time, and 0.
      passed: wanted frames, and the last decoded for each: time, its key frame's time, and how many frames
        after that it comes.
      places: of each wanted frame, and of the last that was decoded for it, among those passed.
    """

    ranges: list[tuple[int, int]]
    starts: list[tuple[int, int, int]]
    passed: list[tuple[int, int, int]]
    places: list[tuple[int, int]]

    @classmethod
    def of(cls, packets: Packets, indices: Sequence[int]) -> Self | None:
        """Choose the groups: a function of these arguments alone.

        Args:
          packets: of the whole video.
          indices: wanted frames, ascending.

        Returns:
          None where decoding all frames is not much slower, or where the list of packets leaves a doubt: two
          have the same time, some are hidden or come with side data, or the first is not a key frame.
        """
        times, total = packets.times, len(packets.times)
        order = np.argsort(times, kind="stable")
        keys = np.flatnonzero(packets.key)
        clear = (
            packets.key[:1].any()
            and times[0] == times[order[0]] >= 0
            and np.all(np.diff(times[order]) > 0)
            and np.all(np.diff(times[keys]) > 0)
            and not packets.hidden.any()
            and not packets.side_data[~packets.key].any()
        )
        if not clear or np.any(np.diff(indices) <= 0):
            return None
        ranks = np.empty(total, np.int64)
        ranks[order] = np.arange(total)
        # Packets with which all frames are there that are shown up to the last of them.
        closing = np.flatnonzero(np.maximum.accumulate(ranks) == np.arange(total))
        wanted = np.asarray(indices)
        last = closing[np.searchsorted(closing, order[wanted])]
        own = np.searchsorted(ranks[keys], wanted, side="right") - 1
        first = keys[np.maximum(own - 1, 0)]
        end = np.minimum(last + _HELD_BACK, total - 1)
        decoded = packets.key.copy()
        for k in range(len(wanted)):
            decoded[first[k] : end[k] + 1] = True
        if 2 * (decoded.sum() + _OVERHEAD_FRAMES) > total:
            return None
        passed = np.union1d(wanted, last)
        own = np.searchsorted(ranks[keys], passed, side="right") - 1
        starts = np.union1d(own, np.maximum(own - 1, 0))
        before = np.where(np.isin(starts, own), np.maximum(starts - 1, 0), starts)
        return cls(
            ranges=_rows(first, end),
            starts=_rows(
                times[keys[starts]], times[keys[before]], ranks[keys[starts]] - ranks[keys[before]]
            ),
            passed=_rows(times[order[passed]], times[keys[own]], passed - ranks[keys[own]]),
            places=_rows(np.searchsorted(passed, wanted), np.searchsorted(passed, last)),
        )

    def frames(self, file: str, height: int, width: int) -> Generator[np.ndarray, None, None]:
        """Decode.

        Args:
          file: the video's path.
          height: of a frame, pixels.
          width: of a frame, pixels.

        Yields:
          [height, width, 3] uint8 RGB for each wanted frame; fewer, the first ones, where anything is unlike
          what the list of packets lets expect. The last comes when ffmpeg has ended without an error.
        """
        kept = any_of(["key", *(f"between(n,{first},{last})" for first, last in self.ranges)])
        # Without times of decoding, times of frames are those of their packets, never a guess.
        packets = f"noise=drop='not({kept})',setts=pts=PTS:dts=NOPTS"
        how = ["-xerror", "-copyts", "-bsf:v:0", packets, "-i", f"file:{file}", "-map", "0:v:0"]
        how += ["-vf", f"select='{self._select()}'", "-fps_mode", "passthrough"]
        wanted, proven = deque(self.places), deque[np.ndarray]()
        with FramePipe(how, height, width) as pipe:
            for place in range(len(self.passed)):
                frame = pipe.next()
                if frame is None or (place == len(self.passed) - 1 and not pipe.ended_well()):
                    return
                if len(proven) < len(wanted) and wanted[len(proven)][0] == place:
                    proven.append(frame)
                while proven and wanted[0][1] <= place:
                    wanted.popleft()
                    yield proven.popleft()

    def _select(self) -> str:
        """An expression that is true for frames to pass; 0 holds the last key frame's time, 1 its number."""
        begin = [f"eq(pts,{time})" for time, _, after in self.starts if not after]
        follow = [
            f"eq(pts,{time})*eq(ld(0),{before})*eq(n-ld(1),{after})"
            for time, before, after in self.starts
            if after
        ]
        terms = []
        for start, group in groupby(enumerate(self.passed), key=lambda entry: entry[1][1]):
            inside = [
                f"eq(pts,{time})*eq(n-ld(1),{after})*eq(selected_n,{place})"
                for place, (time, _, after) in group
            ]
            terms.append(f"eq(ld(0),{start})*{any_of(inside)}")
        is_start = f"key*eq(pict_type,PICT_TYPE_I)*{any_of(begin + follow)}"
        return f"if({is_start},st(0,pts);st(1,n));{any_of(terms)}"


def may_be_worth_it(total: int, wanted: int) -> bool:
    """Whether so few frames of a video of so many can be had faster; if not, its packets need no listing."""
    return wanted <= _MOST_WANTED and 2 * (wanted + _OVERHEAD_FRAMES) <= total


def _rows(*columns: np.ndarray) -> list[tuple]:
    return list(zip(*(column.tolist() for column in columns), strict=True))
