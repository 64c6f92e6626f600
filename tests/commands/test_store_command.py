import dataclasses
import json
from pathlib import Path

import pytest

from a2inet_jax.features.store import Store
from a2inet_jax.main import main
from tests.store_inputs import RECIPE, features

RUN = "`a2inet extract`, with the same arguments, makes the removed ones again"


def store_of(folder: Path) -> Store:
    store = Store(folder, RECIPE)
    for number, name in enumerate("abc"):
        store.write(name, features(seed=number), "1000 bytes")
    return store


def run(*arguments: str) -> int:
    return main(["store", *arguments])


def test_good_stores_are_good(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    store_of(tmp_path / "one")
    store_of(tmp_path / "two")
    assert run("verify", str(tmp_path / "one"), str(tmp_path / "two")) == 0
    assert capsys.readouterr().out.count(": 3 good, 0 bad") == 2


def test_bad_files_are_reported_removed_and_only_they(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store = store_of(tmp_path)
    good = store.path("a").read_bytes()
    store.path("b").write_bytes(good[:50])
    store.path("c").write_bytes(good)
    strangers = [tmp_path / name for name in ("failures.csv", "weights.safetensors", "x.part")]
    for stranger in strangers:
        stranger.write_bytes(b"mine")
    (tmp_path / f".0.{'elsewhere-0'}.part").write_bytes(b"half")
    assert run("verify", str(tmp_path)) == 1
    printed = capsys.readouterr().out
    assert f"{store.path('b')}: is damaged" in printed
    assert f"{store.path('c')}: holds the features that belong in {store.path('a').name}" in printed
    assert ".0.elsewhere-0.part: left over, or being written" in printed
    assert "1 good, 2 bad" in printed
    # What lies under another's name is whole: `extract` puts the right one over it.
    assert run("repair", str(tmp_path)) == 1
    printed = capsys.readouterr().out
    assert f"{store.path('b')}: is damaged" in printed
    assert "left as it is" in printed
    store.path("c").unlink()
    assert RUN in printed
    assert Store(tmp_path / "again", RECIPE).missing("a") == ["a"]
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(
        [store.path("a").name, *(path.name for path in strangers), ".0.elsewhere-0.part"]
    )
    assert store.path("a").read_bytes() == good
    assert run("repair", str(tmp_path)) == 0
    assert RUN not in capsys.readouterr().out


def test_two_recipes_are_reported(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    store = store_of(tmp_path)
    other = Store(tmp_path / "other", dataclasses.replace(RECIPE, dtype="bfloat16"))
    other.write("v", features(), "1000 bytes")
    other.path("v").rename(tmp_path / other.path("v").name)
    for action in ("verify", "repair"):
        assert run(action, str(tmp_path)) == 1
        assert "holds files of 2 recipes" in capsys.readouterr().out
    assert len(list(tmp_path.glob("*.safetensors"))) == 4
    assert run("list", str(tmp_path)) == 1
    assert "2 recipes" in capsys.readouterr().err
    assert store.missing("abc") == []


def test_a_list_for_people_and_one_for_programs(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store = store_of(tmp_path)
    assert run("list", str(tmp_path)) == 0
    printed = capsys.readouterr().out
    assert "3 videos, 15 frames" in printed
    assert RECIPE.fingerprint() in printed
    assert run("list", str(tmp_path), "--json") == 0
    records = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [record["video_id"] for record in records] == list("abc")
    assert records[0]["frames"] == 5
    assert records[0]["widths"] == {"quality": 6, "semantic": 4}
    assert records[0]["size"] == store.path("a").stat().st_size


def test_export_writes_a_folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    store_of(tmp_path / "store")
    out = f"--out={tmp_path / 'set'}"
    assert run("export", str(tmp_path / "store"), out, "--verbose") == 0
    said = capsys.readouterr()
    (line,) = said.out.splitlines()
    assert (
        line == f"{tmp_path / 'set'}: a TFDS data set of 1 split, for tfds.builder_from_directory"
    )
    progress = [line for line in said.err.splitlines() if line.startswith("export")]
    assert "export    3/3 c" in progress
    assert (tmp_path / "set" / "dataset_info.json").exists()


@pytest.mark.parametrize(
    "arguments", [(), ("verify",), ("list",), ("repair",), ("burn", "x"), ("export", "store")]
)
def test_what_is_no_command(arguments: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        run(*arguments)
    assert "a2inet store" in capsys.readouterr().err


def test_what_is_no_folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for action in ("verify", "list", "repair"):
        assert run(action, str(tmp_path / "none")) == 1
        assert "is not a folder: name one" in capsys.readouterr().err


def test_a_folder_without_features_is_not_good(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "model.safetensors").write_bytes(b"mine")
    for action in ("verify", "repair"):
        assert run(action, str(tmp_path)) == 1
        assert "holds no feature files" in capsys.readouterr().out
    # Nor does what is none disturb a store.
    assert Store(tmp_path, RECIPE).missing(["v"]) == ["v"]
