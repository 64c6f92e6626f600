"""Tables of the paper, made on small clips with small networks; the way is that of real ones."""

import csv
import importlib
import json
import re
from pathlib import Path
from typing import Any

import jax
import pytest

from a2inet_jax import config_file
from a2inet_jax.build import essence
from a2inet_jax.config import Experiment
from a2inet_jax.configs import rows as paper_rows
from a2inet_jax.errors import ConfigError, DivergedError
from a2inet_jax.features.extractor import Extractor
from a2inet_jax.pipeline import extract, report, table, table_plan, train
from a2inet_jax.training.runtime import TerminatedError
from tests.table_inputs import CLIPS, SMALL, clips, small_networks


@pytest.fixture
def here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, quick_to_compile: None
) -> pytest.MonkeyPatch:
    """A working folder with clips/labels.csv, and small networks."""
    clips(tmp_path / "clips")
    monkeypatch.chdir(tmp_path)
    small_networks(monkeypatch)
    return monkeypatch


def only(patch: pytest.MonkeyPatch, number: int, *rows: str) -> None:
    """Leave a table these rows, and no page."""
    file = importlib.import_module(f"a2inet_jax.configs.table{number}")
    patch.setattr(file, "ROWS", {row: file.ROWS[row] for row in rows})
    patch.setattr(report, "report_table", lambda sheet, folder: folder / "report.html")


def make(number: int, *changes: str, networks: str = "index", sets: Any = ("clips",)) -> int:
    return table.table(number, sets, networks, (*SMALL, *changes))


def folder(number: int) -> Path:
    """The folder of the only table of this number; six digits stand for the fields that were set."""
    (found,) = Path("runs/tables").glob(f"table{number}-clips-*")
    assert re.fullmatch(rf"table{number}-clips(-others)?-[0-9a-f]{{6}}", found.name)
    return found


def sheet(number: int) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder(number) / "table.json").read_text())
    return found


def cells(number: int) -> dict[str, dict[str, Any]]:
    return {row["row"]: row["cells"]["clips"] for row in sheet(number)["rows"]}


def test_a_table_is_made_and_what_lacks_weights_is_skipped(
    here: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    small_networks(here, missing=("i3d_kinetics400",))
    assert make(4) == 1
    found = cells(4)
    skipped = {row for row, cell in found.items() if "skipped" in cell}
    assert skipped == {"MS", "SQ+MS", "SS+MS"}
    assert found["MS"] == {"skipped": "i3d_kinetics400 has to be downloaded by hand"}
    assert all(-1 <= found[r]["summary"]["srcc"]["median"] <= 1 for r in ("SQ", "SS", "SQ+SS"))
    said = sheet(4)["comparisons"]
    assert [line.split(": ")[0] for line in said] == ["SQ − SS on clips/", "SQ − SQ+SS on clips/"]
    printed = capsys.readouterr().out
    assert "has to be downloaded by hand" in printed
    assert "0.8261" in printed  # the paper's SRCC of SQ on KoNViD-1k
    rows = list(csv.DictReader((folder(4) / "table.csv").read_text().splitlines()))
    assert {row["row"] for row in rows} == set(found)
    made_here = [row for row in rows if row["row"] == "SQ" and row["dataset"] == "clips/"]
    for row in made_here:
        assert (row["epoch_rule"], row["splits"], row["trained_on"]) == ("last", "2", "clips/")
    assert len(made_here) == 2
    assert (folder(4) / "table.tex").read_text().count(r"\begin{tabular}")
    page = (folder(4) / "report.html").read_text()
    summaries = re.findall(r"<summary>([^<]+) <span>SRCC", page)
    assert summaries == ["SQ", "SS", "SQ+SS"]  # the runs by their rows

    # The weights arrive: only what was left is made.
    small_networks(here)
    trained: list[str] = []
    keep = train.train_jointly

    def made(runs: Any) -> None:
        trained.extend(run.config.name for run in runs)
        keep(runs)

    here.setattr(train, "train_jointly", made)
    assert make(4) == 0
    assert len(trained) == 3
    again = cells(4)
    assert {row: again[row] for row in ("SQ", "SS", "SQ+SS")} == {
        row: found[row] for row in ("SQ", "SS", "SQ+SS")
    }
    trained.clear()
    assert make(4) == 0
    assert trained == []


def test_what_can_t_be_trained_is_refused_before_anything_is_extracted(
    here: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(config: Any) -> int:
        raise AssertionError("extracted")

    here.setattr(extract, "extract", fail)
    with pytest.raises(ConfigError, match=r"train\.epochs is -1; it takes an integer at least 1"):
        make(4, "train.epochs=-1")
    # Twelve clips of few contents: so many splits do not exist.
    assert make(4, "splits.num_splits=100000", "splits.test_fraction=0.1") == 1
    assert all("splits of" in cell["skipped"] for cell in cells(4).values())


def test_rows_that_a_change_makes_one_are_refused() -> None:
    changes = [
        "features.num_frames=4",
        "features.short_side_px=0",
        "features.num_patches=0",
    ]
    with pytest.raises(ValueError, match=r"rows PR,S\+S and FR,S\+S are then one"):
        table_plan.make(2, ["konvid_1k"], "index", changes)
    assert len(table_plan.make(2, ["konvid_1k"], "index", changes[:1]).runs()) == 4


def test_all_reasons_are_reported(capsys: pytest.CaptureFixture[str]) -> None:
    work = table.Attempts(dict.fromkeys("ab", Experiment()), {"a": "first row", "b": "second row"})
    for names, reason in ((["a"], "one"), (["a", "b"], "two"), (["a"], "one")):
        work.attempt(names, lambda: 1, reason)
    assert work.skipped == {"a": "one; two", "b": "two"}
    assert "skipped first row, second row: two" in capsys.readouterr().out


def test_networks_describe_each_clip_once(here: pytest.MonkeyPatch) -> None:
    computed: list[str] = []
    compute = Extractor.compute

    def noted(self: Extractor, frames: Any, positions: Any, device: int = 0) -> Any:
        computed.extend(self.networks[name].backbone.name for name in positions)
        return compute(self, frames, positions, device)

    def fail(runs: Any) -> None:
        raise DivergedError("it is not about training")

    here.setattr(Extractor, "compute", noted)
    here.setattr(train, "train_jointly", fail)
    assert make(4) == 1
    # Six frames of twelve clips: two chunks of four, one clip of eight.
    assert {name: computed.count(name) for name in set(computed)} == {
        "resnet18_fdim": 24,
        "efficientnet_lite0": 24,
        "i3d_kinetics400": 12,
    }


def test_rows_of_one_shape_train_as_one_program(here: pytest.MonkeyPatch) -> None:
    together: list[list[str]] = []
    keep = train.train_jointly

    def made(runs: Any) -> None:
        together.append([run.config.name for run in runs])
        keep(runs)

    here.setattr(train, "train_jointly", made)
    only(here, 2, "PR,S+S", "FR,S+S", "FR,S+M")
    assert make(2, "features.patch_size_px=32") == 0
    assert [len(names) for names in together] == [2, 1]  # those of S+S, and S+M alone
    assert len(cells(2)) == 3
    for names in together:
        for name in names:
            run = Path("runs") / name
            assert len((run / "a2inet" / "history.csv").read_text().splitlines()) == 1 + 2 * 2
            assert (run / "model.safetensors").is_file()


def test_equal_experiments_of_several_tables_are_one_run() -> None:
    names: dict[int, dict[str, str]] = {}
    for number in paper_rows.TABLES:
        plan = table_plan.make(number, ["konvid_1k"])
        names[number] = {plan.rows[row]: c.name for (row, _), c in plan.configs.items()}
    assert names[4]["SQ+SS"] == names[5]["Concat CNN+CNN"] == names[7]["(S+S) FE"]
    assert names[6]["CGIN (S+M)"] == names[7]["(S+M) FE+GC+TM"] == names[2]["A2INet FR(S+M)"]
    every = [name for rows in names.values() for name in rows.values()]
    # Ten repetitions within Tables 2 and 4 to 7; Table 3's rows are those of Table 2.
    assert len(every) - len(set(every)) == 10 + 4
    longer = table_plan.make(4, ["konvid_1k"], overrides=["train.epochs=41"])
    assert not {c.name for c in longer.configs.values()} & set(names[4].values())


def test_what_is_not_the_paper_s_is_said() -> None:
    assert table_plan.make(4, ["konvid_1k"]).notes == []
    (sample,) = table_plan.make(4, ["sample"]).notes
    assert "resnet18_fdim for resnet34_unique" in sample
    assert "configs/sample.py" in sample
    notes = table_plan.make(4, ["konvid_1k"], "index", ["train.epochs=3"]).notes
    assert notes[0].startswith("KoNViD-1k: other networks than the paper's (")
    assert notes[1] == "Fields that were set: train.epochs=3."


def rows_of(config: Experiment) -> list[tuple[int, str]]:
    return paper_rows.named(config.paper_row)


def test_a_run_records_its_rows() -> None:
    for number in paper_rows.TABLES:
        plan = table_plan.make(number, ["live_vqc"])
        for (row, _), config in plan.configs.items():
            assert (number, plan.rows[row]) in rows_of(config)
    # The row is what it is, however long it is trained, and on whatever data set.
    longer = config_file.load("table6:cgin,S+S@live_vqc", ["train.epochs=3"])
    assert (2, "A2INet FR(S+S)") in rows_of(longer)
    custom = table_plan.make(4, ["./mine/labels.csv"]).configs["SQ+MS", "./mine/labels.csv"]
    assert (4, "SQ+MS") in rows_of(custom)
    assert rows_of(config_file.load("sample")) == rows_of(config_file.load("dataset:konvid_1k"))
    assert (2, "A2INet FR(S+M)") in rows_of(config_file.load("sample_motion"))


def test_rows_of_several_tables_are_those_that_are_built_alike() -> None:
    built: dict[str, Any] = {}
    for number in paper_rows.TABLES:
        for row in paper_rows.definition(number).ROWS:
            built[f"table{number}:{row}"] = essence(config_file.load(f"table{number}:{row}"))
    for row, its in built.items():
        assert set(paper_rows.same(row)) == {other for other in built if built[other] == its}


def test_a_row_that_does_not_exist_is_refused() -> None:
    for row in ("table9:x", "table4:QS", "FR,S+S"):
        with pytest.raises(ConfigError, match=r"no table|no such row"):
            paper_rows.named(row)


@pytest.mark.parametrize(
    "change",
    [
        "model.normalization=fgin_q_to_s",
        "model.norm_axis=channel",
        "model.width=512",
        "model.pooling=mean",
        "model.tau=6",
        "model.hidden=64",
        "model.neck=64",
        "model.reduction=2",
        "model.dtype=bfloat16",
        "features.num_frames=77",
        "features.dtype=bfloat16",
        "features.quality_weights=mine.safetensors",
        "features.semantic_normalization=half",
        "features.short_side_px=300",
    ],
)
def test_a_run_with_another_field_is_of_no_row(change: str) -> None:
    config = config_file.load("table2:FR,S+S@live_vqc", [change])
    assert config.paper_row == ""
    assert rows_of(config) == []


@pytest.mark.parametrize(
    ("row", "change"),
    [
        ("table2:FR,S+S", "model.dropout=0.1"),
        ("table2:FR,S+S", "model.tail=7"),
        ("table2:FR,S+S", "features.chunk_frames=2"),
        ("table2:FR,S+S", "features.memory_gib=9.0"),
        ("table2:FR,S+S", "features.patch_size_px=99"),
        ("table2:FR,S+S", "features.clip_spacing=2"),
        ("table2:FR,S+S", "features.semantic_weights=resnet50_imagenet"),
        ("table2:FR,S+S", "features.quality=resnet18_fdim"),  # the index's network for the paper's
        ("table4:SS", "features.quality=maniqa"),
        ("table4:SS", "model.width=3"),
        ("table5:Concat+MLP,CNN+CNN", "model.norm_axis=channel"),
        ("table7:FE+GC,S+S", "model.kernel=5"),
    ],
)
def test_fields_without_an_effect_leave_a_run_its_rows(row: str, change: str) -> None:
    before = config_file.load(f"{row}@live_vqc")
    assert rows_of(before)
    assert config_file.load(f"{row}@live_vqc", [change]).paper_row == before.paper_row


def test_each_table_has_a_folder_of_its_own() -> None:
    asked: list[tuple[Any, ...]] = [
        (4, ["konvid_1k"]),
        (4, ["live_vqc"]),
        (4, ["konvid_1k", "live_vqc"]),
        (4, ["konvid_1k"], "index"),
        (4, ["konvid_1k"], "index", ["train.epochs=3"]),
        (4, ["konvid_1k"], "", ["train.epochs=3"]),
        (4, ["./one/clips"]),
        (4, ["./other/clips"]),
    ]
    names = [table_plan.make(*each).name for each in asked]
    assert names[:3] == ["table4-konvid_1k", "table4-live_vqc", "table4-konvid_1k-live_vqc"]
    assert all(re.fullmatch(r"table4-konvid_1k-[0-9a-f]{6}", name) for name in names[3:6])
    assert all(re.fullmatch(r"table4-clips-[0-9a-f]{6}", name) for name in names[6:])
    assert len(set(names)) == len(names)
    assert table_plan.make(4, []).name == "table4-live_qualcomm-live_vqc-konvid_1k"


def test_a_run_that_diverges_is_skipped_alone(here: pytest.MonkeyPatch) -> None:
    keep = train.train_jointly

    def made(runs: Any) -> None:
        if any(run.config.features.num_frames == 0 for run in runs):
            raise DivergedError("split 1, epoch 1: a parameter is not finite")
        keep(runs)

    here.setattr(train, "train_jointly", made)
    only(here, 2, "PR,S+S", "FR,S+S")
    assert make(2, "features.patch_size_px=32") == 1
    found = cells(2)
    assert found["A2INet FR(S+S)"] == {"skipped": "split 1, epoch 1: a parameter is not finite"}
    assert "summary" in found["A2INet PR(S+S)"]


@pytest.mark.slow
def test_runs_too_large_together_are_trained_alone(here: pytest.MonkeyPatch) -> None:
    keep = train.train_jointly

    def made(runs: Any) -> None:
        if len(runs) > 1:
            raise jax.errors.JaxRuntimeError("RESOURCE_EXHAUSTED: out of memory")
        keep(runs)

    here.setattr(train, "train_jointly", made)
    only(here, 2, "PR,S+S", "FR,S+S")
    assert make(2, "features.patch_size_px=32", "splits.num_splits=3") == 0
    assert all(cell["splits"] == 3 for cell in cells(2).values())
    assert sheet(2)["datasets"][0]["videos"] == CLIPS


def test_changed_labels_are_not_taken_for_the_old_ones(
    here: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    only(here, 7, "VSFA")
    assert make(7) == 0
    listing = tmp_path / "clips" / "labels.csv"
    listing.write_text(listing.read_text().replace(",1.0,", ",2.5,"))
    assert make(7) == 1
    skipped = cells(7)["VSFA baseline"]["skipped"]
    assert "inputs.labels" in skipped
    assert "remove the folder to train again" in skipped
    assert "--config=" not in skipped
    assert re.search(r"[0-9a-f]{64}", skipped) is None


def test_being_stopped_is_no_skip(here: pytest.MonkeyPatch) -> None:
    def stop(runs: Any) -> None:
        raise TerminatedError("asked to stop")

    here.setattr(train, "train_jointly", stop)
    assert make(4) == 128 + 15
    assert not Path("runs/tables").exists()


def test_table_3_tests_on_other_data_sets(here: pytest.MonkeyPatch, tmp_path: Path) -> None:
    clips(tmp_path / "others")
    only(here, 3, "FR,S+S")
    assert make(3, "features.patch_size_px=32", sets=("clips", "others")) == 0
    row = sheet(3)["rows"][0]
    assert set(row["cells"]) == {"clips", "others"}
    assert row["cells"]["others"]["trained_on"] == "clips/"
    assert row["cells"]["others"]["run"] == row["cells"]["clips"]["run"]


@pytest.mark.slow
def test_weighted_average_over_data_sets(here: pytest.MonkeyPatch, tmp_path: Path) -> None:
    clips(tmp_path / "others")
    listing = tmp_path / "others" / "labels.csv"
    listing.write_text("".join(listing.read_text().splitlines(keepends=True)[:11]))  # ten clips
    only(here, 7, "VSFA")
    assert make(7, sets=("clips", "others")) == 0
    for row in sheet(7)["rows"]:
        one, other = (
            row["cells"][name]["summary"]["srcc"]["median"] for name in ("clips", "others")
        )
        average = sheet(7)["weighted_average"][row["row"]]["srcc"]
        assert average == pytest.approx((12 * one + 10 * other) / 22, abs=1e-5)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((8, ["sample"]), "no table 8"),
        ((4, ["no_set"]), "no data set 'no_set'"),
        ((4, ["sample", "sample"]), "named twice"),
        ((4, ["clips/labels.csv", "./clips"]), "named twice"),
        ((4, ["sample"], "", ["train.epoch=3"]), "train.epoch: did you mean train.epochs"),
        ((4, ["sample"], "", ["train.epochs=many"]), "train.epochs takes an integer"),
        ((4, ["sample"], "", ["train.epochs"]), "train.epochs takes an integer"),
        ((4, ["sample"], "", ["train.epochs=None"]), "train.epochs takes an integer"),
        ((4, ["sample"], "", ["train={}"]), "train is a group of fields"),
        ((4, ["sample"], "", ["name=x"]), "rows have a name of their own"),
        ((4, ["sample"], "", ["data.name=x"]), "rows have a data.name of their own"),
        ((4, ["sample"], "", ["model.streams=('quality',)"]), "rows have a model.streams"),
        ((4, ["sample"], "", ["baselines=('concat',)"]), "rows have a baselines"),
        ((2, ["lsvq_1080p"]), "for testing only"),
        ((2, [""]), "no data set ''"),
    ],
)
def test_what_can_t_be_planned_is_refused(arguments: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        table_plan.make(*arguments)


@pytest.mark.slow
def test_every_row(here: pytest.MonkeyPatch) -> None:
    here.setattr(report, "report_table", lambda sheet, folder: folder / "report.html")
    runs: set[str] = set()
    for number, rows in {4: 6, 5: 24, 6: 10, 7: 7}.items():
        assert make(number) == 0
        assert len(cells(number)) == rows
        runs |= {cell["run"] for cell in cells(number).values()}
    assert len(runs) == 47 - 8  # those that tables share
