"""Pictures of an evaluation: forecast fans, calibration, error by slot.

Must not open a window or keep a figure.
"""

from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from fitstream.trainer.data import SLOTS
from fitstream.trainer.metrics import pinball
from fitstream.trainer.report import BASELINES, WORDS, Outcome

_HOURS = np.arange(SLOTS) / 4
_DPI = 110
_BLUE, _GREY, _ORANGE = "#1f6feb", "#8b949e", "#d4691e"


def draw_fans(outcome: Outcome, path: Path) -> None:
    """Days of up to four wearers: the truth, the median, and between q10 and q90."""
    test = outcome.test
    scored = np.isfinite(test.truth).sum(axis=1)
    first: dict[str, int] = {}
    for number, issue in enumerate(test.issues):
        if scored[number] > 0:
            first.setdefault(issue.customer_id, number)
    figure = Figure(figsize=(10, 6), layout="constrained")
    axes = figure.subplots(2, 2, sharex=True).reshape(-1)
    for axis, (wearer, number) in zip(axes, list(first.items())[:4], strict=False):
        forecast = test.forecasts[outcome.champion][number]
        axis.fill_between(_HOURS, forecast[:, 0], forecast[:, 2], color=_BLUE, alpha=0.25, lw=0)
        axis.plot(_HOURS, forecast[:, 1], color=_BLUE, label="median")
        axis.plot(_HOURS, test.truth[number], ".", color=_ORANGE, ms=3, label="measured")
        axis.set_title(f"wearer {wearer}", fontsize=9)
        axis.set_xticks(range(0, 25, 6))
    axes[0].legend(frameon=False, fontsize=8)
    figure.supxlabel("hour of the day")
    title = WORDS[outcome.target].capitalize()
    figure.suptitle(f"{title}: q10 to q90, median and what was measured")
    figure.savefig(path, dpi=_DPI)


def draw_calibration(outcome: Outcome, path: Path) -> None:
    """Shares of truths at or below each quantile by part of the day, beside what they should be."""
    test = outcome.test
    truth, forecast = test.truth, test.forecasts[outcome.champion]
    figure = Figure(figsize=(8, 4.5), layout="constrained")
    axis = figure.subplots()
    parts = [slice(start, start + 16) for start in range(0, SLOTS, 16)]
    for level, color, number in ((0.1, _GREY, 0), (0.5, _BLUE, 1), (0.9, _ORANGE, 2)):
        shares = []
        for part in parts:
            scored = np.isfinite(truth[:, part])
            under = truth[:, part] <= forecast[:, part, number]
            shares.append(float(under[scored].mean()) if scored.any() else np.nan)
        axis.plot(range(0, 24, 4), shares, "o-", color=color, label=f"q{int(100 * level)}")
        axis.axhline(level, color=color, ls=":", lw=1)
    axis.set_xticks(range(0, 24, 4), [f"{h}–{h + 4} h" for h in range(0, 24, 4)])
    axis.set_ylim(0, 1)
    axis.set_ylabel("share of truths at or below")
    axis.legend(frameon=False)
    axis.set_title(f"{WORDS[outcome.target].capitalize()}: calibration (dotted: as it should be)")
    figure.savefig(path, dpi=_DPI)


def draw_errors(outcome: Outcome, path: Path) -> None:
    """WQL by slot of the day: the model that serves beside the baselines."""
    test = outcome.test
    figure = Figure(figsize=(8, 4.5), layout="constrained")
    axis = figure.subplots()
    size = np.nansum(np.abs(test.truth)) / SLOTS
    shown = [(name, _GREY, ls) for name, ls in zip(BASELINES, (":", "--", "-"), strict=True)]
    for name, color, style in (*shown, (outcome.champion, _BLUE, "-")):
        loss = pinball(test.truth, test.forecasts[name]).sum(axis=0) / max(float(size), 1e-9)
        axis.plot(_HOURS, loss, style, color=color, label=name)
    axis.set_xticks(range(0, 25, 4))
    axis.set_xlabel("hour of the day")
    axis.set_ylabel("quantile loss, 1 = the mean of the day")
    axis.legend(frameon=False)
    axis.set_title(f"{WORDS[outcome.target].capitalize()}: error by slot")
    figure.savefig(path, dpi=_DPI)
