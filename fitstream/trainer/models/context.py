"""What is known about a day before it begins: how lively the days before were, which weekday it is.

Computed from a window's own past alone, the same for the forecast day and for each past day.
Must not need torch.
"""

import numpy as np

from fitstream.trainer.data import SLOTS, Floats
from fitstream.trainer.windows import Windows

PARTS = 4
MEMORY_DAYS = (3, 7)
FEATURES = PARTS + 1 + len(MEMORY_DAYS) + 1 + 7
_CLIP = 2.0


def contexts(windows: Windows) -> tuple[Floats, Floats]:
    """Features of the forecast day (n, F) and of each past day (n, days, F)."""
    days = windows.reach.days
    parts = _levels(windows.anchors.reshape(len(windows), days, PARTS, SLOTS // PARTS))
    whole = _levels(windows.anchors[:, :, None, :])  # (n, lag, 1)
    known = np.isfinite(whole).astype(np.float32)  # (n, lag, 1)
    parts, whole = np.nan_to_num(parts), np.nan_to_num(whole)
    memory = [_running_mean(whole, known, span) for span in MEMORY_DAYS]  # (n, lag, 1) each
    before = np.concatenate([parts, whole, *memory, known], axis=2)  # (n, lag, F - 7)
    # lag j is described by the days before it, the forecast day by lag 1 and on
    before = np.concatenate([before, np.zeros_like(before[:, :1])], axis=1)  # (n, lag + 1, F - 7)
    weekday = (windows.weekday[:, None] - np.arange(days + 1)) % 7  # (n, lag + 1)
    one_hot = np.eye(7, dtype=np.float32)[weekday]  # (n, lag + 1, 7)
    features = np.concatenate([before, one_hot], axis=2).astype(np.float32)  # (n, lag + 1, F)
    return features[:, 0], features[:, 1:]


def _levels(anchors: Floats) -> Floats:
    """(n, lag, part): log of each part's mean over its usual mean; NaN = unknown."""
    measured = np.isfinite(anchors)
    count = measured.sum(axis=3)  # (n, lag, part)
    mean = np.where(measured, anchors, 0).sum(axis=3) / np.maximum(count, 1)  # (n, lag, part)
    days = (count > 0).sum(axis=1, keepdims=True)  # (n, 1, part)
    usual = mean.sum(axis=1, keepdims=True) / np.maximum(days, 1)  # (n, 1, part)
    floor = 0.1 * usual + 1e-6
    ratio = np.clip(np.log((mean + floor) / (usual + floor)), -_CLIP, _CLIP)
    return np.where(count > 0, ratio, np.nan).astype(np.float32)


def _running_mean(level: Floats, known: Floats, span: int) -> Floats:
    """(n, lag, 1): mean of the known levels of a lag and the `span` − 1 days before it."""
    total, count = np.zeros_like(level), np.zeros_like(known)
    for back in range(min(span, level.shape[1])):
        stop = level.shape[1] - back
        total[:, :stop] += level[:, back:]
        count[:, :stop] += known[:, back:]
    return (total / np.maximum(count, 1)).astype(np.float32)
