"""The report pages in a real browser: nothing is missing, blocked, asked of the network, or too wide."""

from pathlib import Path

import pytest

from a2inet_jax.report import run_files, run_page, runs_page
from a2inet_jax.report.sections import Examples
from tests.browser import CHROMIUM, look
from tests.run_inputs import make_run

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium")
PHONE = 390


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("pages")
    runs = []
    for name in ("demo", "a_run_of_a_name_that_is_longer_than_the_width_of_a_telephone"):
        cases = make_run(folder / name, name, seed=len(name), width=len(name))
        runs.append((run_files.read(folder / name), cases))
    # Of the second run the clips are not to be had, and the reason is a long word.
    runs[1] = runs[1][0], Examples(missing="data/features/" + 80 * "x")
    return {
        "one": run_page.write(folder / "demo", runs[0][1], [(2, "A2INet FR(S+S)")]),
        "several": runs_page.write_runs(folder / "report", runs),
    }


@pytest.mark.parametrize("name", ["one", "several"])
@pytest.mark.parametrize(("width", "dark"), [(1100, False), (1100, True), (PHONE, False)])
def test_page_is_whole(
    name: str, width: int, dark: bool, pages: dict[str, Path], tmp_path: Path
) -> None:
    seen = look(pages[name], tmp_path / "seen", width, dark)
    assert seen.complaints == []
    assert seen.requests == []
    assert len(seen.images) == 4 * 3  # clips, frames
    assert len(seen.drawings) == 1 + 4 + (4 if name == "several" else 2)
    assert all(wide == 320 and high == 180 for wide, high in seen.images)
    assert all(wide > 200 and high > 60 for wide, high in seen.drawings)
    assert seen.needed == seen.width
    assert seen.background == ("rgb(16, 20, 26)" if dark else "rgb(245, 246, 248)")


def test_a_bad_page_is_found_out(tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    policy = "<meta http-equiv='Content-Security-Policy' content=\"default-src 'none'\">"
    page.write_text(f"<!doctype html>{policy}<img src='x.png'>")
    seen = look(page, tmp_path / "blocked")
    assert "Content Security Policy" in seen.complaints[0]
    assert seen.images == [[0, 0]]
    page.write_text(
        "<!doctype html><img src='http://127.0.0.1:9/x.png'><p style='width:3000px'>wide"
    )
    seen = look(page, tmp_path / "asks")
    assert seen.requests == ["http://127.0.0.1:9/x.png"]
    assert seen.needed > 3000 > seen.width
