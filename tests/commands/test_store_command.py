import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

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
    # All stores in a folder, each once.
    assert run("verify", str(tmp_path), str(store_of(tmp_path / "two").folder)) == 0
    assert capsys.readouterr().out.count(": 3 good, 0 bad") == 2


def test_bad_files_are_reported_removed_and_only_they(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store = store_of(tmp_path)
    good = store.path("a").read_bytes()
    store.path("b").write_bytes(good[:50])
    store.path("c").write_bytes(good)
    strangers = [store.folder / name for name in ("failures.csv", "weights.npz", "x.part")]
    beside = tmp_path / "weights.safetensors"
    for stranger in (*strangers, beside):
        stranger.write_bytes(b"mine")
    (store.folder / f".0.{'elsewhere-0'}.part").write_bytes(b"half")
    assert run("verify", str(tmp_path)) == 1
    printed = capsys.readouterr().out
    assert f"{store.path('b')}: is damaged" in printed
    assert (
        f"{store.path('c')}: holds the features that belong in {store.folder.name}/{store.path('a').name}"
        in printed
    )
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
    assert beside.read_bytes() == b"mine"
    assert sorted(path.name for path in store.folder.iterdir()) == sorted(
        [store.path("a").name, *(path.name for path in strangers), ".0.elsewhere-0.part"]
    )
    assert store.path("a").read_bytes() == good
    assert run("repair", str(tmp_path)) == 0
    assert RUN not in capsys.readouterr().out


def test_two_recipes_are_reported(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    store = store_of(tmp_path)
    other = Store(tmp_path / "other", dataclasses.replace(RECIPE, dtype="bfloat16"))
    other.write("v", features(), "1000 bytes")
    other.path("v").rename(store.path("v"))
    for action in ("verify", "repair"):
        assert run(action, str(store.folder)) == 1
        printed = capsys.readouterr().out
        assert f"holds the features that belong in {other.folder.name}/v" in printed
    assert len(list(store.folder.glob("*.safetensors"))) == 4
    assert run("list", str(store.folder)) == 1
    printed = capsys.readouterr().err
    assert RECIPE.fingerprint() in printed
    assert other.recipe.fingerprint() in printed
    assert store.missing("abc") == []


def test_forged_widths_and_numbers_of_frames_are_damage(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store = store_of(tmp_path)
    store.write("a", features(width=7), "1000 bytes")
    store.write("b", features(frames=17), "1000 bytes")
    assert run("verify", str(tmp_path)) == 1
    printed = capsys.readouterr().out
    assert f"{store.path('a')}: holds 7 features a frame, not the 6 of good" in printed
    assert f"{store.path('b')}: holds 17 frames, more than the 16 of its recipe" in printed
    assert run("list", str(tmp_path)) == 1
    assert "remove it and run `a2inet extract`" in capsys.readouterr().err
    assert run("repair", str(tmp_path)) == 0
    assert store.missing("abc") == ["a", "b"]


def test_stores_of_an_earlier_version_are_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """In their own folder, and where a folder of stores is named."""
    arrays = {"quality": np.zeros((5, 6), np.float16), "semantic": np.zeros((5, 4), np.float16)}
    fields = {"video_id": "v", "recipe": json.dumps({"quality": "good", "sampling": {}})}
    name = "v.0123456789abcdef.safetensors"
    for folder in (tmp_path / "set-1-0123456789abcdef", tmp_path / "mine"):
        folder.mkdir()
        save_file(arrays, folder / name, {"record": json.dumps(fields)})
        for action in ("list", "verify", "repair"):
            assert run(action, str(folder)) == 1
            printed = capsys.readouterr()
            assert "version of a2inet_jax: take another folder" in printed.out + printed.err
            assert name in printed.out + printed.err
        assert (folder / name).exists()


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
    assert (records[0]["backbone"], records[0]["width"]) == ("good", 6)
    assert records[0]["size"] == store.path("a").stat().st_size


@pytest.mark.parametrize(
    ("options", "written", "name"),
    [
        (
            (),
            "a TFDS data set of 1 split, for tfds.builder_from_directory",
            "dataset_info.json",
        ),
        (("--format=parquet",), "1 Parquet file, a row a frame", "part_000.parquet"),
        (("--format=npz",), "3 npz files, one a video", "a.npz"),
    ],
)
def test_export_writes_a_folder(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    options: tuple[str, ...],
    written: str,
    name: str,
) -> None:
    store_of(tmp_path / "store")
    out = f"--out={tmp_path / 'set'}"
    assert run("export", str(tmp_path / "store"), out, "--verbose", *options) == 0
    said = capsys.readouterr()
    (line,) = said.out.splitlines()
    assert line == f"{tmp_path / 'set'}: {written}"
    progress = [line for line in said.err.splitlines() if line.startswith("export")]
    assert "export    3/3 c" in progress
    assert (tmp_path / "set" / name).exists()


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
    empty = tmp_path / RECIPE.folder_name()
    for action in ("verify", "repair"):
        assert run(action, str(tmp_path)) == 1
        assert "holds no feature files" in capsys.readouterr().err
        empty.mkdir(exist_ok=True)
        assert run(action, str(empty)) == 1
        assert "holds no feature files" in capsys.readouterr().out
    # Nor does what is none disturb a store.
    assert Store(tmp_path, RECIPE).missing(["v"]) == ["v"]
