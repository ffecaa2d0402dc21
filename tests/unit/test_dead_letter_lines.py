"""What `fitstream dead-letters` prints."""

from fitstream.client.operations import DeadLetter, DeadLetters, ReasonCount
from fitstream.operations.run_dead_letters import lines_of
from tests.factories import NOW


def letter(**fields: object) -> DeadLetter:
    base = {
        "id": "7",
        "state": "parked",
        "reason": "undecodable",
        "detail": "first line\nsecond line",
        "topic": "samples.v1",
        "generation": 1,
        "partition": 3,
        "offset": 12,
        "size": 5,
        "parked_at": NOW,
    }
    return DeadLetter(**base | fields)  # type: ignore[arg-type]


def test_each_record_is_one_line_below_the_counts() -> None:
    found = DeadLetters([letter(), letter(id="6")], None, [ReasonCount("undecodable", 1234)])
    head, *lines = lines_of(found)
    assert head == "by reason: undecodable 1,234"
    assert len(lines) == 2
    assert "samples.v1/1/3@12" in lines[0]
    assert lines[0].endswith("first line")


def test_it_says_when_there_are_more_and_when_there_are_none() -> None:
    assert "older" in lines_of(DeadLetters([letter()], "x", []))[-1]
    assert lines_of(DeadLetters([], None, [])) == ["no dead letters"]
