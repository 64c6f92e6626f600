"""Checkpoints that try to run code or to exhaust memory, in every form of a pickle."""

import pickle
import struct
import tracemalloc
import zipfile
from collections.abc import Callable
from copy import copy
from pathlib import Path

import pytest

from a2inet_jax.backbones import torch_files, unpickling
from a2inet_jax.errors import CheckpointError
from tests.pickles import array, bare, dtype, legacy, raw, text, zipped

# Wrapper of the pickle, and its protocol.
FORMS = {
    "zip": (zipped, 2),
    "legacy": (legacy, 2),
    "caffe2": (bare, 2),
    "flax": (bare, 4),
}
TOUCH = text("touch WITNESS")
MKDIR = text("__import__('os').mkdir('WITNESS')")
# Call a function by name, in protocols 2 and 4.
CALL = b"cos\nsystem\n" + TOUCH + b"\x85R"
NAMED = text("os") + text("system") + b"\x93" + TOUCH + b"\x85R"

# Programs by the name in the error.
EXPLOITS = {
    "os.system": [
        CALL + b".",
        NAMED + b".",
        b"}" + raw(b"blobs") + b"}" + raw(b"conv1_w") + CALL + b"ss.",
        # As an argument of an allowed call.
        b"ccollections\nOrderedDict\n]]" + text("a") + b"a" + CALL + b"aa\x85R.",
        b"cnumpy.core.multiarray\n_reconstruct\n" + CALL + b"K\0\x85" + raw(b"b") + b"\x87R.",
        array(b"K\1\x85", dtype("f4"), CALL) + b".",
        b"ctorch._utils\n_rebuild_tensor_v2\n(" + CALL + b"tR.",
        b"(" + raw(b"storage") + CALL + b"tQ.",
        b"(" + TOUCH + b"ios\nsystem\n.",
        b"(cos\nsystem\n" + TOUCH + b"o.",
    ],
    "posix.system": [b"cposix\nsystem\n" + TOUCH + b"\x85R."],
    "nt.system": [b"cnt\nsystem\n" + TOUCH + b"\x85R."],
    "__builtin__.eval": [b"c__builtin__\neval\n" + MKDIR + b"\x85R."],
    "builtins.eval": [b"cbuiltins\neval\n" + MKDIR + b"\x85R."],
    "builtins.exec": [text("builtins") + text("exec") + b"\x93" + MKDIR + b"\x85R."],
    "builtins.getattr": [b"cbuiltins\ngetattr\n."],
    "copyreg._reconstructor": [b"ccopyreg\n_reconstructor\n."],
    "copy_reg._reconstructor": [b"ccopy_reg\n_reconstructor\n."],
    "numpy.load": [b"cnumpy\nload\n."],
    "numpy.core.multiarray.scalar.__globals__": [
        text("numpy.core.multiarray") + text("scalar.__globals__") + b"\x93."
    ],
    "torch.storage._load_from_bytes": [b"ctorch.storage\n_load_from_bytes\n."],
    "_codecs.encode to 'rot13'": [b"c_codecs\nencode\n" + text("a") + text("rot13") + b"\x86R."],
    "INST": [b"(icollections\nOrderedDict\n."],
    "OBJ": [b"(ccollections\nOrderedDict\no."],
    "NEWOBJ": [b"ccollections\nOrderedDict\n)\x81."],
    "NEWOBJ_EX": [b"ccollections\nOrderedDict\n)}\x92."],
    "EXT1 7": [b"\x82\x07."],
    "EXT2 7": [b"\x83\x07\0."],
    "EXT4 7": [b"\x84\x07\0\0\0."],
    "BUILD": [
        b"cnumpy\nndarray\n}" + raw(b"__setstate__") + b"K\1sb.",
        b"ccollections\nOrderedDict\n}" + raw(b"__code__") + b"K\1sb.",
        b"ctorch\nFloatStorage\n}" + raw(b"type") + b"K\1sb.",
    ],
    "dtype 'O,'": [dtype("f4", "O,") + b"."],
    "an array of a class of its own": [
        b"cnumpy.core.multiarray\n_reconstruct\nccollections\nOrderedDict\nK\0\x85"
        + raw(b"b")
        + b"\x87R."
    ],
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("name", EXPLOITS)
def test_forbidden_requests_are_refused_by_name_and_do_not_run(
    name: str, form: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    wrap, protocol = FORMS[form]
    path = tmp_path / "evil.pt"
    for program in EXPLOITS[name]:
        path.write_bytes(wrap(b"\x80" + bytes([protocol]) + program))
        with pytest.raises(CheckpointError) as error:
            torch_files.read(path)
        assert f"evil.pt: refused: its pickle asks for `{name}`" in str(error.value)
        assert list(tmp_path.iterdir()) == [path]


def test_pythons_own_unpickler_would_run_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for program in (CALL + b".", NAMED + b"."):
        pickle.loads(b"\x80\x04" + program)
        (tmp_path / "WITNESS").unlink()
    pickle.loads(b"\x80\x04" + EXPLOITS["builtins.eval"][0])
    (tmp_path / "WITNESS").rmdir()


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        (dtype("O8", "|"), "an array of 'O8', not of numbers"),
        (dtype("V8", "|"), "an array of 'V8', not of numbers"),
        (dtype("S4", "|"), "an array of 'S4', not of numbers"),
        (dtype("f4,O8", "|"), "an array of 'f4,O8', not of numbers"),
        (dtype("f4", "<", b"N" + raw(b"x") + b"\x85}"), "asks for an array of records"),
    ],
    ids=["objects", "void", "text", "fields", "records"],
)
def test_arrays_of_anything_but_numbers_are_refused(
    kind: bytes, reason: str, form: str, tmp_path: Path
) -> None:
    wrap, protocol = FORMS[form]
    path = tmp_path / "evil.pt"
    program = array(b"K\1\x85", kind, raw(bytes(8)))
    path.write_bytes(wrap(b"\x80" + bytes([protocol]) + program + b"."))
    with pytest.raises(CheckpointError, match=f"refused: .*{reason}"):
        torch_files.read(path)


def tensor(length: int, shape: tuple[int, ...], strides: tuple[int, ...]) -> bytes:
    """Push {"a": a PyTorch tensor}."""
    tuples = [b"(" + b"".join(long(n) for n in values) + b"t" for values in (shape, strides)]
    storage = b"(" + raw(b"storage") + b"ctorch\nFloatStorage\n" + raw(b"0") + raw(b"cpu")
    program = b"}" + raw(b"a") + b"ctorch._utils\n_rebuild_tensor_v2\n(" + storage + long(length)
    return program + b"tQK\0" + tuples[0] + tuples[1] + b"\x89)tRs."


def long(value: int) -> bytes:
    return b"\x8a\x10" + value.to_bytes(16, "little", signed=True)


def in_array(shape: bytes, values: bytes) -> bytes:
    return b"}" + raw(b"a") + array(shape, dtype("f4"), values) + b"s."


MEGABYTE = b"T" + struct.pack("<I", 1 << 20) + bytes(1 << 20)
ENCODED = b"c_codecs\nencode\n" + b"h\0" + text("latin1") + b"\x86R"
FLOATS = long(1 << 18) + b"\x85"
PAIRS = b"](" + (b"]" + b"K\1aK\1a") * 5_000 + b"eq\0"
# Program, protocol, and text of the error.
BOMBS = {
    "memo": (b"]r\xff\xff\xff\xff.", 2, "holds a list"),
    "bytes": (b"\x8e" + struct.pack("<Q", 1 << 45) + b"abc.", 4, "cut short"),
    "text": (b"\x8d" + struct.pack("<Q", 1 << 45) + b"abc.", 4, "cut short"),
    "frame": (b"\x95" + struct.pack("<Q", 1 << 45) + b"].", 4, "holds a list"),
    "shape": (in_array(long(1 << 45) + b"\x85", raw(bytes(4))), 2, "don't fill its shape"),
    "overflow": (in_array(long(1 << 62) * 2 + b"\x86", raw(b"")), 2, "don't fill its shape"),
    "negative": (in_array(long(-1) * 2 + b"\x86", raw(bytes(4))), 2, "an impossible shape"),
    "text again and again": (
        MEGABYTE + b"q\0]" + array(FLOATS, dtype("f4"), b"h\0") * 200 + b".",
        2,
        "hold more than the file",
    ),
    "encoded again and again": (
        MEGABYTE + b"q\0]" + array(FLOATS, dtype("f4"), ENCODED) * 200 + b".",
        2,
        "hold more than the file",
    ),
    "dicts of one list": (
        PAIRS + b"ccollections\nOrderedDict\nh\0\x85R" * 500 + b"].",
        2,
        "holds a list",
    ),
    "lists in lists": (b"]" * 20_000 + b"a" * 19_999 + b".", 2, "holds a list"),
    "dicts in dicts": ((b"}" + raw(b"a")) * 10_000 + b"}" + b"s" * 10_000 + b".", 2, "too deeply"),
    "a dict in itself": (b"}q\0" + raw(b"a") + b"h\0s.", 2, "occurs twice"),
    "a dict in many places": (
        b"}q\0" + (b"}" + raw(b"a") + b"h\0s" + raw(b"b") + b"h\0sq\0") * 60 + b".",
        2,
        "occurs twice|too deeply",
    ),
    "tuples as a key": (b"})" + b"\x85" * 50_000 + b"K\1s.", 2, "a dict with a tuple as a key"),
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("bomb", BOMBS)
def test_memory_stays_within_a_multiple_of_the_files_size(
    bomb: str, form: str, tmp_path: Path
) -> None:
    wrap, _ = FORMS[form]
    program, protocol, reason = BOMBS[bomb]
    path = tmp_path / "bomb.pt"
    path.write_bytes(wrap(b"\x80" + bytes([protocol]) + program))
    assert_bounded(path, reason)


def assert_bounded(path: Path, reason: str) -> None:
    """Assert that a file is refused for this reason, without much memory."""
    tracemalloc.start()
    try:
        with pytest.raises(CheckpointError, match=rf"bomb\.pt: .*({reason})"):
            torch_files.read(path)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 100 * path.stat().st_size + 10_000_000


@pytest.mark.parametrize("wrap", [zipped, legacy])
@pytest.mark.parametrize(
    ("program", "reason"),
    [
        (tensor(1 << 50, (1 << 50,), (1,)), "storage 0 is cut short|reaches beyond its storage"),
        (tensor(1, (1 << 50,), (1,)), "reaches beyond its storage"),
        (tensor(1, (1 << 40,), (0,)), "larger than its storage"),
        (tensor(1, (1 << 70,), (1 << 70,)), "reaches beyond its storage"),
        (tensor(1, (-1,), (1,)), "an impossible shape"),
        (tensor(1, (1,), (1, 1)), "an impossible shape"),
    ],
    ids=["storage", "shape", "repeated", "stride", "negative", "axes"],
)
def test_a_tensor_that_claims_too_much_is_refused(
    wrap: Callable[[bytes], bytes], program: bytes, reason: str, tmp_path: Path
) -> None:
    path = tmp_path / "bomb.pt"
    data = wrap(b"\x80\x02" + program)
    if wrap is legacy:
        data += b"\x80\x02]" + raw(b"0") + b"a." + struct.pack("<Q", 1) + bytes(4)
    path.write_bytes(data)
    if wrap is zipped:
        with zipfile.ZipFile(path, "a") as archive:
            archive.writestr("archive/data/0", bytes(4))
    assert_bounded(path, reason)


def test_a_compressed_archive_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "bomb.pt"
    path.write_bytes(zipped(bytes(100_000_000), zipfile.ZIP_DEFLATED))
    assert_bounded(path, "a compressed archive")


def test_an_archive_with_the_same_content_under_many_names_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "bomb.pt"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("archive/data.pkl", b"\x80\x02}.")
        archive.writestr("archive/data/0", bytes(1_000_000))
        for number in range(1, 100):
            again = copy(archive.filelist[1])
            again.filename = f"archive/data/{number}"
            archive.filelist.append(again)
    assert_bounded(path, "claims to hold more than it does")


def test_an_endless_pickle_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unpickling, "_MAX_INSTRUCTIONS", 1000)
    path = tmp_path / "bomb.pt"
    path.write_bytes(b"\x80\x02" + b"]" * 1001 + b".")
    assert_bounded(path, "far too long")


def test_valid_files_of_the_same_form_are_read(tmp_path: Path) -> None:
    path = tmp_path / "good.pt"
    path.write_bytes(b"\x80\x02" + in_array(b"K\2\x85", raw(bytes(8))))
    assert torch_files.read(path)["a"].shape == (2,)
    path.write_bytes(zipped(b"\x80\x02" + tensor(1, (1, 1), (1, 1))))
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("archive/data/0", bytes(4))
    assert torch_files.read(path)["a"].shape == (1, 1)
