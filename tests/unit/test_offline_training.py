"""`fitstream train` and `forecast` from files alone: the same files give the same model."""

from hashlib import sha256
from pathlib import Path

import msgspec
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner, Result

from fitstream.cli import main
from tests.training import part_of
from tests.unit.trainer_factories import make_cohort

TRAIN = ("--budget-s", "1", "--targets", "steps")


def fitstream(*words: object) -> Result:
    return CliRunner().invoke(main, [str(word) for word in words])


@pytest.fixture(scope="module")
def part(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file of a dataset."""
    path = tmp_path_factory.mktemp("dataset") / "part-00.parquet"
    path.write_bytes(part_of(make_cohort(3, 9)))
    return path


@pytest.fixture(scope="module")
def pinned(part: Path) -> Path:
    """The same as a folder with its manifest, as it lies in S3."""
    manifest = {
        "dataset_hash": "d" * 64,
        "parts": [
            {"key": f"datasets/1/x/{part.name}", "sha256": sha256(part.read_bytes()).hexdigest()}
        ],
        "weeks": [],
    }
    (part.parent / "manifest.json").write_bytes(msgspec.json.encode(manifest))
    return part.parent


@pytest.mark.slow
def test_a_pinned_dataset_is_trained_twice_to_the_same_bytes_and_forecast(
    part: Path, pinned: Path, tmp_path: Path
) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    for dataset, out in ((part, one), (pinned, two)):
        done = fitstream("train", "--dataset", dataset, "--out", out, *TRAIN)
        assert done.exit_code == 0, done.output
        assert sha256((out / "model.safetensors").read_bytes()).hexdigest() in done.output
    assert (one / "model.safetensors").read_bytes() == (two / "model.safetensors").read_bytes()
    card = msgspec.json.decode((two / "card.json").read_bytes())
    assert card["dataset_hash"] == "d" * 64
    out = tmp_path / "out.parquet"
    done = fitstream("forecast", "--dataset", part, "--model", two, "--out", out, "--slots", 192)
    assert done.exit_code == 0, done.output
    table = pq.read_table(out)
    assert table.column_names == ["wearer", "target", "slot_local", "q10", "q50", "q90", "mean"]
    assert len(table) == 3 * 192
    q10, q50, q90 = (table[name].to_numpy() for name in ("q10", "q50", "q90"))
    assert (q10 <= q50).all()
    assert (q50 <= q90).all()


def test_a_file_that_is_not_what_the_manifest_says_is_refused(pinned: Path, tmp_path: Path) -> None:
    for name in ("manifest.json", "part-00.parquet"):
        (tmp_path / name).write_bytes((pinned / name).read_bytes())
    with (tmp_path / "part-00.parquet").open("ab") as file:
        file.write(b" ")
    done = fitstream("train", "--dataset", tmp_path, "--out", tmp_path / "out", *TRAIN)
    assert done.exit_code == 1
    assert "not what its manifest says" in done.output
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("train", "--dataset", "PART"), "--out DIR"),
        (("train", "--dataset", "PART", "--out", "OUT", "--targets", "mood"), "mood is none of"),
        (("forecast", "--dataset", "PART"), "needs --model DIR and --out FILE"),
        (("forecast", "--dataset", "PART", "--model", "HERE", "--out", "OUT"), "holds no model"),
        (("forecast",), "name a customer"),
        (("train", "--dataset", "nowhere.parquet"), "is no file or folder here"),
    ],
)
def test_what_is_missing_or_wrong_is_said(
    part: Path, tmp_path: Path, words: tuple[str, ...], said: str
) -> None:
    known = {"PART": part, "OUT": tmp_path / "out", "HERE": tmp_path}
    done = fitstream(*(known.get(word, word) for word in words))
    assert done.exit_code != 0
    assert said in done.output


def test_too_few_days_end_with_one_and_their_answer(tmp_path: Path) -> None:
    path = tmp_path / "few.parquet"
    path.write_bytes(part_of(make_cohort(1, 2)))
    done = fitstream("train", "--dataset", path, "--out", tmp_path / "out", *TRAIN)
    assert done.exit_code == 1
    assert "Not enough data yet" in done.output
