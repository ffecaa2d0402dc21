"""Mappings: any way of writing rows down gives the rows, and what does not fit names its column."""

from datetime import timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fitstream import events, posts, samples
from fitstream.clock import slot_start
from fitstream.errors import Rejected
from fitstream.events import SampleColumns
from fitstream.merge import METRICS, NAMES
from fitstream.samples import Verdict
from fitstream.uploads.judging import Chunk, Read, Wearer, judge
from fitstream.uploads.mapper import bind
from fitstream.uploads.preview import Head, preview
from fitstream.uploads.spec import FACTORS, ColumnMap, MappingSpec, check_spec, identity
from fitstream.uploads.suggest import suggest
from fitstream.uploads.timestamps import RowRefused, TimeFormat
from tests.factories import NOW, SLOT, post_json

WINDOW = samples.window(NOW, 400)
BERLIN = "Europe/Berlin"
FORMATS = {
    "iso": lambda at: at.isoformat(),
    "%d.%m.%Y %H:%M": lambda at: f"{at:%d.%m.%Y %H:%M}",
    "%m/%d/%Y %I:%M:%S %p": lambda at: f"{at:%m/%d/%Y %I:%M:%S %p}",
}


def mapped(**targets: str) -> MappingSpec:
    """A mapping of columns to what they are."""
    return MappingSpec(columns=[ColumnMap(name, to) for name, to in targets.items()])  # type: ignore[arg-type]


def judged(spec: MappingSpec, header: list[str], rows: list[list[Any]]) -> Any:
    """What becomes of rows of one customer in Berlin."""
    mapper = bind(check_spec(spec), header)
    reads = [Read(at, "", row) for at, row in enumerate(rows)]
    wearer = Wearer(1, "cus_1", BERLIN)
    return judge(Chunk(0, len(rows), reads, []), {"": wearer}, mapper, WINDOW).groups[0]


def direct(rows: list[dict[str, Any]]) -> SampleColumns:
    """The same rows posted by a device."""
    return samples.check(posts.decode_json(post_json(rows), 5000), WINDOW).columns


@st.composite
def measured(draw: st.DrawFn) -> dict[str, int]:
    """Scaled values of a row that is acceptable."""
    row = {}
    for metric in METRICS:
        if metric.name.startswith("heart") or metric.name.endswith("_min"):
            continue
        if draw(st.booleans()):
            row[metric.name] = draw(st.integers(0, metric.high * metric.scale))
    if draw(st.booleans()):
        low, mean, high = sorted(draw(st.lists(st.integers(200, 2600), min_size=3, max_size=3)))
        row |= {
            "heart_rate_min_bpm": low, "heart_rate_bpm": mean, "heart_rate_max_bpm": high,
        }  # fmt: skip
    for name in ("light_min", "moderate_min", "vigorous_min", "sedentary_min"):
        if draw(st.booleans()):
            row[name] = draw(st.integers(0, 37))
    if draw(st.booleans()):
        row["sleep_min"] = draw(st.integers(0, 150))
    return row


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_any_way_of_writing_rows_down_gives_what_a_direct_post_gives(data: st.DataObject) -> None:
    rows = data.draw(st.lists(measured(), min_size=1, max_size=12))
    slots = data.draw(
        st.lists(st.integers(SLOT - 5000, SLOT), min_size=len(rows), max_size=len(rows))
    )
    zone = data.draw(st.sampled_from(["UTC", BERLIN, "America/New_York", "Asia/Kolkata"]))
    pattern = data.draw(st.sampled_from(list(FORMATS)))
    stamp = data.draw(st.sampled_from(["start", "end"]))
    decimal = data.draw(st.sampled_from([".", ","]))
    units = {name: data.draw(st.sampled_from(list(FACTORS.get(name, {"": 1})))) for name in NAMES}
    columns = data.draw(st.permutations(["When", *(f"my {name}" for name in NAMES)]))

    tz = ZoneInfo(zone)
    written, expected = [], []
    for slot, row in zip(slots, rows, strict=True):
        local = slot_start(slot).astimezone(tz)
        if local.utcoffset() != local.replace(fold=1 - local.fold).utcoffset():
            continue  # a time that comes twice is refused, and has its own test
        named = local + timedelta(minutes=15) if stamp == "end" else local
        if stamp == "end" and named.utcoffset() != named.replace(fold=1).utcoffset():
            continue
        if stamp == "end":
            named = (slot_start(slot) + timedelta(minutes=15)).astimezone(tz)
        cells = {"When": FORMATS[pattern](named.replace(tzinfo=None))}
        post: dict[str, Any] = {"slot": slot_start(slot).isoformat()}
        for metric in METRICS:
            if metric.name in row:
                value = row[metric.name] / metric.scale
                factor = FACTORS.get(metric.name, {"": 1.0})[units[metric.name]]
                text = (
                    repr(value / factor)
                    if factor != 1 or metric.scale > 1
                    else str(row[metric.name])
                )
                cells[f"my {metric.name}"] = text.replace(".", decimal)
                post[metric.name] = value if metric.scale > 1 else row[metric.name]
        offset = named.utcoffset()
        assert offset is not None
        post["tz_offset_min"] = int(offset.total_seconds() // 60)
        written.append([cells.get(name, "NA") for name in columns])
        expected.append(post)
    if not written:
        return
    spec = MappingSpec(
        columns=[
            ColumnMap("When", "slot"),
            *(ColumnMap(f"my {name}", name, units[name]) for name in NAMES),  # type: ignore[arg-type]
        ],
        time=TimeFormat(format=pattern, zone=zone, stamp=stamp),
        decimal=decimal,
    )
    group = judged(spec, list(columns), written)
    assert not group.refused
    assert list(events.rows(group.columns)) == list(events.rows(direct(expected)))


def test_a_file_with_our_own_names_needs_no_mapping_and_is_judged_as_a_post() -> None:
    header = ["slot", "steps", "heart_rate_bpm", "rev", "deleted"]
    spec = identity(header)
    assert spec is not None
    begin = slot_start(SLOT).isoformat()
    rows = [
        [begin, "420", "97.3", "", ""],
        [begin, "-1", "", "", ""],
        [begin, "1.5", "", "", ""],
        ["nonsense", "1", "", "", ""],
        [slot_start(SLOT + 99_999).isoformat(), "1", "", "", ""],
        [begin, "1", "nan", "", ""],
        [begin, "1", "NaN", "", ""],
        [begin, "1_0", "", "", ""],
        [begin, "", "", "3", "true"],
    ]
    group = judged(spec, header, rows)
    assert [(each.index, each.code) for each in group.refused] == [
        (1, "out_of_range"),
        (2, "wrong_type"),
        (3, "wrong_type"),
        (4, "future_slot"),
        (7, "wrong_type"),
    ]
    assert list(group.indexes) == [0, 5, 6, 8]
    assert group.columns.deleted == [3]


def test_other_names_are_no_identity() -> None:
    for header in (["slot", "Steps"], ["steps"], ["slot"], ["slot", "steps", "steps"]):
        assert identity(header) is None
    with_customer = identity(["customer_id", "slot", "steps"])
    assert with_customer is not None
    assert with_customer.customer_by == "id"


@pytest.mark.parametrize(
    ("spec", "column"),
    [
        (mapped(a="slot", b="steps", c="steps"), "c"),
        (mapped(a="slot"), ""),
        (mapped(b="steps"), ""),
        (mapped(a="slot", d="date", b="steps"), "d"),
        (MappingSpec(columns=[ColumnMap("a", "slot"), ColumnMap("b", "steps", "km")]), "b"),
        (MappingSpec(columns=[*mapped(a="slot", b="steps").columns],
                     time=TimeFormat(format="%Q")), "a"),
        *((MappingSpec(columns=[*mapped(a="slot", b="steps").columns],
                       time=TimeFormat(format=pattern)), "a")
          for pattern in ("%d %d", "%Y%Y", "%b%b", "%z %z", "%p%p")),
        (MappingSpec(columns=[*mapped(a="slot", b="steps").columns],
                     time=TimeFormat(zone="Mars/Base")), "a"),
        (MappingSpec(columns=[*mapped(a="slot", b="steps").columns], constants={"steps": 3}), "b"),
        (MappingSpec(columns=[*mapped(a="slot", b="steps").columns],
                     constants={"tz_offset_min": 9999}), ""),
    ],
)  # fmt: skip
def test_a_mapping_that_cannot_be_names_its_column(spec: MappingSpec, column: str) -> None:
    with pytest.raises(Rejected) as error:
        check_spec(spec)
    assert (error.value.code, error.value.extra["column"]) == ("bad_mapping", column)
    assert column in error.value.message


def test_a_column_that_the_file_lacks_or_has_twice_is_named() -> None:
    spec = check_spec(mapped(a="slot", b="steps"))
    for header in (["a"], ["a", "b", "b"]):
        with pytest.raises(Rejected) as error:
            bind(spec, header)
        assert error.value.extra["column"] == "b"


def test_a_local_time_that_is_skipped_or_comes_twice_is_refused() -> None:
    spec = MappingSpec(
        columns=mapped(a="slot", b="steps").columns, time=TimeFormat(zone="Europe/Berlin")
    )
    mapper = bind(check_spec(spec), ["a", "b"])
    for text, code in (
        ("2026-03-29T02:30", "no_such_time"),
        ("2026-10-25T02:30", "ambiguous_time"),
    ):
        with pytest.raises(RowRefused) as error:
            mapper.row([text, "1"], "UTC")
        assert error.value.code == code
    row = mapper.row(["2026-10-25T02:30+01:00", "1"], "UTC")
    assert row.slot == "2026-10-25T01:30:00+00:00"


def test_a_date_and_a_time_make_a_slot_and_constants_fill_what_no_column_says() -> None:
    spec = MappingSpec(
        columns=mapped(d="date", t="time", s="steps").columns,
        time=TimeFormat(format="%Y-%m-%d %H:%M", zone="home"),
        constants={"rev": 4, "floors": 2},
    )
    row = bind(check_spec(spec), ["d", "t", "s"]).row(["2026-11-20", "08:15", "7"], BERLIN)
    assert (row.slot, row.steps, row.rev, row.floors) == ("2026-11-20T07:15:00+00:00", 7, 4, 2)
    assert row.tz_offset_min == 60


def test_a_mapping_is_guessed_from_names_and_first_rows() -> None:
    header = ["User ID", "Activity Time", "stepCount", "Distance (miles)", "Energy kJ", "hr_min",
              "minutesAsleep", "Mood"]  # fmt: skip
    rows = [["anna", "23.11.2026 08:15", "420", "0,3", "12", "60", "0", "fine"]]
    found = suggest(header, rows)
    assert not found.is_sure
    assert found.spec is not None
    said = {each.column: (each.to, each.unit) for each in found.spec.columns}
    assert said == {
        "User ID": ("customer", ""),
        "Activity Time": ("slot", ""),
        "stepCount": ("steps", ""),
        "Distance (miles)": ("distance_m", "mi"),
        "Energy kJ": ("calories_kcal", "kJ"),
        "hr_min": ("heart_rate_min_bpm", ""),
        "minutesAsleep": ("sleep_min", ""),
        "Mood": ("ignore", ""),
    }
    assert found.spec.time == TimeFormat(format="%d.%m.%Y %H:%M", zone="home")
    assert found.spec.decimal == ","
    assert any("Mood" in note for note in found.notes)


def test_a_column_of_an_unknown_name_is_known_by_its_unit_or_by_the_times_in_it() -> None:
    header = ["Uhrzeit", "Gelaufen (km)", "Pulse"]
    found = suggest(header, [["24.11.2026 08:15", "0,4", "71"], ["", "0,1", "70"]])
    assert found.spec is not None
    said = {each.column: (each.to, each.unit) for each in check_spec(found.spec).columns}
    assert said["Uhrzeit"] == ("slot", "")
    assert said["Gelaufen (km)"] == ("distance_m", "km")
    assert found.spec.time.format == "%d.%m.%Y %H:%M"
    assert sum("Uhrzeit" in note for note in found.notes) == 1


@pytest.mark.parametrize("cells", [["12:30"], ["2026-11-24"], [""], ["71"], ["a: b"]])
def test_what_is_no_whole_time_is_never_taken_for_one(cells: list[str]) -> None:
    found = suggest(["Anything", "Steps"], [[cell, "1"] for cell in cells])
    assert found.spec is not None
    assert "slot" not in found.spec.targets()


def test_what_was_recognised_is_kept_where_the_rest_was_not() -> None:
    found = suggest(["Somehow", "Steps"], [["?", "12"]])
    assert found.spec is not None
    assert [each.to for each in found.spec.columns] == ["ignore", "steps"]
    assert not found.is_sure
    assert any("no column is the time" in note for note in found.notes)


@pytest.mark.parametrize("rows", [[], [["x", "y"]], [["1764000000", "3"]]])
def test_a_guess_never_fails(rows: list[list[str]]) -> None:
    assert suggest(["timestamp", "steps"], rows).spec is not None
    assert suggest(["a", "b"], rows).spec is None


def test_a_preview_shows_what_is_stored_and_why_a_row_is_refused() -> None:
    header = ["When", "Miles"]
    spec = MappingSpec(
        columns=[ColumnMap("When", "slot"), ColumnMap("Miles", "distance_m", "mi")],
        time=TimeFormat(format="unix_s"),
    )
    at = int(slot_start(SLOT).timestamp())
    head = Head(columns=header, kinds=["text"] * 2, rows=[[str(at), "0.5"], [str(at + 1), "1"]])
    good, bad = preview(head, spec, "UTC", WINDOW)
    assert good.sample is not None
    assert good.sample["distance_m"] == 804.7
    assert bad.code == "slot_misaligned"


def test_a_verdict_on_a_row_of_nobody_stays_with_its_index() -> None:
    spec = check_spec(mapped(who="customer", a="slot", b="steps"))
    mapper = bind(spec, ["who", "a", "b"])
    begin = slot_start(SLOT).isoformat()
    reads = [Read(3, "nobody", ["nobody", begin, "1"])]
    found = judge(Chunk(3, 4, reads, [Verdict(2, "wrong_type", "x")]), {}, mapper, WINDOW)
    assert [(each.index, each.code) for each in found.refused] == [
        (2, "wrong_type"),
        (3, "unknown_customer"),
    ]
    assert not found.groups
