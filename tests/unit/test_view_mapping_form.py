"""The form of a schema mapping: what is posted, what is shown, and the words for what is wrong."""

import pytest

from fitstream.client.uploads import PreviewedRow, UploadSuggestion
from fitstream.errors import Rejected
from fitstream.gateway.view.mapping_form import begin_with, editor, raw_of, refused, spec_of
from fitstream.gateway.view.spoken import spoken
from tests.unit.test_view_uploaded import upload

POSTED = {"to-0": "slot", "to-1": "distance_m", "unit-1": "km", "zone": " home ", "decimal": ","}
FILE = upload(columns=["When", "Km"], kinds=["text", "text"])


def test_a_form_that_is_sent_unchanged_says_the_same_again() -> None:
    posted = POSTED | {"constant-to-0": "floors", "constant-value-0": "2", "constant-to-1": ""}
    spec = spec_of(raw_of(posted, FILE))
    assert spec.constants == {"floors": 2.0}
    assert spec.time.zone == "home"
    shown = editor(FILE, refused(raw_of(posted, FILE), "", Rejected("x", "no")), [])
    again = {
        **{f"to-{at}": column.to for at, column in enumerate(shown.columns)},
        **{f"unit-{at}": column.unit for at, column in enumerate(shown.columns)},
        **{f"constant-to-{at}": name for at, (name, _) in enumerate(shown.constants)},
        **{f"constant-value-{at}": value for at, (_, value) in enumerate(shown.constants)},
        **shown.time, "decimal": shown.decimal, "others": shown.others,
        "customer_by": shown.customer_by,
    }  # fmt: skip
    assert spec_of(raw_of(again, FILE)) == spec


def test_there_is_always_room_for_another_constant() -> None:
    for count in range(4):
        edited = begin_with(upload(spec={"constants": dict.fromkeys(list("abcd")[:count], 1.0)}))
        shown = editor(FILE, edited, [])
        assert [name for name, _ in shown.constants].count("") == 2
        assert all(value == "1" for name, value in shown.constants if name)


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"constant-to-0": "floors", "constant-value-0": "many"}, "constant"),
        ({"constant-to-0": "distance_m", "constant-value-0": "3"}, "constant already"),
        ({"zone": "Mars/Base"}, "Mars/Base"),
        ({"to-0": "nothing"}, "cannot be read"),
        ({"decimal": "'"}, "cannot be read"),
    ],
)
def test_what_cannot_be_read_is_refused_with_a_reason(more: dict[str, str], said: str) -> None:
    with pytest.raises(Rejected, match=said):
        spec_of(raw_of(POSTED | more, FILE))


def test_a_refused_form_shows_the_first_values_and_no_rows_of_before() -> None:
    rows = [PreviewedRow(index=0, cells=["08:15", "0,4"], sample={"distance_m": 400.0})]
    error = Rejected("bad_mapping", "column 'Km': steps has no unit km", 422, {"column": "Km"})
    as_they_stand = [PreviewedRow(index=0, cells=["08:15", "0,4"])]
    shown = editor(FILE, refused(raw_of(POSTED, FILE), "clinic", error), as_they_stand)
    assert [column.is_wrong for column in shown.columns] == [False, True]
    assert shown.columns[1].samples == ["0,4"]
    assert (shown.rows, shown.save_as) == ([], "clinic")
    assert shown.why == shown.error == "Column 'Km': steps has no unit km."
    read = editor(FILE, begin_with(FILE), rows)
    assert (read.rows, read.shown) == (rows, [("distance_m", "Distance (m)")])


def test_what_is_unsure_is_said_until_somebody_has_said_better() -> None:
    guess = UploadSuggestion(spec={"columns": []}, notes=["column 'Km' is taken for distance_m"])
    fresh = upload("unmapped", suggestion=guess, spec=None)
    assert editor(fresh, begin_with(fresh), []).notes == ["Column 'Km' is taken for distance (m)."]
    mapped = upload(suggestion=guess, spec={"columns": []})
    assert editor(mapped, begin_with(mapped), []).notes == []


@pytest.mark.parametrize(
    ("message", "said"),
    [
        ("heart_rate_bpm: Expected `float` >= 20.0", "Heart rate (bpm) must be at least 20."),
        ("steps: Expected `int` <= 6000", "Steps must be at most 6,000."),
        ("steps: Expected `int | null`, got `str`", "Steps must be a whole number."),
        ("column 'sleep_min': sleep_min has no km", "Column 'sleep_min': sleep (min) has no km."),
        ("slot is in the future", "Slot is in the future."),
    ],
)  # fmt: skip
def test_the_words_of_programs_become_those_of_pages(message: str, said: str) -> None:
    assert spoken(message) == said
