"""What is to be said of each published data set, wherever its name or its results stand."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Facts:
    """What a reader must know of a data set.

    Attributes:
      title: as in the literature.
      label: what its labels are called.
      note: what a reader of results must know; may be empty.
      homepage: where it can be had.
    """

    title: str
    label: str
    note: str
    homepage: str


_LSVQ = "https://github.com/baidut/PatchVQ"

FACTS = {
    "cvd2014": Facts(
        "CVD2014",
        "MOS",
        "18 scenes, each shot by 9 to 16 cameras: splits by content test on scenes never seen, published "
        "splits don't.",
        "https://zenodo.org/records/2646315",
    ),
    "live_qualcomm": Facts(
        "LIVE-Qualcomm",
        "MOS",
        "54 scenes, each shot by two to four phones: splits by content test on scenes never seen, published "
        "splits don't.",
        "https://live.ece.utexas.edu/research/incaptureDatabase/index.html",
    ),
    "live_vqc": Facts(
        "LIVE-VQC", "MOS", "", "https://live.ece.utexas.edu/research/LIVEVQC/index.html"
    ),
    "youtube_ugc": Facts(
        "YouTube-UGC",
        "MOS",
        "Publications use 1,142 or 1,147 of its videos, and not the same ones.",
        "https://media.withyoutube.com",
    ),
    "konvid_1k": Facts(
        "KoNViD-1k", "MOS", "", "https://database.mmsp-kn.de/konvid-1k-database.html"
    ),
    "lsvq": Facts("LSVQ", "MOS", "Its own training part and test part.", _LSVQ),
    "lsvq_1080p": Facts(
        "LSVQ-1080p", "MOS", "A test part of LSVQ: nothing is trained on it.", _LSVQ
    ),
}
