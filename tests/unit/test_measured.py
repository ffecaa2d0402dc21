"""Few rows and many are judged alike: arrays are a way to compute, not another rule."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from fitstream.measured import FEW_ROWS, measure
from fitstream.merge import METRICS

ROW = st.tuples(
    *(
        st.none() | (st.integers if metric.scale == 1 else st.floats)(metric.low, metric.high)
        for metric in METRICS
    )
)


@given(st.lists(ROW, min_size=1, max_size=FEW_ROWS))
def test_a_few_rows_are_judged_as_they_are_among_many(rows: list[tuple[Any, ...]]) -> None:
    blank = (None,) * len(METRICS)
    few = measure(list(zip(*rows, strict=True)))
    many = measure(list(zip(*rows, *[blank] * FEW_ROWS, strict=True)))
    assert few.wrong_heart() == many.wrong_heart()
    assert few.wrong_minutes() == many.wrong_minutes()
    padded = [column and [*column, *[None] * FEW_ROWS] for column in few.scaled()]
    assert padded == many.scaled()


@given(st.lists(ROW, min_size=1, max_size=FEW_ROWS))
def test_rows_are_judged_alike_however_often_they_come(rows: list[tuple[Any, ...]]) -> None:
    """Columns without a gap take another way into arrays than those with some."""
    count = len(rows)
    few = measure(list(zip(*rows, strict=True)))
    many = measure(list(zip(*rows * (FEW_ROWS + 1), strict=True)))
    assert few.wrong_heart() == [i for i in many.wrong_heart() if i < count]
    assert few.wrong_minutes() == [i for i in many.wrong_minutes() if i < count]
    assert few.scaled() == [column and column[:count] for column in many.scaled()]
