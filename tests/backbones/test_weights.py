"""Pretrained weights: checked, converted, kept and loaded."""

import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import flax.linen as nn
import jax.numpy as jnp
import numpy as np
import pytest
import safetensors.numpy

from a2inet_jax.backbones import torch_files, weights
from a2inet_jax.backbones.pretrained import PRETRAINED, Package, Url
from a2inet_jax.backbones.registry import BACKBONES
from a2inet_jax.errors import CheckpointError, ConversionError, WeightsError
from a2inet_jax.files import sha256
from tests.loopback import Server
from tests.weights_inputs import TINY, change, digest, kept_files, published, tiny_served


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    with tiny_served(tmp_path / "home") as running:
        yield running


def test_the_registry_of_weights_is_consistent() -> None:
    for name, entry in PRETRAINED.items():
        assert entry.backbone in BACKBONES, name
        assert re.fullmatch(r"([0-9a-f]{8}([0-9a-f]{56})?)?", entry.sha256), name
        if isinstance(entry.origin, Package):
            assert len(entry.sha256) == 64, name
        if isinstance(entry.origin, Url) and "pytorch.org" in entry.origin.url:
            assert entry.origin.url.endswith(f"-{entry.sha256[:8]}.pth"), name
    assert set(BACKBONES) <= set(PRETRAINED)


def test_get_fetches_converts_and_keeps(server: Server, tmp_path: Path) -> None:
    (path,) = weights.get("tiny")
    assert path == weights.weights_path("tiny")
    params, source_sha256 = weights.load_params(TINY)
    assert source_sha256 == digest(published(), tmp_path)
    kernel = safetensors.numpy.load(published())["conv.weight"]
    np.testing.assert_array_equal(params["conv"]["kernel"], kernel.transpose(2, 3, 1, 0))
    assert (
        torch_files.read_metadata(path).items()
        >= {
            "weights": "tiny",
            "backbone": "tiny",
            "source": f"{server.url}/tiny.pth",
            "source_sha256": source_sha256,
            "licence": "MIT",
        }.items()
    )
    assert kept_files() == {"tiny.safetensors", "tiny.sha256"}
    assert weights.verify() == {"tiny": ""}


def test_kept_weights_need_no_network(server: Server) -> None:
    weights.get("tiny")
    server.asked.clear()
    weights.get("tiny")
    weights.load_params(TINY)
    weights.verify()
    assert not server.asked


def test_later_downloads_must_have_the_checksum_of_the_first_use(
    server: Server, tmp_path: Path
) -> None:
    (path,) = weights.get("tiny")
    path.unlink()
    server.files["/tiny.pth"] = published(1)
    with pytest.raises(WeightsError) as error:
        weights.get("tiny")
    for text in (digest(published(), tmp_path), digest(published(1), tmp_path), "tiny.sha256"):
        assert text in str(error.value)
    assert kept_files() == {"tiny.sha256"}
    server.files["/tiny.pth"] = published()
    weights.get("tiny")
    assert weights.verify() == {"tiny": ""}


def test_a_file_with_another_checksum_is_refused(server: Server, tmp_path: Path) -> None:
    right = digest(published(), tmp_path)
    wrong = "0" * 8 if right[0] != "0" else "1" * 8
    for known in (wrong, wrong + right[8:]):
        change(sha256=known)
        with pytest.raises(WeightsError, match=f"SHA-256 {right}.*{known}.*do not use it"):
            weights.get("tiny")
        assert kept_files() == set()
    change(sha256=right[:8])
    (path,) = weights.get("tiny")
    assert kept_files() == {"tiny.safetensors", "tiny.sha256"}  # all of the checksum is recorded
    path.unlink()
    weights.weights_path("tiny").with_suffix(".sha256").unlink()
    change(sha256=right)
    weights.get("tiny")
    assert kept_files() == {"tiny.safetensors"}


def test_the_checksum_of_a_bad_file_is_not_recorded(server: Server) -> None:
    server.files["/tiny.pth"] = b"<html>Too many requests</html>"
    with pytest.raises(CheckpointError, match="tiny"):
        weights.get("tiny")
    server.files["/tiny.pth"] = published(outputs=5)
    with pytest.raises(ConversionError, match=r"downloads/tiny doesn't fit tiny: .*\n.*shape"):
        weights.get("tiny")
    assert kept_files() == set()


def test_weights_load_by_name_and_by_path(server: Server, tmp_path: Path) -> None:
    with pytest.raises(
        FileNotFoundError, match=r"tiny\.safetensors is missing: run `a2inet weights"
    ):
        weights.load_params(TINY)
    weights.get("tiny")
    weights.PRETRAINED["older"] = weights.PRETRAINED["tiny"]
    change(backbone="large")
    with pytest.raises(WeightsError, match="tiny holds weights of large, not of tiny"):
        weights.load_params(TINY)
    weights.weights_path("tiny").rename(weights.weights_path("older"))
    assert weights.load_params(TINY, "older")[1] == digest(published(), tmp_path)
    file = tmp_path / "mine.pth"
    file.write_bytes(published(1))
    params, source_sha256 = weights.load_params(TINY, str(file))
    assert source_sha256 == sha256(file)
    assert jnp.shape(params["conv"]["kernel"]) == (1, 1, 3, 4)
    converted = str(weights.weights_path("older"))
    assert weights.load_params(TINY, converted)[1] == digest(published(), tmp_path)
    for wrong in (f"{file}x", str(tmp_path), "vgg"):
        with pytest.raises(
            FileNotFoundError, match=f"{wrong} is neither a file nor a name of weights"
        ):
            weights.load_params(TINY, wrong)
    with pytest.raises(WeightsError, match="no weights called vgg: choose default"):
        weights.get("vgg")


def test_verify_reports_problems(server: Server) -> None:
    with pytest.raises(
        FileNotFoundError, match=r"tiny\.safetensors is missing: run `a2inet weights get tiny`"
    ):
        weights.verify("tiny")
    assert weights.verify() == {}
    (path,) = weights.get("tiny")
    whole = path.read_bytes()
    assert weights.verify("tiny") == {"tiny": ""}

    path.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    assert "it is damaged" in weights.verify()["tiny"]
    path.write_bytes(whole[:-8])
    assert "broken or cut short" in weights.verify()["tiny"]
    path.write_bytes(published())
    assert "it is damaged" in weights.verify()["tiny"]
    path.write_bytes(whole)
    path.with_suffix(".sha256").write_text("0" * 64)
    assert f"but tiny had {'0' * 64} at first use" in weights.verify()["tiny"]
    weights.PRETRAINED["older"] = weights.PRETRAINED["tiny"]
    weights.weights_path("older").write_bytes(whole)
    assert "it holds tiny" in weights.verify("older")["older"]
    change(sha256="f" * 64)
    assert f"but tiny has SHA-256 {'f' * 64}" in weights.verify()["tiny"]
    weights.BACKBONES["tiny"] = replace(TINY, network=nn.Conv(5, (1, 1)))
    assert "missing: kernel" in weights.verify()["tiny"]


def test_the_error_of_damaged_weights_states_the_remedy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("A2INET_HOME", str(tmp_path))
    path = weights.weights_path("maniqa")
    path.parent.mkdir()
    path.write_bytes(b"damaged")
    with pytest.raises(WeightsError, match=r"Remove it and run `a2inet weights get maniqa`"):
        weights.load_params(BACKBONES["maniqa"])
