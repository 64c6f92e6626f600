"""Extraction on eight devices gives the files of one device."""

from pathlib import Path

import jax
import pytest

from a2inet_jax.features.extract import extract_all
from a2inet_jax.features.extractor import Extractor
from a2inet_jax.features.network import Network
from tests.clips import Clips
from tests.extraction_inputs import MOTION, QUALITY, SEMANTIC, pair
from tests.features.test_extract import CLIP_NAMES, content, ignore, videos

DEVICES = 8


@pytest.mark.parametrize("semantic", [SEMANTIC, MOTION], ids=["frames", "clips"])
def test_eight_devices_give_the_files_of_one(tmp_path: Path, semantic: Network) -> None:
    clips = Clips(tmp_path / "clips")
    all_videos = videos(clips, *CLIP_NAMES)
    stores = []
    for devices in (jax.devices()[:1], jax.devices()):
        extractor = Extractor(pair(QUALITY, semantic), devices=devices)
        folder = tmp_path / f"{len(devices)}"
        work = extract_all(all_videos, extractor, folder, ignore, num_decoders=len(devices))
        assert work.failures == []
        stores.append(content(folder))
        used = {key[0] for key in extractor._compiled}
        # Each video has a decoder, so that as many devices as videos have work.
        assert len(used) == min(len(devices), len(all_videos))
    assert extractor.num_devices == DEVICES
    assert stores[0] == stores[1]
