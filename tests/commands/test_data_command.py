"""`a2inet data`: what it prints, writes and returns."""

import csv
import json
import re
from pathlib import Path

import pytest

from a2inet_jax.datasets import registry, splits
from a2inet_jax.datasets.verify import fingerprint
from a2inet_jax.main import main
from tests import dataset_inputs
from tests.clips import Clips


def run(
    data: Path,
    *arguments: str,
    manual: Path | None = None,
    full: bool = False,
    as_json: bool = False,
    out: Path | None = None,
    allow_missing: bool = False,
) -> int:
    fields = [f"--config.data.folder={data}"]
    fields += [f"--config.data.manual_dir={manual}"] if manual else []
    fields += [f"--config.data.allow_missing={allow_missing}"] if allow_missing else []
    options = ["--full"] * full + ["--json"] * as_json + [f"--out={out}"] * (out is not None)
    return main(["data", *arguments, *fields, *options])


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return dataset_inputs.tiny_video(tmp_path_factory.mktemp("clip") / "clip.mp4")


@pytest.fixture
def mine(clip: Path, tmp_path: Path) -> Path:
    """A data set of one's own: 10 videos, two of a content."""
    return custom_data_set(tmp_path / "mine", clip, 10)


def custom_data_set(folder: Path, clip: Path, num_videos: int) -> Path:
    names = [f"{k:02}.mp4" for k in range(num_videos)]
    dataset_inputs.under_names(clip, folder, names)
    lines = [f"{name},{k % 7},scene {k // 2}\n" for k, name in enumerate(names)]
    (folder / "labels.csv").write_text("path,mos,reference_id\n" + "".join(lines))
    return folder


def test_all_data_sets_are_listed(
    clip: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = dataset_inputs.excerpt("live_vqc")
    manual = tmp_path / "downloads"
    dataset_inputs.under_names(clip, manual / "Video", [name for name, _ in rows])
    dataset_inputs.live_vqc_mat(manual / "data.mat", rows)
    data = tmp_path / "data"
    assert run(data, "prepare", "live_vqc", manual=manual) == 0
    printed = capsys.readouterr().out
    assert f"live_vqc: {len(rows)} videos of {len(rows)} contents, labels " in printed
    assert "0 of them missing" in printed
    assert run(data, "list") == 0
    printed = capsys.readouterr().out
    lines = {line.split()[0]: line for line in printed.splitlines()}
    assert set(registry.NAMES) < set(lines)
    assert f"{len(rows)} videos" in lines["live_vqc"]
    assert "  no " in lines["konvid_1k"]
    assert "VMAF" in lines["sample"]
    assert run(data, "list", as_json=True) == 0
    records = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [record["name"] for record in records] == list(registry.NAMES)
    assert {r["name"]: r["videos"] for r in records if r["videos"]} == {"live_vqc": len(rows)}


def test_a_whole_data_set_is_good(
    mine: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = tmp_path / "data"
    assert run(data, "prepare", str(mine)) == 0
    assert run(data, "verify", str(mine)) == 0
    printed = capsys.readouterr().out
    assert "10 videos of 5 contents, labels 0 to 6; 10 good, 0 missing, 0 cannot" in printed
    assert fingerprint(registry.list_videos(str(mine), data)) in printed
    assert "first frames" in printed
    assert run(data, "verify", str(mine), full=True) == 0
    assert "first frames" not in capsys.readouterr().out


def test_damage_after_the_first_frame_is_seen_in_full(mine: Path, tmp_path: Path) -> None:
    damaged = Clips(tmp_path / "clips")["damaged_frames.mp4"]
    (mine / "03.mp4").unlink()
    damaged.rename(mine / "03.mp4")
    for full in (False, True):
        assert run(tmp_path / "data", "verify", str(mine), full=full) == int(full)


def test_what_is_wrong_is_listed(
    mine: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = tmp_path / "data"
    gone = [mine / f"{k:02}.mp4" for k in range(1, 8)]
    for path in gone:
        path.unlink()
    bad = mine / "09.mp4"
    bad.unlink()
    bad.write_text("This is not a video.\n")
    assert run(data, "prepare", str(mine)) == 1
    printed = capsys.readouterr().out
    assert "7 of them missing" in printed
    assert f"{gone[0]}: is missing" in printed
    assert "and 2 more" in printed
    assert run(data, "prepare", str(mine), allow_missing=True) == 0
    capsys.readouterr()
    assert run(data, "verify", str(mine)) == 1
    printed = capsys.readouterr().out
    assert f"{bad}: " in printed  # though many are missing
    assert "2 good, 7 missing, 1 cannot be decoded" in printed
    listing = data / f"{registry.unique_slug(str(mine))}-problems.csv"
    assert f"All of them, by id: {listing}" in printed
    with listing.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(row["video"], row["path"]) for row in rows] == [
        (path.name, str(path)) for path in (*gone, bad)
    ]
    assert [row["problem"] for row in rows[:7]] == ["is missing"] * 7
    assert "decode" in rows[7]["problem"]
    assert run(data, "verify", str(mine), as_json=True) == 1
    record = json.loads(capsys.readouterr().out)
    assert (record["good"], len(record["missing"])) == (2, 7)
    assert record["undecodable"] == [
        {"video": "09.mp4", "path": str(bad), "reason": rows[7]["problem"]}
    ]
    labels = mine / "labels.csv"
    kept = [line for line in labels.read_text().splitlines() if line[:2] not in ("09", *_ids(gone))]
    labels.write_text("\n".join(kept) + "\n")
    assert run(data, "verify", str(mine)) == 0
    assert not listing.exists()


def test_verify_looks_at_list_and_folder_as_they_are_now(
    clip: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data, manual = tmp_path / "data", tmp_path / "KoNViD"
    names = [f"{number}_original_centercrop_960x540_8s.mp4" for number in (101, 102)]
    dataset_inputs.under_names(clip, manual, names[:1])
    (manual / "KoNViD_1k_mos.csv").write_text("flickr_id,mos\n101,1.5\n102,2.5\n")
    assert run(data, "prepare", "konvid_1k", manual=manual) == 1
    capsys.readouterr()
    dataset_inputs.under_names(clip, manual / "later", names[1:])
    assert run(data, "verify", "konvid_1k") == 0
    before = capsys.readouterr().out
    assert "labels 1.5 to 2.5; 2 good, 0 missing" in before
    (manual / "KoNViD_1k_mos.csv").write_text("flickr_id,mos\n101,1.5\n102,3.5\n")
    assert run(data, "verify", "konvid_1k") == 0
    after = capsys.readouterr().out
    assert "labels 1.5 to 3.5; 2 good" in after
    assert before.splitlines()[-1] != after.splitlines()[-1]  # the fingerprint
    manual.rename(tmp_path / "elsewhere")
    assert run(data, "verify", "konvid_1k") == 1
    assert f"there is no folder {manual}" in capsys.readouterr().err


def test_findings_are_reported_where_no_file_of_them_can_be_written(
    mine: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (mine / "03.mp4").unlink()
    (tmp_path / "data").write_text("A file where the folder would be.")
    assert run(tmp_path / "data", "verify", str(mine)) == 1
    printed, error = capsys.readouterr()
    assert "cannot be written" in error
    assert "9 good, 1 missing" in printed
    assert "Fingerprint" in printed


def test_data_sets_in_folders_of_one_name_keep_files_of_their_own(
    clip: Path, tmp_path: Path
) -> None:
    data = tmp_path / "data"
    for folder in ("x/clips", "y/clips"):
        dataset_inputs.under_names(clip, tmp_path / folder, ["a.mp4"])
        (tmp_path / folder / "labels.csv").write_text("path,mos\na.mp4,1\nb.mp4,2\n")
        assert run(data, "verify", str(tmp_path / folder)) == 1
    listings = sorted(data.glob("clips-*-problems.csv"))
    assert len(listings) == 2
    dataset_inputs.under_names(clip, tmp_path / "y/clips", ["b.mp4"])
    assert run(data, "verify", str(tmp_path / "y/clips")) == 0
    (left,) = data.glob("clips-*-problems.csv")
    assert str(tmp_path / "x") in left.read_text()


def test_a_path_too_long_for_a_file_is_a_missing_video(
    mine: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    name = "x" * 300 + ".mp4"
    with (mine / "labels.csv").open("a") as labels:
        labels.write(f"{name},3,scene 99\n")
    data = tmp_path / "data"
    for command in ("prepare", "verify"):
        assert run(data, command, str(mine)) == 1
        assert f"{mine / name}: is missing" in capsys.readouterr().out
    with pytest.raises(FileNotFoundError, match="1 of 11 videos"):
        registry.load(str(mine), data)


def _ids(paths: list[Path]) -> list[str]:
    return [path.stem for path in paths]


def test_published_splits_are_imported(
    clip: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    mine, data = custom_data_set(tmp_path / "mine", clip, 20), tmp_path / "data"
    names = [f"old/{k:02}.avi" for k in range(19)]
    lines = [f"{n},{name}\n" for n, name in enumerate(names, start=1)]
    listing = tmp_path / "list.csv"
    listing.write_text("number,video\n" + "".join(lines))
    orders = [[(n * step) % 19 + 1 for n in range(19)] for step in range(1, 11)]
    file = tmp_path / "published.json"
    file.write_text(json.dumps({"permutations": orders}))
    assert run(data, "splits", str(mine), str(file), str(listing)) == 0
    printed = capsys.readouterr().out
    path = data / "splits" / f"{registry.unique_slug(str(mine))}-published.json"
    found = splits.read(path)
    assert len(found) == 10
    assert found[0].train == tuple(f"{k:02}.mp4" for k in range(12))
    assert "10 splits, the first with 12 to train, 4 to validate, 3 to test on" in printed
    assert "In no subset, since the published list lacks them (1): 19.mp4" in printed
    leaking = splits.count_shared_contents(found, registry.list_videos(str(mine), data))
    assert f"{leaking} of 10 contents have videos in two subsets" in printed
    assert f"--config.splits.file={path}" in printed.replace("\n", "")
    (mine / "labels.csv").write_text(
        "".join((mine / "labels.csv").read_text().splitlines(keepends=True)[:-2])
    )
    assert run(data, "splits", str(mine), str(file), str(listing)) == 1
    assert re.search(r"1 of 19 videos .*old/18\.avi", capsys.readouterr().err)
    out = tmp_path / "mine.json"
    arguments = ("splits", str(mine), str(file), str(listing))
    assert run(data, *arguments, out=out, allow_missing=True) == 0
    assert "Left out, since the data set lacks them (1): old/18.avi" in capsys.readouterr().out
    assert len(splits.read(out)) == 10


def test_videos_without_a_label_are_reported(
    clip: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    names = ["Animation_1080P-01b3", "Animation_1080P-05f8", "Animation_1080P-0cdf"]
    manual = tmp_path / "manual" / "youtube_ugc"
    dataset_inputs.under_names(clip, manual, [f"{name}.mp4" for name in names])
    lines = f"vid,MOS full\n{names[0]},1.5\n{names[1]},2.5\n{names[2]},\n"
    (manual / "MOS_for_YouTube_UGC_dataset.csv").write_text(lines)
    assert run(tmp_path, "prepare", "youtube_ugc") == 0
    printed = capsys.readouterr().out
    assert "2 videos of 2 contents" in printed
    assert f"Left out, since the list has no label for them (1): {names[2]}" in printed
    assert run(tmp_path, "verify", "youtube_ugc", as_json=True) == 0
    assert json.loads(capsys.readouterr().out)["unlabelled"] == [names[2]]


@pytest.mark.parametrize(
    "arguments", [[], ["list", "x"], ["verify"], ["splits", "x"], ["get", "x"]]
)
def test_other_commands_are_refused(
    tmp_path: Path, arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit, match="2"):
        run(tmp_path, *arguments)
    assert "a2inet data" in capsys.readouterr().err


def test_fields_of_other_groups_are_refused(capsys: pytest.CaptureFixture[str]) -> None:
    for field in ("train.epochs=3", "data.name=x"):
        with pytest.raises(SystemExit, match="2"):
            main(["data", "prepare", "sample", f"--config.{field}"])
        assert f"--config.{field}: only fields of data" in capsys.readouterr().err


def test_other_names_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for command in ("prepare", "verify"):
        assert run(tmp_path, command, "konvid") == 1
        assert "no data set 'konvid'" in capsys.readouterr().err
    assert run(tmp_path, "verify", "konvid_1k") == 1
    assert "a2inet data prepare konvid_1k" in capsys.readouterr().err
