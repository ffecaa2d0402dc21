"""Whether a model has become worse than it was when it was judged.

The rule is made to be slow and sure: WQL of the last days, the units resampled with replacement; it
drifts when even the low end of the 95 % interval is more than a tenth worse. Must do no I/O.
"""

from typing import NamedTuple

import numpy as np

from fitstream.trainer.metrics import Doubles

DAYS = 14  # that are looked back
MARGIN = 0.10
MIN_FORECASTS = 28
MIN_CUSTOMERS = 5  # with fewer the forecasts are resampled, not the customers
_DRAWS = 2000
_LOW = 0.025


class Finding(NamedTuple):
    """WQL of late with the low end of its interval, and whether that is clearly worse."""

    wql: float | None
    low: float | None
    is_drifting: bool


def compare(loss: Doubles, size: Doubles, at_gate: float | None, seed: int = 0) -> Finding:
    """From sums of loss and truth per unit (unit,) and the WQL that the model had at its gate.

    Too few units, no truth or nothing to compare with is never drift.
    """
    if len(loss) < 2 or size.sum() <= 0:
        return Finding(None, None, is_drifting=False)
    wql = float(loss.sum() / size.sum())
    units = len(loss)
    rng = np.random.default_rng(seed)
    counts = rng.multinomial(units, np.full(units, 1 / units), size=_DRAWS)
    draws = counts @ loss / np.maximum(counts @ size, 1e-12)
    low = float(np.quantile(draws, _LOW))
    return Finding(wql, low, at_gate is not None and low > at_gate * (1 + MARGIN))
