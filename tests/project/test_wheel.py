"""The wheel, and the source archive: their files, and every verb of `a2inet` installed without the checkout.

The wheel is installed into a new environment that borrows its dependencies from the one that runs the tests.
"""

import os
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import venv
import zipfile
from collections.abc import Mapping
from pathlib import Path

import pytest

from a2inet_jax.main import VERBS
from tests.clips import run_ffmpeg
from tests.table_inputs import SMALL

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "a2inet_jax"

# Runs before `a2inet` if its folder is on PYTHONPATH: six short contents instead of the sample's, each with
# one distorted version, and networks that cost nothing. Processes that decode are not changed.
SITECUSTOMIZE = """\
import sys
from pathlib import Path

if Path(sys.orig_argv[1]).name == "a2inet":
    from dataclasses import replace
    from functools import partial

    import pytest

    from a2inet_jax.datasets.sample import prepare, recipe, sources
    from tests.table_inputs import small_networks

    photos = [each for each in sources.SOURCES if each.name in ("china", "flower")]
    views = [(300, 200, 2.0), (320, 210, 2.5), (340, 220, 1.5)]
    contents = tuple(
        replace(photo, name=f"{photo.name}{n}", height=128, width=192, start=view, stop=view, frames=6)
        for photo in photos
        for n, view in enumerate(views)
    )
    small = partial(recipe.SampleRecipe, sources=contents, number=1)
    recipe.SampleRecipe = prepare.SampleRecipe = small
    small_networks(pytest.MonkeyPatch())
"""


def run(
    *command: str | Path, cwd: Path | None = None, env: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, capture_output=True, text=True, timeout=900, cwd=cwd, env=env)


def build(target: str, folder: Path) -> Path:
    """Build the checkout's wheel or sdist."""
    folder.mkdir()
    command = [sys.executable, "-m", "hatchling", "build", "--target", target]
    done = run(*command, "--directory", folder, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    (built,) = folder.iterdir()
    return built


def names(wheel: Path) -> list[str]:
    with zipfile.ZipFile(wheel) as archive:
        return sorted(archive.namelist())


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build("wheel", tmp_path_factory.mktemp("build") / "wheel")


class Installation:
    """A new environment with the wheel, and an empty folder to run commands in."""

    def __init__(self, home: Path, wheel: Path) -> None:
        self.folder = home / "empty"
        self.folder.mkdir()
        self.bin = home / "venv" / "bin"
        self.stubs = home / "stubs"
        variables = ("PYTHONPATH", "PYTHONHOME", "PYTHONSAFEPATH", "VIRTUAL_ENV")
        self.environment = {k: v for k, v in os.environ.items() if k not in variables}
        self.environment |= {"A2INET_HOME": str(home / "cache"), "COLUMNS": "200"}
        # Most of the time is spent on compiling programs that run for a moment.
        self.environment["JAX_DISABLE_MOST_OPTIMIZATIONS"] = "1"
        venv.create(home / "venv", with_pip=False)
        self.packages = Path(sysconfig.get_path("purelib", "venv", {"base": str(home / "venv")}))
        # No .pth files are read in a folder that a .pth file names: an editable checkout stays off the path.
        (self.packages / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")
        pip = [sys.executable, "-m", "pip", "--python", str(self.bin / "python"), "install"]
        done = run(*pip, "--no-deps", "--no-index", wheel, env=self.environment)
        assert done.returncode == 0, done.stderr

    def run(self, program: str, *arguments: str, stubs: bool = False) -> str:
        """Return what a program prints; it succeeds, and nothing in it warns of an error."""
        environment = dict(self.environment)
        if stubs:
            environment["PYTHONPATH"] = str(self.stubs)
        done = run(self.bin / program, *arguments, cwd=self.folder, env=environment)
        assert done.returncode == 0, done.stdout + done.stderr
        assert "Traceback" not in done.stderr
        assert "sitecustomize" not in done.stderr
        return done.stdout


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory, wheel: Path) -> Installation:
    home = tmp_path_factory.mktemp("installed")
    (home / "stubs" / "tests").mkdir(parents=True)
    (home / "stubs" / "sitecustomize.py").write_text(SITECUSTOMIZE)
    for module in (ROOT / "tests").glob("*.py"):
        if not module.name.startswith("test_"):
            shutil.copy(module, home / "stubs" / "tests")
    return Installation(home, wheel)


def test_the_wheel_has_every_file_of_the_package_once(wheel: Path) -> None:
    wanted = [
        f"a2inet_jax/{Path(folder, name).relative_to(PACKAGE)}"
        for folder, _, files in os.walk(PACKAGE, followlinks=True)
        for name in files
        if "__pycache__" not in folder
    ]
    assert {"a2inet_jax/configs/sample.py", "a2inet_jax/py.typed"} <= set(wanted)
    found = [name for name in names(wheel) if ".dist-info/" not in name]
    assert found == sorted(wanted)


def test_the_wheel_built_from_the_source_archive_is_the_same(wheel: Path, tmp_path: Path) -> None:
    sdist = build("sdist", tmp_path / "sdist")
    with tarfile.open(sdist) as archive:
        members = [member.name.partition("/")[2] for member in archive.getmembers()]
    assert len(members) == len(set(members))
    assert {
        "configs/sample.py",
        "a2inet_jax/configs/sample.py",
        "tests/project/test_wheel.py",
    } <= set(members)
    pip = [sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-index", "--no-build-isolation"]
    done = run(*pip, "--wheel-dir", tmp_path / "wheel", sdist, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    (again,) = (tmp_path / "wheel").iterdir()
    assert again.name == wheel.name
    assert names(again) == names(wheel)


def test_the_checkout_is_not_on_the_path(installed: Installation) -> None:
    code = "import a2inet_jax, sys; print(a2inet_jax.__file__, *sys.path, sep='\\n')"
    module, *path = installed.run("python", "-P", "-c", code).splitlines()
    assert Path(module).parent == installed.packages / "a2inet_jax"
    assert str(ROOT) not in path
    assert not (installed.folder / "configs").exists()


def test_help_and_version(installed: Installation) -> None:
    assert all(verb in installed.run("a2inet", "--help") for verb in VERBS)
    assert installed.run("a2inet", "--version").startswith("a2inet ")
    for verb in VERBS:
        assert "examples:" in installed.run("a2inet", verb, "--help")


def test_packaged_and_copied_configs(installed: Installation) -> None:
    shown = installed.run("a2inet", "config", "show", "--config=sample").splitlines()
    assert "name = 'demo'" in shown
    packaged = installed.packages / "a2inet_jax" / "configs" / "sample.py"
    own = packaged.read_text().replace('config.name = "demo"', 'config.name = "mine"')
    (installed.folder / "mine.py").write_text(own)
    mine = installed.run("a2inet", "config", "show", "--config=mine.py").splitlines()
    assert mine == ["name = 'mine'" if line == "name = 'demo'" else line for line in shown]
    row = installed.run("a2inet", "config", "show", "--config=table7:FE+GC,S+M")
    assert "table7" in row


@pytest.mark.slow
def test_doctor(installed: Installation) -> None:
    assert "everything works" in installed.run("a2inet", "doctor")


@pytest.mark.slow
def test_demo_score_and_table(installed: Installation) -> None:
    overrides = [f"--config.{each}" for each in SMALL]
    demo = installed.run("a2inet", "demo", *overrides, stubs=True)
    assert "sample: 12 videos of 6 contents" in demo
    assert (installed.folder / "runs" / "demo" / "report.html").is_file()

    clip = installed.folder / "clip.mp4"
    run_ffmpeg("-f", "lavfi", "-i", "testsrc2=s=128x96:r=25:d=1", "-pix_fmt", "yuv420p", str(clip))
    scored = installed.run("a2inet", "score", "clip.mp4", stubs=True)
    assert "VMAF" in scored
    assert scored.splitlines()[-1].endswith("clip.mp4")

    table = installed.run("a2inet", "table", "7", "--datasets=sample", *overrides, stubs=True)
    assert "FE+GC+TM" in table
    assert "skipped" not in table
    (page,) = (installed.folder / "runs" / "tables").rglob("*.html")
    assert f"Report: {page}" in table
