"""An evaluation: what it forecasts, that no later day is looked at, and that its figures hold."""

import re
from datetime import date, datetime, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner

from fitstream.cli import main
from fitstream.errors import Rejected
from fitstream.trainer.data import TARGETS, Series, from_wearers
from fitstream.trainer.run_evaluate import Order, run_evaluate
from fitstream.trainer.splits import last_days
from tests.unit.trainer_factories import make_series

START = datetime(2026, 1, 5)  # noqa: DTZ001 - local wall time


def wearers() -> dict[str, Series]:
    """Four to score, one with too short a history."""
    made = {str(n): make_series(str(n), 21, seed=n, heart=n % 2 == 0) for n in range(1, 5)}
    made["9"] = make_series("9", 15, seed=9)
    made["2"].wear[3] = False
    return made


def write(series: dict[str, Series], path: Path, leave_out: tuple[str, ...] = ()) -> Path:
    rows: dict[str, list[object]] = {
        name: [] for name in ("wearer", "slot_local", *TARGETS, "wear_day")
    }
    for name, each in series.items():
        for day in range(each.days):
            for slot in range(96):
                rows["wearer"].append(int(name))
                rows["slot_local"].append(START + timedelta(days=day, minutes=15 * slot))
                rows["wear_day"].append(bool(each.wear[day]))
                for target in TARGETS:
                    value = float(each.values[target][day, slot])
                    rows[target].append(None if np.isnan(value) else value)
    table = pa.table(rows).drop_columns(list(leave_out))
    pq.write_table(table, path)
    return path


def evaluated(data: Path, out: Path, targets: tuple[str, ...] = TARGETS) -> pa.Table:
    assert run_evaluate(Order(data, out, 1, targets)) == 0
    return pq.read_table(out / "predictions.parquet")


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("evaluation")
    evaluated(write(wearers(), home / "data.parquet"), home / "out")
    return home


def test_the_last_seven_days_of_each_wearer_are_forecast_slot_by_slot(whole: Path) -> None:
    table = pq.read_table(whole / "out" / "predictions.parquet").to_pandas()
    assert list(table.columns) == ["wearer", "target", "slot_local", "q10", "q50", "q90", "mean"]
    assert set(table["wearer"]) == {1, 2, 3, 4}
    for (wearer, target), rows in table.groupby(["wearer", "target"]):
        assert len(rows) == 7 * 96
        assert rows["slot_local"].min() == START + timedelta(days=14)
        assert (rows["q10"] <= rows["q50"]).all()
        assert (rows["q50"] <= rows["q90"]).all()
        assert target != "heart_rate_bpm" or wearer % 2 == 0
    report = (whole / "out" / "report.md").read_text()
    assert "1 wearer was learned from but not scored" in report
    for picture in (whole / "out").glob("*.png"):
        assert picture.name in report
        assert picture.read_bytes().startswith(b"\x89PNG")
    assert len(list((whole / "out").glob("*.png"))) == 9


def test_the_figures_agree_with_an_independent_scoring(whole: Path) -> None:
    truth = pq.read_table(whole / "data.parquet").to_pandas()
    truth = truth[truth["wear_day"]].melt(["wearer", "slot_local"], list(TARGETS), "target", "y")
    predictions = pq.read_table(whole / "out" / "predictions.parquet").to_pandas()
    both = predictions.merge(truth, on=["wearer", "slot_local", "target"]).dropna()
    report = (whole / "out" / "report.md").read_text()
    shown = dict(re.findall(r"\| (\w+) \| \d+ \| \d+ \| \w+ \| ([\d.]+) \|", report))
    titles = {"steps": "Steps", "calories_kcal": "Calories", "heart_rate_bpm": "Heart rate"}
    for target, rows in both.groupby("target"):
        loss = 0.0
        for level, name in ((0.1, "q10"), (0.5, "q50"), (0.9, "q90")):
            error = rows["y"] - rows[name]
            loss += 2 * np.where(error >= 0, level * error, (level - 1) * error).sum() / 3
        assert float(shown[target]) == pytest.approx(loss / rows["y"].sum(), abs=6e-5)
        section = report.split(f"## {titles[target]}")[1]
        figures = [float(text) for text in re.findall(r"\*\* \| (.*) \|", section)[0].split("|")]
        assert figures[2] == pytest.approx(
            ((rows["y"] - rows["mean"]) ** 2).mean() ** 0.5, abs=6e-5
        )
        assert figures[6] == pytest.approx((rows["y"] < rows["q10"]).mean(), abs=6e-5)
        assert figures[7] == pytest.approx((rows["y"] > rows["q90"]).mean(), abs=6e-5)
        table = re.findall(r"\| WQL \| night.*\n.*\n\| \w+ \| (.*) \|", section)[0].split("|")
        assert float(table[4]) == pytest.approx(loss / rows["y"].sum(), abs=6e-5)
        for number, hours in enumerate(((0, 6), (6, 12), (12, 18), (18, 24))):
            part = rows[rows["slot_local"].dt.hour.between(hours[0], hours[1] - 1)]
            losses = sum(
                np.maximum(level * (part["y"] - part[q]), (level - 1) * (part["y"] - part[q])).sum()
                for level, q in ((0.1, "q10"), (0.5, "q50"), (0.9, "q90"))
            )
            if part["y"].sum() == 0:
                assert table[number].strip() == "–"
                continue
            expected = 2 * losses / 3 / part["y"].sum()
            assert float(table[number]) == pytest.approx(expected, abs=6e-5)
        day = rows.assign(day=rows["slot_local"].dt.date).groupby(["wearer", "day"])
        totals = day[["y", "mean"]].sum()
        error = (totals["y"] - totals["mean"]).abs().sum() / totals["y"].sum()
        assert figures[4] == pytest.approx(error, abs=6e-5)


def test_nothing_after_an_issue_changes_a_forecast_made_before_it(
    whole: Path, tmp_path: Path
) -> None:
    series, cut = wearers(), 15  # behind the first day to forecast, and behind all who only teach
    rng = np.random.default_rng(3)
    for each in series.values():
        for rows in each.values.values():
            later = rows[cut:].reshape(-1)
            rng.shuffle(later)
            rows[cut:] = later.reshape(rows[cut:].shape)
    data = write(series, tmp_path / "data.parquet")
    again = evaluated(data, tmp_path / "out", ("steps",)).to_pandas()
    before = pq.read_table(whole / "out" / "predictions.parquet").to_pandas()
    before = before[before["target"] == "steps"].reset_index(drop=True)
    known = before["slot_local"] < START + timedelta(days=cut + 1)
    assert again[known].equals(before[known])
    assert not again[~known].equals(before[~known])


@pytest.mark.slow
def test_a_target_without_a_column_is_left_out_and_wear_is_told_by_the_rule(
    tmp_path: Path,
) -> None:
    data = write(wearers(), tmp_path / "d.parquet", leave_out=("heart_rate_bpm", "wear_day"))
    table = evaluated(data, tmp_path / "out", ("steps", "heart_rate_bpm"))
    assert set(table["target"].to_pylist()) == {"steps"}


def test_days_not_worn_push_the_evaluated_days_back() -> None:
    series = make_series(days=24)
    series.wear[20:] = False
    assert last_days(series, 7).tolist() == list(range(13, 24))
    series.wear[:2] = False  # eleven before the worn block, but more before the calendar's
    assert last_days(series, 7).tolist() == list(range(17, 24))
    series.wear[:8] = False
    assert last_days(series, 7).tolist() == []


def test_a_file_that_cannot_be_used_is_refused_with_its_reason(tmp_path: Path) -> None:
    broken = tmp_path / "broken.parquet"
    broken.write_bytes(b"rubbish")
    with pytest.raises(Rejected, match="cannot be read"):
        from_wearers(broken)
    lacking = tmp_path / "lacking.parquet"
    pq.write_table(pa.table({"wearer": [1]}), lacking)
    asked = ["evaluate", "--data", str(lacking), "--out", str(tmp_path / "out")]
    found = CliRunner().invoke(main, asked)
    assert found.exit_code == 1
    assert "lacks slot_local" in found.output
    other = CliRunner().invoke(main, [*asked, "--targets", "weight"])
    assert "weight is none of" in other.output


@pytest.mark.parametrize(
    "column",
    [
        pa.array([1_700_000_000], pa.int64()),  # seconds, or what?
        pa.array([date(2026, 11, 3)], pa.date32()),
        pa.array([1.5], pa.float64()),
    ],
)
def test_times_that_may_mean_anything_are_refused(tmp_path: Path, column: pa.Array) -> None:
    path = tmp_path / "times.parquet"
    pq.write_table(pa.table({"wearer": [1], "slot_local": column, "steps": [5.0]}), path)
    with pytest.raises(Rejected, match=re.escape(f"holds {column.type}")):
        from_wearers(path)


def test_what_cannot_come_to_anything_is_told_before_it_begins(tmp_path: Path) -> None:
    data = write(wearers(), tmp_path / "d.parquet", leave_out=("heart_rate_bpm",))
    (tmp_path / "file").touch()

    def said(*words: str) -> str:
        found = CliRunner().invoke(main, [*words, "--budget-s", "1"])
        assert found.exit_code == 1
        return found.output

    asked = ("evaluate", "--data", str(data), "--out", str(tmp_path / "out"))
    assert "measures none of heart_rate_bpm" in said(*asked, "--targets", "heart_rate_bpm")
    assert "name at least one of steps" in said(*asked, "--targets", " ,")
    assert not (tmp_path / "out").exists()
    inside = str(tmp_path / "file" / "out")
    assert "nothing can be written into" in said("evaluate", "--data", str(data), "--out", inside)
    assert "nothing can be written into" in said("train", "--dataset", str(data), "--out", inside)
