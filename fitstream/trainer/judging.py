"""What the held-out days say about a target's candidates: shares, calibration, gate, test.

Must train nothing; the test days decide nothing.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from fitstream.trainer.automl import Plan, mix
from fitstream.trainer.data import Series
from fitstream.trainer.daytotals import USUAL, ratios_of, wider_of
from fitstream.trainer.evaluate import Held, Model, hold
from fitstream.trainer.models.blend import ENSEMBLE, Blend, Member
from fitstream.trainer.models.calibration import calibrate, no_calibration
from fitstream.trainer.models.climatology import Climatology, PlainClimatology
from fitstream.trainer.models.daylevel import LEVELLED
from fitstream.trainer.models.naive import NoTimeOfDay, SeasonalNaive
from fitstream.trainer.models.network import predict_network
from fitstream.trainer.models.shape import MIXTURE
from fitstream.trainer.prepare import Prepared, climatology_before
from fitstream.trainer.recipe import Recipe
from fitstream.trainer.report import (
    CHAMPION,
    CLIMATOLOGY,
    WORDS,
    Outcome,
    Tuned,
    against_all,
    is_passed,
    percent,
)
from fitstream.trainer.rolling import mixture_of, rolled
from fitstream.trainer.search import Found
from fitstream.trainer.splits import first_days
from fitstream.trainer.windows import Issue

WEEK_AHEAD = 6  # whole days between what is known and the day to forecast: the last of a week
FAR_BASELINES = ("climatology", "naive_week")


def judge(
    series: Mapping[str, Series],
    made: Prepared,
    found: Found,
    given: tuple[Plan, Recipe, Model | None],
) -> Outcome:
    """Mix and calibration from the stop days, the gates from days between and before, test days
    last."""
    plan, recipe, champion = given
    target = made.target
    known = (*made.split.train, *made.split.validation)
    first = rolled(series, made, recipe)
    groups: dict[str, tuple[Member, ...]] = {CLIMATOLOGY: ()}
    if first is not None:
        groups[MIXTURE] = mixture_of(series, made.base, (target, made.split.train, recipe))
    passed = first is not None and is_passed(against_all(first, MIXTURE, recipe.seed))
    beside = groups[MIXTURE] if passed else ()
    if networks := _networks(made, found, (plan, beside)):
        groups[ENSEMBLE] = networks
    gate = _gate(series, made, groups, (passed, champion))
    late = climatology_before(series, target, made.split.test, (made.base.kernels[target], recipe))
    tuned = {name: _tune(series, made, group) for name, group in groups.items()}
    models: dict[str, Model] = dict(_baselines(late))
    for name, group in groups.items():
        told = up_to_date(series, late, (target, group), (known, recipe))
        ratios = {target: tuned[name].ratios}
        models[name] = Blend(late, {target: told}, {target: tuned[name].calibration}, ratios)
    if champion is not None and target in getattr(champion, "targets", ()):
        models[CHAMPION] = champion
    test = hold(models, series, target, made.split.test)
    return Outcome(
        target=target,
        kernel=made.base.kernels[target],
        split=made.split,
        mixture_days=first,
        gate_days=gate,
        test=test,
        week_ahead=a_week_ahead(series, made, (groups, tuned), recipe),
        trials=found.trials,
        shapes=plan.shapes,
        groups=groups,
        tuned=tuned,
        prepare_seconds=made.seconds,
        seed=recipe.seed,
    )


def a_week_ahead(
    series: Mapping[str, Series],
    made: Prepared,
    given: tuple[Mapping[str, tuple[Member, ...]], Mapping[str, Tuned]],
    recipe: Recipe,
) -> Held:
    """The test days from what was known six days before each: so cohort, pool and mixture know no
    day beyond the first of these cuts either. Choices were made on days up to the test's."""
    groups, tuned = given
    target, test = made.target, made.split.test
    ahead = [Issue(i.customer_id, i.day, i.day - WEEK_AHEAD) for i in test]
    cuts = [Issue(i.customer_id, max(i.cut, 0), i.cut) for i in ahead]
    first = first_days(cuts)
    seen = (*made.split.train, *made.split.validation)
    known = [i for i in seen if i.day < first.get(i.customer_id, i.day + 1)]
    base = climatology_before(series, target, cuts, (made.base.kernels[target], recipe))
    baselines = _baselines(base)
    models: dict[str, Model] = {name: baselines[name] for name in FAR_BASELINES}
    for name, group in groups.items():
        told = up_to_date(series, base, (target, group), (known, recipe))
        calibration, ratios = tuned[name]
        models[name] = Blend(base, {target: told}, {target: calibration}, {target: ratios})
    return hold(models, series, target, ahead)


class Standing(NamedTuple):
    """Whether a run's model may take the champion's place, and why in plain words; none without a
    champion."""

    replaces: bool
    words: str


def standing(outcomes: Sequence[Outcome], champion: Model | None) -> Standing:
    """A run's model beside the champion so far.

    It must forecast all that the champion does, be better with certainty on the held-out days of
    one target at least, and on none worse with certainty. Without a champion it may. A target that
    only the new model forecasts counts as better.
    """
    if champion is None:
        return Standing(replaces=True, words="")
    known = set(getattr(champion, "targets", ()))
    told = {outcome.target for outcome in outcomes}
    if lacking := [WORDS[target] for target in WORDS if target in known - told]:
        text = f"The champion so far stays: it also forecasts {' and '.join(lacking)}."
        return Standing(replaces=False, words=text)
    against = {
        outcome.target: outcome.test.compare(outcome.champion, CHAMPION, outcome.seed)
        for outcome in outcomes
        if outcome.target in known
    }
    is_better = bool(told - known) or any(each.high < 0 for each in against.values())
    may = is_better and not any(each.low > 0 for each in against.values())
    parts = [f"{WORDS[target]} {percent(each)}" for target, each in against.items()]
    parts += [f"{WORDS[target]}, which that one does not forecast" for target in told - known]
    end = "it may take its place" if may else "that one stays"
    text = f"WQL on the test days against the champion so far: {', '.join(sorted(parts))}; {end}."
    return Standing(may, text)


def _networks(
    made: Prepared, found: Found, given: tuple[Plan, tuple[Member, ...]]
) -> tuple[Member, ...]:
    """The networks of the last rung with their shares, those of the mixture `beside` them made
    smaller; none where what there is without networks is best."""
    plan, beside = given
    if not found.networks:
        return ()
    numbers = sorted(found.networks)
    forecasts = [Blend(made.base, {made.target: beside}).predict_own(made.stop)]
    forecasts += [predict_network(found.networks[number], made.stop) for number in numbers]
    truth = np.where(np.isfinite(forecasts[0][..., 0]), made.stop.truth, np.float32(np.nan))
    shares = mix(truth, [np.nan_to_num(each) for each in forecasts])
    if shares[0] == 1:
        return ()
    return (
        *(replace(member, weight=shares[0] * member.weight) for member in beside),
        *(
            Member(plan.shapes[number], found.networks[number], share)
            for number, share in zip(numbers, shares[1:], strict=True)
            if share > 0
        ),
    )


def up_to_date(
    series: Mapping[str, Series],
    base: Climatology,
    group: tuple[str, tuple[Member, ...]],
    told: tuple[Sequence[Issue], Recipe],
) -> tuple[Member, ...]:
    """The members of a target, its mixture knowing all of some days, as cohort and pool do."""
    (target, members), (issues, recipe) = group, told
    if all(member.shape.kind != MIXTURE for member in members):
        return members
    (fresh,) = mixture_of(series, base, (target, issues, recipe))
    return tuple(
        replace(member, network=fresh.network) if member.shape.kind == MIXTURE else member
        for member in members
    )


def _gate(
    series: Mapping[str, Series],
    made: Prepared,
    groups: Mapping[str, tuple[Member, ...]],
    given: tuple[bool, Model | None],
) -> Held | None:
    """The networks beside what they have to beat, the mixture included where it serves itself."""
    with_mixture, champion = given
    if ENSEMBLE not in groups or not made.split.gate:
        return None
    names = (CLIMATOLOGY, *([MIXTURE] if with_mixture else []), ENSEMBLE)
    models: dict[str, Model] = {"no_time_of_day": NoTimeOfDay(made.base.reach, made.base.pool)}
    models |= {name: Blend(made.base, {made.target: groups[name]}) for name in names}
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
    ratios = ratios_of(made.target, held.truth, calibration.apply(held.forecasts["model"]))
    if made.split.stop and made.target in LEVELLED:
        told = Blend(made.base, model.members, {made.target: calibration}, {made.target: ratios})
        held = hold({"model": told}, series, made.target, made.split.stop)
        served = held.day_ratios["model"]
        ratios = ratios._replace(wider=wider_of(held.truth, held.forecasts["model"], served))
    return Tuned(calibration, ratios)


def _baselines(base: Climatology) -> dict[str, Model]:
    reach, pool = base.reach, base.pool
    models: tuple[Model, ...] = (
        SeasonalNaive(1, reach, pool), SeasonalNaive(7, reach, pool), PlainClimatology(reach, pool)
    )  # fmt: skip
    return {model.kind: model for model in models}


def serving(series: Mapping[str, Series], outcomes: Sequence[Outcome], recipe: Recipe) -> Blend:
    """The models of all targets in one; cohort and pool know every day there is."""
    base = Climatology(recipe.reach, {}, {}, {})
    members: dict[str, tuple[Member, ...]] = {}
    for outcome in outcomes:
        whole = climatology_before(series, outcome.target, (), (outcome.kernel, recipe))
        base = replace(
            base,
            kernels={**base.kernels, **whole.kernels},
            pool={**base.pool, **whole.pool},
            cohorts={**base.cohorts, **whole.cohorts},
        )
        days = [issue for part in outcome.split for issue in part]
        if group := outcome.groups[outcome.champion]:
            told = up_to_date(series, whole, (outcome.target, group), (days, recipe))
            members[outcome.target] = told
    served = {o.target: o.tuned[o.champion] for o in outcomes}
    calibrations = {target: each.calibration for target, each in served.items()}
    return Blend(base, members, calibrations, {t: each.ratios for t, each in served.items()})
