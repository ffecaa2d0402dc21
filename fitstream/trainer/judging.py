"""What the held-out days say about a target's candidates: shares, calibration, gate, test.

Must train nothing; the test days decide nothing.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from fitstream.trainer.automl import Plan, mix
from fitstream.trainer.data import Series
from fitstream.trainer.daytotals import USUAL, ratios_of
from fitstream.trainer.evaluate import Held, Model, hold
from fitstream.trainer.models.blend import ENSEMBLE, Blend, Member
from fitstream.trainer.models.calibration import calibrate, no_calibration
from fitstream.trainer.models.climatology import Climatology, PlainClimatology, predict_own
from fitstream.trainer.models.naive import NoTimeOfDay, SeasonalNaive
from fitstream.trainer.models.network import predict_network
from fitstream.trainer.prepare import Prepared, climatology_before
from fitstream.trainer.recipe import Recipe
from fitstream.trainer.report import CHAMPION, Outcome, Tuned
from fitstream.trainer.search import Found
from fitstream.trainer.windows import Issue

WEEK_AHEAD = 6  # whole days between what is known and the day to forecast: the last of a week
FAR_BASELINES = ("climatology", "naive_week")


def judge(
    series: Mapping[str, Series],
    made: Prepared,
    found: Found,
    given: tuple[Plan, Recipe, Model | None],
) -> Outcome:
    """Mix and calibration from the stop days, the gate from the days between, test days last."""
    plan, recipe, champion = given
    target = made.target
    members = _members(made, found, plan)
    candidate = Blend(made.base, {target: members}) if members else None
    gate = _gate(series, made, candidate, champion)
    blends = {"weighted_climatology": ()} | ({ENSEMBLE: members} if members else {})
    late = climatology_before(series, target, made.split.test, (made.base.kernels[target], recipe))
    tuned = {name: _tune(series, made, group) for name, group in blends.items()}
    models: dict[str, Model] = dict(_baselines(late))
    for name, group in blends.items():
        ratios = {target: tuned[name].ratios}
        models[name] = Blend(late, {target: group}, {target: tuned[name].calibration}, ratios)
    if champion is not None and target in getattr(champion, "targets", ()):
        models[CHAMPION] = champion
    test = hold(models, series, target, made.split.test)
    ahead = [Issue(i.customer_id, i.day, i.day - WEEK_AHEAD) for i in made.split.test]
    some = {name: models[name] for name in (*blends, *FAR_BASELINES)}
    return Outcome(
        target=target,
        kernel=made.base.kernels[target],
        split=made.split,
        gate_days=gate,
        test=test,
        week_ahead=hold(some, series, target, ahead),
        trials=found.trials,
        shapes=plan.shapes,
        members=members,
        tuned=tuned,
        prepare_seconds=made.seconds,
        seed=recipe.seed,
    )


def replaces(outcomes: Sequence[Outcome], champion: Model | None) -> bool:
    """Whether a run's model may take the champion's place.

    It must forecast all that the champion does, be better with certainty on the held-out days of
    one target at least, and on none worse with certainty. Without a champion it may. A target that
    only the new model forecasts counts as better.
    """
    if champion is None:
        return True
    known = set(getattr(champion, "targets", ()))
    if not known <= {outcome.target for outcome in outcomes}:
        return False
    against = [
        outcome.test.compare(outcome.champion, CHAMPION, outcome.seed)
        for outcome in outcomes
        if outcome.target in known
    ]
    is_better = len(outcomes) > len(known) or any(each.high < 0 for each in against)
    return is_better and not any(each.low > 0 for each in against)


def _members(made: Prepared, found: Found, plan: Plan) -> tuple[Member, ...]:
    """The networks of the last rung with their shares; none where the climatology alone is best."""
    if not found.networks:
        return ()
    numbers = sorted(found.networks)
    forecasts = [predict_own(made.base.kernels[made.target], made.stop)]
    forecasts += [predict_network(found.networks[number], made.stop) for number in numbers]
    truth = np.where(np.isfinite(forecasts[0][..., 0]), made.stop.truth, np.float32(np.nan))
    shares = mix(truth, [np.nan_to_num(each) for each in forecasts])
    return tuple(
        Member(plan.shapes[number], found.networks[number], share)
        for number, share in zip(numbers, shares[1:], strict=True)
        if share > 0
    )


def _gate(
    series: Mapping[str, Series], made: Prepared, candidate: Model | None, champion: Model | None
) -> Held | None:
    if candidate is None or not made.split.gate:
        return None
    models: dict[str, Model] = {
        "no_time_of_day": NoTimeOfDay(made.base.reach, made.base.pool),
        "weighted_climatology": made.base,
        ENSEMBLE: candidate,
    }
    if champion is not None and made.target in getattr(champion, "targets", ()):
        models[CHAMPION] = champion
    return hold(models, series, made.target, made.split.gate)


def _tune(series: Mapping[str, Series], made: Prepared, members: tuple[Member, ...]) -> Tuned:
    """From all validation days: they lie after what the model has learned from."""
    if not made.split.validation:
        return Tuned(no_calibration(), USUAL[made.target])
    model = Blend(made.base, {made.target: members})
    held = hold({"model": model}, series, made.target, made.split.validation)
    calibration = calibrate(held.truth, held.forecasts["model"])
    return Tuned(
        calibration, ratios_of(made.target, held.truth, calibration.apply(held.forecasts["model"]))
    )


def _baselines(base: Climatology) -> dict[str, Model]:
    reach, pool = base.reach, base.pool
    models: tuple[Model, ...] = (
        SeasonalNaive(1, reach, pool), SeasonalNaive(7, reach, pool), PlainClimatology(reach, pool)
    )  # fmt: skip
    return {model.kind: model for model in models}


def serving(series: Mapping[str, Series], outcomes: Sequence[Outcome], recipe: Recipe) -> Blend:
    """The models of all targets in one; cohort and pool know every day there is."""
    base = Climatology(recipe.reach, {}, {}, {})
    for outcome in outcomes:
        whole = climatology_before(series, outcome.target, (), (outcome.kernel, recipe))
        base = replace(
            base,
            kernels={**base.kernels, **whole.kernels},
            pool={**base.pool, **whole.pool},
            cohorts={**base.cohorts, **whole.cohorts},
        )
    members = {o.target: o.members for o in outcomes if o.promoted}
    served = {o.target: o.tuned[o.champion] for o in outcomes}
    calibrations = {target: each.calibration for target, each in served.items()}
    return Blend(base, members, calibrations, {t: each.ratios for t, each in served.items()})
