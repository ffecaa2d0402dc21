"""The demo's judgement: what it waits for, when counts agree, and which folders it may empty."""

import json
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from fitstream.client.data import Items
from fitstream.client.operations import Pipeline, Run
from fitstream.demo.folder import Logins, fresh_folder
from fitstream.demo.gather import Counts
from fitstream.demo.run import Demo
from fitstream.demo.table import MODELS
from fitstream.demo.waiting import Waiting
from fitstream.errors import Halted
from fitstream.simulate.compare import Comparison, Difference
from fitstream.simulate.delivery import Totals
from fitstream.stack.folder_lock import locked_folder
from fitstream.trainer.models.blend import ENSEMBLE
from fitstream.trainer.models.shape import MIXTURE
from fitstream.trainer.report import BASELINES, CLIMATOLOGY

NOW = datetime(2026, 11, 24, tzinfo=UTC).isoformat()
DONE: dict[str, Any] = {
    "at": NOW,
    "counted_at": NOW,
    "customers": {"total": 2, "seen_1h": 2, "seen_24h": 2},
    "devices": {"total": 2},
    "kafka": {"records": 4, "lag": 0, "groups": {"ledger": {"lag": 0}}},
    "ledger": {"records": 4, "samples": 384, "inserted": 384, "updated": 0, "unchanged": 0,
               "rows": 384},
    "weeks": {"open": 1, "closing": 0, "rolled": 3, "late": 0, "versions": 3},
    "jobs": {},
    "dead_letters": 0,
    "models": {"total": 1, "champion": {"id": "mod_1", "kind": "k", "created_at": NOW}},
    "training_runs": 1,
    "forecasts": 6,
    "forecast_customers": 2,
}  # fmt: skip


def pipeline(**parts: Any) -> Pipeline:
    """The overview after everything is done, but for what is named."""
    changed = {k: DONE[k] | v if isinstance(v, dict) else v for k, v in parts.items()}
    return msgspec.convert(DONE | changed, Pipeline, strict=False)


def run(**fields: Any) -> Run:
    base = {"id": "r", "scope": "cohort", "state": "succeeded", "weeks": 3, "customers": 2}
    return msgspec.convert({**base, "created_at": NOW, **fields}, Run, strict=False)


def counts(**fields: Any) -> Counts:
    """Counts that agree, but for what is named."""
    base: dict[str, Any] = {
        "totals": Totals(rows=384, posts=4, posted=384, accepted=384),
        "customers": 2,
        "slots": 384,
        "pipeline": pipeline(),
        "objects": {"weeks": 6},
        "version_files": 3,
        "missing_files": 0,
        "forecasts": {"steps": 2},
        "without_forecast": [],
        "run": run(),
        "comparison": Comparison(2, 384, 384),
    }
    return Counts(**base | fields)


def test_counts_that_agree_have_nothing_against_them() -> None:
    assert counts().disagreements() == []


def test_rejected_rows_are_no_disagreement() -> None:
    totals = Totals(400, 4, 400, 384, Counter({"too_old": 16}))
    assert counts(totals=totals).disagreements() == []


@pytest.mark.parametrize(
    "fields",
    [
        {"totals": Totals(rows=400, posts=4, posted=384, accepted=384)},
        {"totals": Totals()},
        {"slots": 385},
        {"pipeline": pipeline(kafka={"records": 3})},
        {"pipeline": pipeline(kafka=None)},
        {"pipeline": pipeline(ledger={"records": 3})},
        {"pipeline": pipeline(ledger={"rows": 383})},
        {"pipeline": pipeline(dead_letters=1)},
        {"pipeline": pipeline(weeks={"late": 1})},
        {"pipeline": pipeline(weeks={"rolled": 0})},
        {"pipeline": pipeline(models={"champion": None})},
        {"pipeline": pipeline(forecast_customers=1)},
        {"missing_files": 1},
        {"version_files": 2},
        {"without_forecast": ["cus_1: steps"]},
        {"run": run(weeks=2)},
        {"run": run(customers=1)},
        {"comparison": Comparison(2, 384, 383, 1, [Difference("c", "d", 1, "is missing")])},
    ],
)
def test_every_count_that_does_not_agree_is_named(fields: dict[str, Any]) -> None:
    assert counts(**fields).disagreements()


@pytest.mark.parametrize(("fields", "code"), [({}, 0), ({"missing_files": 1}, 1)])
async def test_the_exit_code_is_0_only_if_all_counts_agree(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    fields: dict[str, Any],
    code: int,
) -> None:
    async def gathered(*_: object) -> Counts:
        return counts(**fields)

    async def nothing(*_: object) -> None:
        return None

    for name, fake in (("gather_counts", gathered), ("settled", nothing), ("compare_all", nothing)):
        monkeypatch.setattr(f"fitstream.demo.run.{name}", fake)
    path = tmp_path / "one.parquet"
    slots = {"wearer": [1], "slot_local": [datetime(2020, 1, 1)], "steps": [1.0]}  # noqa: DTZ001
    pq.write_table(pa.table(slots), path)
    demo = Demo(tmp_path, path)
    assert demo.code == 1, "a demo that never came to its table has failed"
    posted: Any = (Totals(), None)
    await demo._report(None, None, posted, [])  # type: ignore[arg-type]
    assert demo.code == code
    said = capsys.readouterr().out
    assert ("All counts agree" in said) == (code == 0)
    assert ("NOT SO: every version has its file" in said) == (code == 1)


class FakeAdmin:
    """Answers from lists, the last entry for ever."""

    def __init__(self, pipelines: list[Pipeline], runs: list[list[Run]]) -> None:
        self._pipelines = pipelines
        self._runs = runs

    async def pipeline(self) -> Pipeline:
        return self._pipelines.pop(0) if len(self._pipelines) > 1 else self._pipelines[0]

    async def runs(self, limit: int) -> Items[Run]:
        assert limit == 1
        return Items(self._runs.pop(0) if len(self._runs) > 1 else self._runs[0])


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fitstream.demo.waiting._POLL_S", 0.001)
    monkeypatch.setattr("fitstream.demo.waiting._TELL_EVERY_S", 0.0)


@pytest.mark.usefixtures("quick")
async def test_it_waits_for_the_run_that_has_seen_every_week() -> None:
    behind = pipeline(ledger={"records": 2, "rows": 100})
    rolling = pipeline(weeks={"rolled": 1, "closing": 2})
    early = run(weeks=1)
    said: list[str] = []
    admin = FakeAdmin([behind, pipeline(), rolling, pipeline()], [[], [early], [run()]])
    await Waiting(admin, 2, said.append).all()  # type: ignore[arg-type]
    assert [text.split(":")[0].split(" ")[0] for text in said] == [
        "ledger", "ledger", "weeks", "weeks", "training", "training", "training", "forecasts",
    ]  # fmt: skip
    assert "100 rows, 2 records to go" in said[0]


@pytest.mark.usefixtures("quick")
async def test_a_failed_training_ends_the_demo_with_its_reason() -> None:
    admin = FakeAdmin([pipeline()], [[run(state="failed", error="no memory")]])
    with pytest.raises(Halted, match="no memory"):
        await Waiting(admin, 2, lambda _: None).all()  # type: ignore[arg-type]


@pytest.mark.usefixtures("quick")
async def test_a_hop_that_stands_still_ends_the_demo(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fitstream.demo.waiting._STUCK_AFTER_S", 0.05)
    admin = FakeAdmin([pipeline(ledger={"records": 2})], [[]])
    with pytest.raises(Halted, match="2 records to go"):
        await Waiting(admin, 2, lambda _: None).all()  # type: ignore[arg-type]


def test_a_demo_empties_its_own_folder_and_keeps_its_ports(tmp_path: Path) -> None:
    folder = tmp_path / "demo"
    fresh_folder(folder)
    (folder / "ports.json").write_text("{}")
    (folder / "kafka").mkdir()
    (folder / "kafka" / "data").write_text("x")
    fresh_folder(folder)
    assert {p.name for p in folder.iterdir()} - {"up.lock"} == {"demo.json", "ports.json"}


def test_a_folder_of_somebody_else_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("years of work")
    with pytest.raises(Halted, match="no demo"):
        fresh_folder(tmp_path)
    assert (tmp_path / "thesis.txt").exists()


def test_a_folder_with_a_running_stack_is_left_alone(tmp_path: Path) -> None:
    fresh_folder(tmp_path)
    (tmp_path / "postgres").mkdir()
    with locked_folder(tmp_path), pytest.raises(Halted, match="another"):
        fresh_folder(tmp_path)
    assert (tmp_path / "postgres").exists()


def test_logins_are_kept_where_only_their_owner_reads_them(tmp_path: Path) -> None:
    logins = Logins(tmp_path)
    one, other = logins.make("a@demo.fitstream.invalid"), logins.make("b@demo.fitstream.invalid")
    assert one != other
    assert len(one) >= 10
    assert json.loads(logins.path.read_text()) == logins.passwords
    assert logins.path.stat().st_mode & 0o077 == 0


def test_every_model_that_a_run_may_compare_has_a_row() -> None:
    assert {CLIMATOLOGY, MIXTURE, ENSEMBLE, *BASELINES} <= MODELS.keys()
