"""README.md and docs/: links, commands and code.

A block of commands is run as it stands, in the order of its page, unless a comment before it says why not:
`<!-- not run: needs KoNViD-1k -->`. `<!-- exit code 1: they differ -->` is said of its last command.
Networks are small ones, and the sample data set is one of twelve clips.
"""

import argparse
import re
import shlex
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from ml_collections import ConfigDict

from a2inet_jax import config_file, main
from a2inet_jax.commands.options import Parser, joined_overrides
from a2inet_jax.config import Experiment, config_dict
from a2inet_jax.configs import table4, table7
from a2inet_jax.datasets import lists, registry
from a2inet_jax.datasets.video import Video
from a2inet_jax.pipeline import table_plan
from tests.clips import run_ffmpeg
from tests.table_inputs import SMALL, clips, small_networks

ROOT = Path(__file__).parents[2]
README = ROOT / "README.md"
PAGES = [README, *sorted((ROOT / "docs").glob("*.md"))]
LINKED = [*PAGES, ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md"]

# Fields of every experiment here, before a command's own changes.
FIELDS = ("baselines=()", *SMALL)


@dataclass(frozen=True)
class Block:
    """A fenced block of a page.

    Attributes:
        page: The page.
        line: The number of its first line, from 1.
        language: As the fence has it.
        title: The name of the file that the reader makes of it; "" if none.
        text: The lines between the fences.
        not_run: Why it is not run; "" if it is.
        exit_code: The exit code of its last command.
    """

    page: Path
    line: int
    language: str
    title: str
    text: str
    not_run: str
    exit_code: int

    def __str__(self) -> str:
        return f"{self.page.name}:{self.line}"

    def commands(self) -> list[list[str]]:
        """Return the words of each command, without comments."""
        lines = self.text.replace("\\\n", " ").splitlines()
        return [words for line in lines if (words := shlex.split(line, comments=True))]


def blocks(page: Path) -> list[Block]:
    """Return a page's fenced blocks, whose markers must be understood."""
    found = []
    lines = page.read_text().splitlines()
    opened = 0
    for number, line in enumerate(lines, 1):
        if not line.lstrip().startswith("```"):
            continue
        if not opened:
            opened = number
            continue
        language, _, rest = lines[opened - 1].strip().removeprefix("```").partition(" ")
        title = re.fullmatch(r'title="([\w.]+)"', rest)
        before = lines[opened - 2].strip() if opened > 1 else ""
        reason, code = "", 0
        if before.startswith("<!--"):
            marker = re.fullmatch(r"<!-- (not run|exit code (\d+)): (\S.*) -->", before)
            assert marker, f"{page.name}:{opened - 1}: {before}"
            reason, code = (marker[3], 0) if marker[1] == "not run" else ("", int(marker[2]))
        text = "\n".join(lines[opened : number - 1])
        indent = len(line) - len(line.lstrip())
        text = re.sub(rf"^ {{{indent}}}", "", text, flags=re.MULTILINE) + "\n"
        name = title[1] if title else ""
        found.append(Block(page, opened + 1, language, name, text, reason, code))
        opened = 0
    assert not opened, f"{page.name}:{opened}: a block without an end"
    return found


BASH = [each for page in PAGES for each in blocks(page) if each.language == "bash"]
PYTHON = [each for page in PAGES for each in blocks(page) if each.language == "python"]


def prose(page: Path) -> str:
    """A page without its fenced blocks."""
    return re.sub(r"^ *```.*?^ *```", "", page.read_text(), flags=re.MULTILINE | re.DOTALL)


def anchors(page: Path) -> set[str]:
    """The anchors of a page's headings, as GitHub and Python-Markdown make them."""
    headings = re.findall(r"^#+ (.+)$", prose(page), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", each.lower()).strip().replace(" ", "-") for each in headings}


@pytest.mark.parametrize("page", LINKED, ids=lambda page: page.name)
def test_links_and_pictures_exist(page: Path) -> None:
    for link in re.findall(r"\]\(([^)\s]+)\)", prose(page)):
        if link.startswith("https://"):
            continue
        name, _, anchor = link.partition("#")
        target = (page.parent / name).resolve() if name else page
        assert target.exists(), f"{page.name}: {link}"
        if page.parent.name == "docs":  # the site has these pages alone
            assert target.parent == page.parent, f"{page.name}: {link} is outside docs/"
        if anchor:
            assert anchor in anchors(target), f"{page.name}: {link}"


def test_every_page_is_in_the_navigation() -> None:
    named = re.findall(r"[\w]+\.md", (ROOT / "mkdocs.yml").read_text())
    assert sorted(named) == sorted(page.name for page in PAGES if page != README)


def test_the_readme_is_short() -> None:
    assert len(README.read_text().splitlines()) <= 120


def parsed(words: Sequence[str]) -> argparse.Namespace:
    """Return the options parsed from the words after `a2inet`."""
    try:
        return main.parser().parse_args(joined_overrides(words))
    except SystemExit as error:
        raise AssertionError(f"a2inet {shlex.join(words)}: not a command line") from error


def a2inet(words: Sequence[str]) -> list[str] | None:
    """The words after `a2inet` of a command, also where a script of launch/ runs it; None of any other."""
    if words[0] == "a2inet":
        return list(words[1:])
    for n, word in enumerate(words):
        if word.startswith("launch/"):
            runs = re.findall(r"\ba2inet (\w+) .*\"\$@\"", (ROOT / word).read_text())
            return [runs[-1], *words[n + 1 :]] if runs else None
    return None


def check_config(options: argparse.Namespace) -> None:
    """Load all configs that a command line names, with its changes."""
    if options.verb == "table":
        table_plan.make(options.number, options.datasets, options.networks, options.overrides)
    elif options.verb == "data":
        config_file.resolve(config_dict(), options.overrides)
    elif spec := getattr(options, "config", ""):
        config_file.load(spec, options.overrides)
    for spec in getattr(options, "configs", ()):
        config_file.load(spec)


def write_files(page: Path) -> None:
    """Write the files that a page's reader makes of its blocks."""
    for block in PYTHON:
        if block.page == page and block.title:
            Path(block.title).write_text(block.text)


@pytest.mark.parametrize("block", BASH, ids=str)
def test_command_lines_parse_and_their_configs_load(
    block: Block, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    write_files(block.page)
    for words in block.commands():
        if given := a2inet(words):
            check_config(parsed(given))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_commands_in_sentences_exist(page: Path) -> None:
    """Verbs, actions and options of `a2inet …` in a line; arguments may be left out."""
    for span in re.findall(r"`a2inet ([^`]+)`", prose(page)):
        command: Any = main.parser()
        words = shlex.split(span)
        while command.verbs and words and not words[0].startswith("-") and words[0] != "VERB":
            assert words[0] in command.verbs.choices, f"{page.name}: a2inet {span}"
            command = command.verbs.choices[words.pop(0)]
        for option in (word.partition("=")[0] for word in words if word.startswith("--")):
            known = option in option_names(command) or option.startswith("--config.")
            assert known or option == "--help", f"{page.name}: a2inet {span}"


def option_names(command: Parser) -> set[str]:
    return {name for action in command._actions for name in action.option_strings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_fields_in_sentences_exist(page: Path) -> None:
    known = {f"{group}.{name}" for group, name in _fields()}
    groups = "|".join(sorted({group for group, _ in _fields()}))
    for span in re.findall(rf"`(?:--config\.)?((?:{groups})\.[a-z_]+)(?:=[^`]*)?`", prose(page)):
        if Path(span).suffix not in (".csv", ".json", ".mat", ".safetensors"):
            assert span in known, f"{page.name}: {span}"


def _fields() -> Iterator[tuple[str, str]]:
    for group, fields in Experiment().to_dict().items():
        if isinstance(fields, dict):
            yield from ((group, name) for name in fields)


@pytest.fixture(scope="module")
def small(quick_to_compile: None) -> Iterator[pytest.MonkeyPatch]:
    """Small networks, small experiments, and twelve clips for the sample data set."""
    with pytest.MonkeyPatch.context() as patch:
        small_networks(patch)
        resolve, prepare = config_file.resolve, registry.prepare
        list_videos, version = registry.list_videos, registry.version

        def resolved(config: ConfigDict, overrides: Sequence[str]) -> Experiment:
            return resolve(config, [*FIELDS, *overrides])

        def listed(name: str, data_dir: Path) -> list[Video]:
            if name == "sample":
                return lists.read_labelled(Path("sample_clips"))
            return list_videos(name, data_dir)

        def prepared(name: str, *arguments: Any) -> list[Path]:
            return [] if name == "sample" else prepare(name, *arguments)

        patch.setattr(config_file, "resolve", resolved)
        patch.setattr(registry, "list_videos", listed)
        patch.setattr(registry, "prepare", prepared)
        patch.setattr(registry, "version", lambda name: "0" if name == "sample" else version(name))
        # Two rows of a table are enough here: tests/commands/test_table_command.py makes all.
        patch.setattr(table4, "ROWS", {row: table4.ROWS[row] for row in ("SQ", "SS")})
        patch.setattr(table7, "ROWS", {row: table7.ROWS[row] for row in ("VSFA", "FE,S+S")})
        yield patch


@pytest.fixture(scope="module")
def home(small: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A reader's folder: videos, labels, and the runs of the demo, also with motion."""
    folder = tmp_path_factory.mktemp("home")
    small.setenv("A2INET_HOME", str(tmp_path_factory.mktemp("cache")))
    small.chdir(folder)
    clips(folder / "clips")
    clips(folder / "sample_clips")
    for name, source in (("video.mp4", "testsrc2"), ("other.mp4", "testsrc")):
        pattern = ["-f", "lavfi", "-i", f"{source}=s=64x48:r=5:d=2", "-pix_fmt", "yuv420p"]
        run_ffmpeg(*pattern, str(folder / name))
    (folder / "list.csv").write_text("path\nvideo.mp4\nother.mp4\n")
    for arguments in (["demo"], ["demo", "--config=sample_motion"]):
        assert main.main(arguments) == 0
    return folder


# Pages with several trainings, each of which takes a quarter of a minute to compile.
SLOW = ("configuration.md", "own_data.md", "tables.md", "training.md")


@pytest.mark.parametrize(
    "page",
    [pytest.param(p, marks=[pytest.mark.slow] if p.name in SLOW else []) for p in PAGES],
    ids=lambda page: page.name,
)
def test_what_a_page_says_can_be_done(
    page: Path, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(home, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    write_files(page)
    names: dict[str, Any] = {"__name__": "page"}
    for block in blocks(page):
        if block.not_run:
            continue
        if block.language == "bash":
            codes = [run(words, line) for words, line in zip(block.commands(), lines(block))]
            assert codes == [0] * (len(codes) - 1) + [block.exit_code], f"{block}\n{block.text}"
        elif block.language == "python":
            exec(compile(block.text, str(block), "exec"), names)


def lines(block: Block) -> list[str]:
    """The command lines of a block, as a shell reads them."""
    joined = block.text.replace("\\\n", " ").splitlines()
    return [line for line in joined if shlex.split(line, comments=True)]


def run(words: Sequence[str], line: str) -> int:
    """Run a command; `a2inet` in this process, and what installs it not at all."""
    if words[0] == "a2inet":
        return main.main(list(words[1:]))
    if words[0] == "pip":
        return 0
    return subprocess.run(["bash", "-c", line], check=False).returncode


@pytest.mark.parametrize("block", PYTHON, ids=str)
def test_python_compiles(block: Block) -> None:
    compile(block.text, str(block), "exec")
