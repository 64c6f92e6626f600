"""A few frames of a long video, by decoding only the groups of frames that they are in.

A group begins at a key frame. Packets of groups that are not needed are dropped between ffmpeg's demuxer and
its decoder: one process reads through the whole file, which takes little time, and nothing depends on a
container's index. (Seeking would depend on it, and would need a process for each group.)

The frames are either identical to those of sequential decoding, or they are not output:

- A frame is decoded from its own key frame, after the whole group before: leading frames of open groups
  depend on that group, and so do frames that a decoder outputs only at the next key frame.
- All key frames are decoded, whatever group they begin: they carry headers, and show the decoder's position.
- A key frame counts if the decoder also takes it for one, an I-frame where decoding can start, and if as many
  frames came since the key frame before as the packets' timestamps say. A frame is accepted only at its own
  timestamp, as the n-th after such a key frame, and after all wanted frames that precede it. It is output
  once the last of the frames that are decoded for it has also come.
- ffmpeg stops at the first error that it reports.

Lost frames, key frames that only a container marks as such, periodic intra refresh and decoders that lose
count thus lead to fewer frames than wanted, never to different ones, and the caller decodes all. It does so
from the start if all frames are key frames (MJPEG), if an edit list hides any, and for AVI with B-frames,
which has no presentation times. Damage in groups that are not decoded is not found.
"""

from collections import deque
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import NamedTuple, Self, TypeVar

import numpy as np

from a2inet_jax.video.container import Packets
from a2inet_jax.video.ffmpeg import FramePipe, any_of

# Cost of listing the packets and of reading those that are dropped, in units of decoding one frame.
_OVERHEAD_FRAMES = 400
# Frames that a decoder may hold back for reordering (H.264, HEVC). So many more are decoded: if the packets'
# timestamps were wrong, the count of frames would differ.
_MAX_REORDER_FRAMES = 16
# With more frames than this, the expressions are too long for a command-line argument.
_MAX_WANTED = 500

_Row = TypeVar("_Row")


class KeyFrame(NamedTuple):
    """A key frame that is decoded; for the first of a range, the key frame before it is itself."""

    pts: int  # presentation time
    previous_pts: int  # that of the key frame before it
    offset: int  # how many frames after the previous key frame it is shown


class OutputFrame(NamedTuple):
    """A frame that ffmpeg outputs."""

    pts: int  # presentation time
    key_pts: int  # that of the key frame of its group
    offset: int  # how many frames after that key frame it is shown


class Slots(NamedTuple):
    """Positions in `SeekPlan.output` that belong to a wanted frame."""

    frame: int  # of the frame itself
    proof: int  # of the last frame that is decoded for it, after which it is known to be correct


@dataclass(frozen=True)
class SeekPlan:
    """Groups of frames to decode for a few wanted frames, and the frames that should come out.

    Attributes:
        ranges: First and last packet that is decoded for each wanted frame.
        key_frames: Key frames of the wanted frames' groups and of the groups before.
        output: Wanted frames, and the last frame that is decoded for each.
        slots: For each wanted frame.
    """

    ranges: list[tuple[int, int]]
    key_frames: list[KeyFrame]
    output: list[OutputFrame]
    slots: list[Slots]

    @classmethod
    def create(cls, packets: Packets, indices: Sequence[int]) -> Self | None:
        """Choose the groups for the wanted frames (ascending), depending on these arguments alone.

        Returns:
            None if decoding all frames is not much slower, or if the list of packets leaves a doubt: two
            have the same timestamp, some are hidden or have side data, or the first is not a key frame.
        """
        if not _is_unambiguous(packets) or np.any(np.diff(indices) <= 0):
            return None
        pts, total = packets.pts, len(packets.pts)
        # rank[packet] is the index of its frame in presentation order; packet_of[frame] is the inverse.
        packet_of = np.argsort(pts, kind="stable")
        keys = np.flatnonzero(packets.is_key)
        rank = np.empty(total, np.int64)
        rank[packet_of] = np.arange(total)
        # Packets at which the frames decoded so far are exactly the first ones in presentation order.
        complete = np.flatnonzero(np.maximum.accumulate(rank) == np.arange(total))
        wanted = np.asarray(indices)
        last = complete[np.searchsorted(complete, packet_of[wanted])]
        # From the key frame of the group before to some packets beyond the last that is needed.
        group = np.searchsorted(rank[keys], wanted, side="right") - 1
        first = keys[np.maximum(group - 1, 0)]
        end = np.minimum(last + _MAX_REORDER_FRAMES, total - 1)
        decoded = packets.is_key.copy()
        for start, stop in zip(first, end + 1):
            decoded[start:stop] = True
        if 2 * (decoded.sum() + _OVERHEAD_FRAMES) > total:
            return None
        # Frames to output, and the key frames by which their positions are counted.
        output = np.union1d(wanted, last)
        group = np.searchsorted(rank[keys], output, side="right") - 1
        starts = np.union1d(group, np.maximum(group - 1, 0))
        previous = np.where(np.isin(starts, group), np.maximum(starts - 1, 0), starts)
        return cls(
            ranges=list(zip(first.tolist(), end.tolist())),
            key_frames=_rows(
                KeyFrame,
                pts[keys[starts]],
                pts[keys[previous]],
                rank[keys[starts]] - rank[keys[previous]],
            ),
            output=_rows(
                OutputFrame, pts[packet_of[output]], pts[keys[group]], output - rank[keys[group]]
            ),
            slots=_rows(Slots, np.searchsorted(output, wanted), np.searchsorted(output, last)),
        )

    def frames(self, file: str, height: int, width: int) -> Generator[np.ndarray, None, None]:
        """Decode the wanted frames of a file whose frames are `height` × `width` pixels.

        Yields:
            [height, width, 3] uint8 RGB for each wanted frame, in order. Ends early at the first deviation
            from the list of packets. The last frame comes when ffmpeg has exited without an error.
        """
        # Packets to keep. Without decoding times, ffmpeg uses the packets' presentation times as they are.
        kept = any_of(["key", *(f"between(n,{first},{last})" for first, last in self.ranges)])
        packet_filter = f"noise=drop='not({kept})',setts=pts=PTS:dts=NOPTS"
        options = ["-xerror", "-copyts", "-bsf:v:0", packet_filter]
        options += ["-i", f"file:{file}", "-map", "0:v:0"]
        options += ["-vf", f"select='{self._select_expression()}'", "-fps_mode", "passthrough"]
        # `pending` are wanted frames not yet yielded; `unproven` holds those of them that have come already.
        pending, unproven = deque(self.slots), deque[np.ndarray]()
        with FramePipe(options, height, width) as pipe:
            for slot in range(len(self.output)):
                frame_HxWx3 = pipe.next()
                is_last = slot == len(self.output) - 1
                if frame_HxWx3 is None or (is_last and not pipe.ended_without_error()):
                    return
                if len(unproven) < len(pending) and pending[len(unproven)].frame == slot:
                    unproven.append(frame_HxWx3)
                while unproven and pending[0].proof <= slot:
                    pending.popleft()
                    yield unproven.popleft()

    def _select_expression(self) -> str:
        """Return a filter expression that is true for the frames to output.

        ffmpeg's variable 0 holds the presentation time of the last key frame, and variable 1 its index.
        """
        first_of_range = [f"eq(pts,{key.pts})" for key in self.key_frames if not key.offset]
        following = [
            f"eq(pts,{key.pts})*eq(ld(0),{key.previous_pts})*eq(n-ld(1),{key.offset})"
            for key in self.key_frames
            if key.offset
        ]
        terms = []
        for key_pts, group in groupby(enumerate(self.output), key=lambda item: item[1].key_pts):
            in_group = [
                f"eq(pts,{frame.pts})*eq(n-ld(1),{frame.offset})*eq(selected_n,{slot})"
                for slot, frame in group
            ]
            terms.append(f"eq(ld(0),{key_pts})*{any_of(in_group)}")
        is_key = f"key*eq(pict_type,PICT_TYPE_I)*{any_of(first_of_range + following)}"
        return f"if({is_key},st(0,pts);st(1,n));{any_of(terms)}"


def may_pay_off(total: int, wanted: int) -> bool:
    """Return False if decoding a few groups cannot be faster, so that the packets need not be listed."""
    return wanted <= _MAX_WANTED and 2 * (wanted + _OVERHEAD_FRAMES) <= total


def _is_unambiguous(packets: Packets) -> bool:
    """Return True if timestamps and key frames of the packets leave no doubt about the frames' order."""
    pts = packets.pts
    pts_of_keys = pts[packets.is_key]
    return bool(
        packets.is_key[:1].any()
        and pts[0] == pts.min() >= 0
        and np.all(np.diff(np.sort(pts)) > 0)
        and np.all(np.diff(pts_of_keys) > 0)
        and not packets.is_hidden.any()
        and not packets.has_side_data[~packets.is_key].any()
    )


def _rows(row: Callable[..., _Row], *columns: np.ndarray) -> list[_Row]:
    return [row(*values) for values in zip(*(column.tolist() for column in columns), strict=True)]
