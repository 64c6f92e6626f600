"""The report pages in a real browser: nothing is missing, blocked, loaded from the network or too wide."""

from pathlib import Path

import pytest

from a2inet_jax.report import page, run_files
from a2inet_jax.report.examples import Examples
from tests.browser import CHROMIUM, open_page
from tests.run_inputs import make_run

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium")
WIDTH, PHONE_WIDTH = 1280, 390


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("pages")
    runs = []
    for name in ("demo", "a_run_of_a_name_that_is_longer_than_the_width_of_a_telephone"):
        examples = make_run(folder / name, name, seed=len(name), width=len(name))
        runs.append((run_files.read(folder / name), examples))
    # The second run has no examples, for a reason that is a long word.
    runs[1] = runs[1][0], Examples(reason_missing="data/features/" + 80 * "x")
    return {
        "one": page.write(folder / "demo", runs[:1], (), [[(2, "A2INet FR(S+S)")]]),
        "several": page.write(folder / "report", runs),
    }


@pytest.mark.parametrize("name", ["one", "several"])
@pytest.mark.parametrize("width", [WIDTH, PHONE_WIDTH])
@pytest.mark.parametrize("dark", [False, True])
def test_page_is_complete(
    name: str, width: int, dark: bool, pages: dict[str, Path], tmp_path: Path
) -> None:
    seen = open_page(pages[name], tmp_path / "seen", width, dark)
    assert seen.console == []
    assert seen.requests == []
    assert len(seen.images) == 4 * 3  # examples, frames
    assert len(seen.drawings) == 1 + 4 + (4 if name == "several" else 2)
    assert all(width == 480 and height == 270 for width, height in seen.images)
    assert all(width > 200 and height > 60 for width, height in seen.drawings)
    assert seen.videos == [[640, 360, pytest.approx(2, abs=0.1)]] * 4
    assert seen.content_width == seen.width
    assert seen.background == ("rgb(16, 20, 26)" if dark else "rgb(245, 246, 248)")
    assert seen.contrast >= 4.5
    small, large, again = seen.enlarged
    assert large > 2 * small
    assert large <= width
    assert again == small


def test_a_bad_page_is_detected(tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    policy = "<meta http-equiv='Content-Security-Policy' content=\"default-src 'none'\">"
    page.write_text(f"<!doctype html>{policy}<img src='x.png'>")
    seen = open_page(page, tmp_path / "blocked")
    assert "Content Security Policy" in seen.console[0]
    assert seen.images == [[0, 0]]
    page.write_text(
        "<!doctype html><img src='http://127.0.0.1:9/x.png'><p style='width:3000px'>wide"
    )
    seen = open_page(page, tmp_path / "loads")
    assert seen.requests == ["http://127.0.0.1:9/x.png"]
    assert seen.content_width > 3000 > seen.width
    page.write_text("<!doctype html><body style='background: white'><p style='color: #888'>faint")
    assert 3 < open_page(page, tmp_path / "faint").contrast < 4.5
    page.write_text("<!doctype html><video src='data:video/mp4;base64,AAAA'></video>")
    assert open_page(page, tmp_path / "broken").videos == [[0, 0, 0]]
