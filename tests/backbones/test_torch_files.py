import pickle
import zipfile
from contextlib import suppress
from pathlib import Path
from random import Random

import ml_dtypes
import numpy as np
import pytest
import safetensors.numpy

from a2inet_jax.backbones import torch_files
from a2inet_jax.errors import CheckpointError
from tests.make_torch_expectations import EXPECTED, tiny_tensors
from tests.pickles import caffe2, zipped

ARRAYS = {
    "matrix": np.arange(6, dtype=np.float32).reshape(2, 3),
    "columns": np.asfortranarray(np.arange(6.0).reshape(2, 3)),
    "big_endian": np.arange(3, dtype=">f4"),
    "number": np.array(7, np.int64),
    "empty": np.zeros((0, 3), np.float32),
    "flags": np.array([True, False]),
    "half": np.arange(400, dtype=np.float16),
}
FLAX = {
    "params": {"a": {"b/c": {"kernel": ARRAYS["matrix"]}}, "loss": np.float64(1.0)},
    "batch_stats": {"a": {"mean": ARRAYS["half"]}},
    "step": 3,
    "history": [1.5, (2, None)],
}
FILES = {
    "zip": (EXPECTED / "tiny_zip.pt").read_bytes(),
    "legacy": (EXPECTED / "tiny_legacy.pt").read_bytes(),
    "caffe2": caffe2({"conv1_w": ARRAYS["matrix"], "lr": ARRAYS["half"][:9]}),
    "flax": pickle.dumps(FLAX, protocol=4),
    "safetensors": safetensors.numpy.save({"a": np.arange(100.0)}),
}


def read(data: bytes, tmp_path: Path) -> dict[str, np.ndarray]:
    """Write a file and read it as a checkpoint."""
    path = tmp_path / "weights.file"
    path.write_bytes(data)
    return torch_files.read(path)


@pytest.mark.parametrize("form", ["zip", "legacy"])
def test_reads_files_of_torch_save(form: str, tmp_path: Path) -> None:
    found = read(FILES[form], tmp_path)
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
    found = torch_files.read(path)
    np.testing.assert_array_equal(found["a"], tensors["module.a"])
    assert found["b"].dtype == ml_dtypes.bfloat16
    assert torch_files.read_metadata(path) == {"source": "here"}
    assert torch_files.read_metadata(EXPECTED / "tiny_zip.pt") == {}


def test_reads_safetensors_that_begin_like_a_pickle(tmp_path: Path) -> None:
    """A header of 0x280 bytes begins with 80 02, as a pickle of protocol 2 does."""
    data = next(
        data
        for length in range(1000)
        if (data := safetensors.numpy.save({"a" * length: np.ones(2)})).startswith(b"\x80\x02")
    )
    ((_, values),) = read(data, tmp_path).items()
    np.testing.assert_array_equal(values, [1, 1])


@pytest.mark.parametrize("protocol", [2, 3, 4])
def test_reads_nested_dicts_of_arrays(protocol: int, tmp_path: Path) -> None:
    found = read(pickle.dumps(FLAX, protocol=protocol), tmp_path)
    assert list(found) == ["params/a/b/c/kernel", "batch_stats/a/mean"]
    np.testing.assert_array_equal(found["batch_stats/a/mean"], ARRAYS["half"])
    assert not found["batch_stats/a/mean"].flags.writeable


@pytest.mark.parametrize("protocol", [2, 3, 4])
def test_reads_arrays_of_every_dtype_and_order(protocol: int, tmp_path: Path) -> None:
    # Python 3 pickles empty bytes in protocol 2 by a call that is not allowed.
    arrays = {name: values for name, values in ARRAYS.items() if values.size or protocol > 2}
    found = read(pickle.dumps({"state_dict": arrays}, protocol=protocol), tmp_path)
    assert list(found) == list(arrays)
    for name, values in arrays.items():
        assert found[name].dtype == values.dtype
        np.testing.assert_array_equal(found[name], values, err_msg=name)


def test_reads_caffe2_pickles_of_python_2(tmp_path: Path) -> None:
    blobs = {name: values for name, values in ARRAYS.items() if name != "columns"}
    data = caffe2(blobs)
    known = pickle.loads(data, encoding="latin1")["blobs"]
    found = read(data, tmp_path)
    assert list(found) == list(blobs)
    for name, values in blobs.items():
        np.testing.assert_array_equal(known[name], values, err_msg=name)
        np.testing.assert_array_equal(found[name], values, err_msg=name)


@pytest.mark.parametrize("form", FILES)
def test_a_truncated_file_is_an_error_that_names_it(form: str, tmp_path: Path) -> None:
    data = FILES[form]
    for length in {*range(0, len(data) - 1, 13), *range(0, 200), len(data) - 2, len(data) - 1}:
        if length < len(data) - (form == "zip"):  # the last byte of an archive holds no information
            with pytest.raises(CheckpointError, match=r"weights\.file: "):
                read(data[:length], tmp_path)


@pytest.mark.parametrize("form", FILES)
def test_a_damaged_file_raises_no_other_error(form: str, tmp_path: Path) -> None:
    random = Random(form)
    for _ in range(300):
        data = bytearray(FILES[form])
        for _ in range(random.randint(1, 3)):
            data[random.randrange(len(data))] = random.randrange(256)
        with suppress(CheckpointError):
            read(bytes(data), tmp_path)


def test_truncated_safetensors_are_an_error(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"weights\.file: broken or cut short"):
        read(FILES["safetensors"][:-8], tmp_path)


def test_changed_numbers_in_an_archive_are_an_error(tmp_path: Path) -> None:
    data = FILES["zip"].replace(np.arange(5, 9, dtype=np.float32).tobytes(), bytes(16))
    with pytest.raises(CheckpointError, match=r"its .*/data/\d is damaged; download it again"):
        read(data, tmp_path)


@pytest.mark.parametrize(
    "page", ["<html>sign in", "\n<!DOCTYPE html>", "\ufeff<?xml version='1.0'?><Error/>"]
)
def test_a_web_page_is_reported_as_one(page: str, tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"weights\.file: an HTML page, saved in place of"):
        read(page.encode(), tmp_path)


def test_other_kinds_of_files_are_errors(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"weights\.file: an empty file"):
        read(b"", tmp_path)
    for data in (b"GIF89a", b"\x80\x06.", bytes(100)):
        with pytest.raises(CheckpointError, match=r"weights\.file: neither safetensors, nor"):
            read(data, tmp_path)
    path = tmp_path / "photos.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("photo.txt", "")
    with pytest.raises(
        CheckpointError, match=r"photos\.zip: a zip archive, but not one that torch"
    ):
        torch_files.read(path)
    with pytest.raises(CheckpointError, match=": a folder, not a checkpoint"):
        torch_files.read(tmp_path)
    with pytest.raises(FileNotFoundError):
        torch_files.read(tmp_path / "absent.pt")


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (zipped(pickle.dumps({"epoch": 3}, 2)), "holds no named tensors"),
        (pickle.dumps({"a": 1}, 2), "holds no named tensors"),
        (pickle.dumps([1], 4), "holds a list, not a state dict"),
        (pickle.dumps({"a/b": np.ones(1), "a": {"b": np.ones(1)}}, 4), "holds a/b twice"),
    ],
)
def test_a_file_without_tensors_is_an_error(data: bytes, reason: str, tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=rf"weights\.file: {reason}"):
        read(data, tmp_path)


def test_a_tensor_beyond_its_storage_is_refused(tmp_path: Path) -> None:
    """The same archive with one storage shortened."""
    path = tmp_path / "short.pt"
    with zipfile.ZipFile(EXPECTED / "tiny_zip.pt") as source, zipfile.ZipFile(path, "w") as target:
        for info in source.infolist():
            data = source.read(info)
            target.writestr(info.filename, data[:-4] if len(data) == 24 * 4 else data)
    with pytest.raises(CheckpointError, match=r"short\.pt: tensor \S+ reaches beyond its storage"):
        torch_files.read(path)
