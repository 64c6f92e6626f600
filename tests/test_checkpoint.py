import io
import os
import pickle
import zipfile
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path

import ml_dtypes
import numpy as np
import pytest
import safetensors.numpy

from a2inet_jax.backbones import checkpoint
from a2inet_jax.backbones.checkpoint import CheckpointError
from tests.make_torch_expectations import EXPECTED, tiny_tensors

ZIP = EXPECTED / "tiny_zip.pt"
LEGACY = EXPECTED / "tiny_legacy.pt"


@pytest.mark.parametrize("path", [ZIP, LEGACY])
def test_reads_what_torch_saved(path: Path) -> None:
    found = checkpoint.read(path)
    expected = tiny_tensors()
    assert list(found) == list(expected)
    for name, values in expected.items():
        dtype = ml_dtypes.bfloat16 if name == "brain" else values.dtype
        assert found[name].dtype == dtype, name
        assert found[name].shape == values.shape, name
        np.testing.assert_array_equal(found[name].astype(values.dtype), values, err_msg=name)


def test_reads_safetensors_and_its_metadata(tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    tensors = {"module.a": np.arange(3.0), "module.b": np.ones((2, 2), ml_dtypes.bfloat16)}
    safetensors.numpy.save_file(tensors, path, {"source": "here"})
    found = checkpoint.read(path)
    np.testing.assert_array_equal(found["a"], tensors["module.a"])
    assert found["b"].dtype == ml_dtypes.bfloat16
    assert checkpoint.read_metadata(path) == {"source": "here"}
    assert checkpoint.read_metadata(ZIP) == {}


@pytest.mark.parametrize("path", [ZIP, LEGACY])
def test_a_file_cut_anywhere_is_an_error_that_names_it(path: Path, tmp_path: Path) -> None:
    data = path.read_bytes()
    cut = tmp_path / "cut.pt"
    for length in range(0, len(data) - 1, 41):
        cut.write_bytes(data[:length])
        with pytest.raises(CheckpointError, match=r"cut\.pt"):
            checkpoint.read(cut)


def test_cut_safetensors(tmp_path: Path) -> None:
    path = tmp_path / "cut.safetensors"
    path.write_bytes(safetensors.numpy.save({"a": np.arange(100.0)})[:-8])
    with pytest.raises(CheckpointError, match=r"cut\.safetensors: broken or cut short"):
        checkpoint.read(path)


def test_another_kind_of_file(tmp_path: Path) -> None:
    path = tmp_path / "page.pt"
    path.write_text("<html>sign in to download</html>")
    with pytest.raises(CheckpointError, match=r"page\.pt: neither safetensors nor"):
        checkpoint.read(path)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("photo.txt", "")
    with pytest.raises(CheckpointError, match=r"page\.pt: a zip archive, but none"):
        checkpoint.read(path)
    path.write_bytes(pickle.dumps({"a": 1}, protocol=2))
    with pytest.raises(CheckpointError, match=r"page\.pt: a pickle, but none"):
        checkpoint.read(path)


class Call:
    """Pickles as a call of a function."""

    def __init__(self, function: Callable, *arguments: object) -> None:
        self.call = function, arguments

    def __reduce__(self) -> tuple:
        return self.call


def _legacy(data: object) -> bytes:
    head = (0x1950A86A20F9469CFC6C, 1001, {"little_endian": True})
    return b"".join(pickle.dumps(part, protocol=2) for part in (*head, data))


def _zipped(data: object, compression: int = zipfile.ZIP_STORED) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", compression) as archive:
        archive.writestr("archive/data.pkl", pickle.dumps(data, protocol=2))
    return buffer.getvalue()


@pytest.mark.parametrize("form", [_legacy, _zipped, lambda data: pickle.dumps(data, protocol=2)])
def test_forbidden_calls_are_refused_by_name_and_do_not_run(
    form: Callable[[object], bytes], tmp_path: Path
) -> None:
    witness = tmp_path / "ran"
    path = tmp_path / "evil.pt"
    exploits = {
        "posix.system": Call(os.system, f"touch {witness}"),
        "__builtin__.eval": Call(eval, f"open({str(witness)!r}, 'w')"),
        "posix.mkdir": OrderedDict(weight=Call(Call, 1) and [Call(os.mkdir, str(witness))]),
    }
    for name, data in exploits.items():
        path.write_bytes(form(data))
        with pytest.raises(CheckpointError, match=rf"evil\.pt: refused: .*`{name}`"):
            checkpoint.read(path)
        assert not witness.exists()


def test_a_compressed_archive_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "bomb.pt"
    path.write_bytes(_zipped({"a": "0" * 10_000_000}, zipfile.ZIP_DEFLATED))
    with pytest.raises(CheckpointError, match=r"bomb\.pt: a compressed archive"):
        checkpoint.read(path)


def test_a_tensor_beyond_its_storage_is_refused(tmp_path: Path) -> None:
    """The same archive with one storage shortened."""
    path = tmp_path / "short.pt"
    with zipfile.ZipFile(ZIP) as source, zipfile.ZipFile(path, "w") as target:
        for info in source.infolist():
            data = source.read(info)
            target.writestr(info.filename, data[:-4] if len(data) == 24 * 4 else data)
    with pytest.raises(CheckpointError, match=r"short\.pt: tensor \S+ reaches beyond its storage"):
        checkpoint.read(path)


def test_nothing_to_read(tmp_path: Path) -> None:
    path = tmp_path / "none.pt"
    path.write_bytes(_zipped({"epoch": 3}))
    with pytest.raises(CheckpointError, match=r"none\.pt: holds no tensors"):
        checkpoint.read(path)
    with pytest.raises(FileNotFoundError):
        checkpoint.read(tmp_path / "absent.pt")
