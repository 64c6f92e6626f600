"""One labelled video: what every data set comes down to."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Video:
    """A video file and its label.

    Attributes:
      video_id: name of the video, unique in its data set.
      path: where the file is.
      mos: the label on the data set's own scale, larger is better.
      reference_id: what the video shows. Videos made from one source share it, and a split never parts them.
    """

    video_id: str
    path: Path
    mos: float
    reference_id: str
