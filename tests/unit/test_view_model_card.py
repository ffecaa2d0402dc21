"""A model's card as a page shows it: figures beside the baselines, whatever version wrote it."""

from typing import Any

from fitstream.client.operations import Candidate
from fitstream.gateway.view.model_card import cards_of, own_cards_of, tried_before, tried_now
from fitstream.trainer.metrics import Interval
from fitstream.trainer.report import percent

WQL = {"weighted_climatology": 0.61, "climatology": 0.63, "naive_week": None}
CARD: dict[str, Any] = {
    "counts": {"days": {"steps": {"train": 40, "validation": 14, "test": 14}}},
    "metrics": {
        "steps": {
            "horizons": [{"horizon": "the next day", "days_between": 0, "wql": WQL}],
            "parts": [{"part": "night", "from_hour": 0, "to_hour": 6, "wql": WQL}],
            "slices": [{"slice": "weekends", "people": 7, "days": 12, "wql": WQL}],
        }
    },
}


def candidate(**fields: Any) -> Candidate:
    base: dict[str, Any] = {
        "job": "job_1", "state": "running", "target": "steps", "name": "convlstm", "rung": 0,
        "epoch": 3,
    }  # fmt: skip
    return Candidate(**base | fields)


def test_a_card_shows_each_figure_beside_the_baselines() -> None:
    (card,) = cards_of(CARD)
    assert (card.title, card.days) == ("Steps", "Days: 40 train, 14 validation, 14 test")
    assert [table.title for table in card.tables] == [
        "How far ahead", "Part of the day", "For whom, and when"
    ]  # fmt: skip
    horizon, part, group = (table.rows[0] for table in card.tables)
    assert horizon.figures == ("0.6100", "0.6300", "–")
    assert (part.name, part.note) == ("Night", "00:00 to 06:00")
    assert group.note == "7 people, 12 days"
    assert card.tables[0].heads == (
        "Weighted climatology",
        "Plain climatology",
        "Same as last week",
    )


def test_a_card_says_what_the_gate_of_the_mixture_found() -> None:
    gate = {"weighted_climatology": {"difference": -0.003, "low": -0.005, "high": -0.001}}
    (card,) = cards_of({"metrics": {"steps": {"mixture_gate": gate}}})
    (table,) = card.tables
    (row,) = table.rows
    assert row.name == "Against Weighted climatology"
    assert row.figures == ("-0.3\N{NO-BREAK SPACE}%",)
    assert row.note == "-0.5\N{NO-BREAK SPACE}% to -0.1\N{NO-BREAK SPACE}%"


def test_a_difference_of_nothing_has_no_minus() -> None:
    gate = {"weighted_climatology": {"difference": -0.0001, "low": -0.0004, "high": 0.0002}}
    (card,) = cards_of({"metrics": {"steps": {"mixture_gate": gate}}})
    assert card.tables[0].rows[0].figures == ("+0.0\N{NO-BREAK SPACE}%",)
    assert percent(Interval(-0.0001, -0.0004, 0.0002)) == "+0.0 % (+0.0 to +0.0)"


def test_a_card_says_what_the_networks_of_the_next_hour_came_to() -> None:
    nowcast = {
        "serves": True,
        "chosen": {"weight": 0.7, "networks": 3, "epochs": 8},
        "gate": {"kernel alone": {"difference": -0.016, "low": -0.025, "high": -0.006}},
        "today": [{"ahead": "next slot", "wql": {"nowcast": 0.51, "kernel alone": 0.52}}],
    }
    (card,) = cards_of({"metrics": {"steps": {"nowcast": nowcast}}})
    (table,) = card.tables
    figures, gate = table.rows
    assert (figures.name, figures.figures) == ("Next slot", ("0.5100", "0.5200"))
    assert gate.name == "Gate: passed"
    assert "-1.6" in gate.note
    assert "share 0.7" in gate.note
    failed = nowcast | {"serves": False}
    (card,) = cards_of({"metrics": {"steps": {"nowcast": failed}}})
    assert "the kernel serves alone" in card.tables[0].rows[1].name


def test_a_card_of_an_earlier_version_shows_what_it_has() -> None:
    assert cards_of({}) == []
    (card,) = cards_of({"metrics": {"steps": {"test": {}}}})
    assert (card.days, card.tables) == ("", [])


def test_a_customers_card_says_what_its_gate_said() -> None:
    gate = {"difference": -0.05, "low": -0.09, "high": -0.01}
    row = {
        "passed": True, "gate": {"cohort's model": gate}, "days": {"train": 17},
        "test": {"own model": {"wql": 0.5}, "cohort's model": {"wql": 0.55}},
    }  # fmt: skip
    (card,) = own_cards_of({"targets": {"steps": row}})
    test, judged = card.tables[0].rows
    assert test.figures == ("0.5000", "0.5500")
    assert judged.name == "Gate: passed"
    assert "-5.0" in judged.note


def test_candidates_say_how_far_they_are_or_how_they_ended() -> None:
    running = candidate(epochs=8, loss=0.61234, left_s=12.4)
    done = candidate(state="succeeded", stop_wql=0.6, curve=[0.7, 0.65, 0.6])
    failed = candidate(state="failed", error="out of memory")
    said = [row.said for row in tried_now([running, done, failed, candidate()])]
    assert said == [
        "epoch 3 of 8, loss 0.6123, 12 s left", "WQL 0.6000 after 3 epochs", "out of memory", ""
    ]  # fmt: skip
    assert tried_now([done])[0].curve.path
    trial = {"target": "steps", "candidate": "x", "rung": 1, "epochs": 8, "stop_wql": 0.6,
             "curve": [0.6], "share": 0.25}  # fmt: skip
    (row,) = tried_before({"trials": [trial]})
    assert row.said.startswith("rung 2, WQL 0.6000, 8 epochs, 25")
    assert tried_before({}) == []
