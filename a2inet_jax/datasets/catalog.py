"""Title, labels, caveats and source of each built-in data set, wherever its name or results are shown."""

from dataclasses import dataclass


@dataclass(frozen=True)
class DatasetInfo:
    """Title, labels, caveats and source of a data set, prepared or not."""

    name: str  # in configs
    title: str  # in the literature
    label: str = "MOS"  # name of its labels
    note: str = ""  # caveat for readers of results; may be empty
    homepage: str = ""  # where it is available; empty for the sample and for custom data sets
    licence: str = ""  # terms of use; empty for custom data sets


_LSVQ_HOMEPAGE = "https://github.com/baidut/PatchVQ"
_AUSTIN = "The copyright notice of the University of Texas at Austin that comes with it; it asks to be cited."
_AUSTIN_2020 = (
    "Free to use, copy, modify and distribute under the copyright notice of the University of Texas at "
    "Austin (2020), if that notice stays and the papers are cited."
)

_ALL = (
    DatasetInfo(
        "cvd2014",
        "CVD2014",
        note="18 scenes, each shot by 9 to 16 cameras: splits by content test on scenes never seen, "
        "published splits don't.",
        homepage="https://zenodo.org/records/2646315",
        licence="The terms of its page hold; cite the paper.",
    ),
    DatasetInfo(
        "live_qualcomm",
        "LIVE-Qualcomm",
        note="54 scenes, each shot by two to four phones: splits by content test on scenes never seen, "
        "published splits don't.",
        homepage="https://live.ece.utexas.edu/research/incaptureDatabase/index.html",
        licence=_AUSTIN,
    ),
    DatasetInfo(
        "live_vqc",
        "LIVE-VQC",
        homepage="https://live.ece.utexas.edu/research/LIVEVQC/index.html",
        licence=_AUSTIN,
    ),
    DatasetInfo(
        "youtube_ugc",
        "YouTube-UGC",
        note="Publications use 1,142 or 1,147 of its videos, and not the same ones.",
        homepage="https://media.withyoutube.com",
        licence="CC BY 4.0, authors in the file ATTRIBUTION that comes with it.",
    ),
    DatasetInfo(
        "konvid_1k",
        "KoNViD-1k",
        homepage="https://database.mmsp-kn.de/konvid-1k-database.html",
        licence="The videos are Creative Commons videos of Flickr; its page names no licence for the whole. "
        "Cite the paper.",
    ),
    DatasetInfo(
        "lsvq",
        "LSVQ",
        note="Its own training part and test part.",
        homepage=_LSVQ_HOMEPAGE,
        licence=_AUSTIN_2020,
    ),
    DatasetInfo(
        "lsvq_1080p",
        "LSVQ-1080p",
        note="A test part of LSVQ: nothing is trained on it.",
        homepage=_LSVQ_HOMEPAGE,
        licence=_AUSTIN_2020,
    ),
    DatasetInfo(
        "sample",
        "sample",
        label="VMAF",
        note="The labels are VMAF, a metric that sees the pristine source: no person has rated these clips.",
        licence="Each clip has that of its source: see the README of the data set.",
    ),
)
DATASETS = {dataset.name: dataset for dataset in _ALL}
