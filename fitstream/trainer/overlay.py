"""One person's model on top of the cohort's: only what differs, target by target.

Must not need torch, and must hold nothing of other people's days.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from fitstream.trainer.daytotals import Ratios
from fitstream.trainer.models.blend import Blend, Member
from fitstream.trainer.models.calibration import Calibration
from fitstream.trainer.models.kernel import Kernel


@dataclass(frozen=True, eq=False)
class Adapted:
    """What one target's forecasts of one person are made with instead of the cohort's."""

    kernel: Kernel
    members: tuple[Member, ...]
    calibration: Calibration
    ratios: Ratios


def overlay(base: Blend, adapted: Mapping[str, Adapted]) -> Blend:
    """The cohort's model with the targets of one person put in place."""
    kernels = {target: each.kernel for target, each in adapted.items()}
    return replace(
        base,
        base=replace(base.base, kernels={**base.base.kernels, **kernels}),
        members={**base.members, **{t: each.members for t, each in adapted.items()}},
        calibrations={**base.calibrations, **{t: each.calibration for t, each in adapted.items()}},
        day_ratios={**base.day_ratios, **{t: each.ratios for t, each in adapted.items()}},
    )
