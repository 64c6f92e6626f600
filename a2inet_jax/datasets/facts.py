"""What a reader must know of each data set, wherever its name or its results stand."""

from dataclasses import dataclass


@dataclass(frozen=True)
class About:
    """Title, labels and caveats of a data set, prepared or not.

    Attributes:
      name: as in configs.
      title: as in the literature.
      label: what its labels are called.
      note: what a reader of results must know; may be empty.
      homepage: where it can be had; empty for the sample and for the user's own.
    """

    name: str
    title: str
    label: str = "MOS"
    note: str = ""
    homepage: str = ""


_LSVQ = "https://github.com/baidut/PatchVQ"

_ALL = (
    About(
        "cvd2014",
        "CVD2014",
        note="18 scenes, each shot by 9 to 16 cameras: splits by content test on scenes never seen, "
        "published splits don't.",
        homepage="https://zenodo.org/records/2646315",
    ),
    About(
        "live_qualcomm",
        "LIVE-Qualcomm",
        note="54 scenes, each shot by two to four phones: splits by content test on scenes never seen, "
        "published splits don't.",
        homepage="https://live.ece.utexas.edu/research/incaptureDatabase/index.html",
    ),
    About(
        "live_vqc",
        "LIVE-VQC",
        homepage="https://live.ece.utexas.edu/research/LIVEVQC/index.html",
    ),
    About(
        "youtube_ugc",
        "YouTube-UGC",
        note="Publications use 1,142 or 1,147 of its videos, and not the same ones.",
        homepage="https://media.withyoutube.com",
    ),
    About(
        "konvid_1k",
        "KoNViD-1k",
        homepage="https://database.mmsp-kn.de/konvid-1k-database.html",
    ),
    About("lsvq", "LSVQ", note="Its own training part and test part.", homepage=_LSVQ),
    About(
        "lsvq_1080p",
        "LSVQ-1080p",
        note="A test part of LSVQ: nothing is trained on it.",
        homepage=_LSVQ,
    ),
    About(
        "sample",
        "sample",
        label="VMAF",
        note="The labels are VMAF, a metric that sees the pristine source: no person has rated these clips.",
    ),
)
FACTS = {about.name: about for about in _ALL}
