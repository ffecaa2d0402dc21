"""One candidate of a training run on one rung: reads the pinned dataset, trains, leaves weights.

It goes on from its last checkpoint after a kill, on any machine, to the same weights. Must not
choose anything: what it trains, and for how long, the run has fixed.
"""

import asyncio
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import msgspec

from fitstream.crash import crash_point
from fitstream.errors import Rejected
from fitstream.repo import jobs, models, training
from fitstream.tasks.context import JobContext
from fitstream.tasks.dataset import read_dataset
from fitstream.tasks.memory import limit_training
from fitstream.tasks.pace import Pace
from fitstream.trainer.automl import SearchPlan, Trial
from fitstream.trainer.checkpoint import (
    Header,
    decode_checkpoint,
    encode_checkpoint,
    encode_weights,
)
from fitstream.trainer.data import Series
from fitstream.trainer.fit import prepare_again
from fitstream.trainer.recipe import Recipe
from fitstream.trainer.search import new_trial, trial_of
from fitstream.trainer.training import (
    Fit,
    device_of,
    fit_state,
    resume_fit,
    run_fit,
    use_threads,
    weights_of,
)

_CHECKPOINT_EVERY_S = 1.0
_SAVE_S = 30.0


class Stopped(Exception):
    """The job was asked to stop; its last checkpoint stands."""


class Candidate(msgspec.Struct, frozen=True):
    """Which trial: the payload of the job."""

    target: str
    rung: int
    number: int
    name: str = ""


@dataclass(frozen=True, eq=False)
class Order:
    """What to train, on what, from where."""

    candidate: Candidate
    plan: SearchPlan
    recipe: Recipe
    run_id: str
    device: str
    checkpoint: bytes | None

    @property
    def epochs(self) -> int:
        """At how many the trial ends at the latest."""
        return self.plan.plan.rungs[self.candidate.rung].epochs


async def train_candidate(context: JobContext) -> None:
    """Ends with a trial in the job's result and its weights beside it."""
    run_id = context.job.parent_id
    if run_id is None:
        raise Rejected("no_run", "a candidate belongs to a training run")
    async with context.repo.connection() as db:
        planned = await training.run_plan(db, run_id)
        gone = await models.withdrawn_members(db, planned.dataset_hash)
        checkpoint = await training.trial_state(db, context.job.id)
    if gone:  # nothing is read; the run finds out for itself
        async with context.repo.transaction() as db:
            await jobs.finish_job(db, context.job, "cancelled", {"withdrawn": gone})
        return
    device = device_of(context.settings.train_device)
    limit_training(context.settings, device)
    order = Order(
        candidate=msgspec.convert(context.job.payload, Candidate),
        plan=msgspec.convert(planned.plan, SearchPlan),
        recipe=msgspec.convert(planned.recipe, Recipe),
        run_id=run_id,
        device=device,
        checkpoint=checkpoint,
    )
    series = await read_dataset(context.store, context.programme_no, planned.dataset_hash)
    trial, weights = await _in_thread(context, order, series)
    crash_point("worker_before_commit")
    async with context.repo.transaction() as db:
        await training.save_trial(db, context.job, run_id, weights)
        result = {"trial": msgspec.to_builtins(trial), "device": device}
        await jobs.finish_job(db, context.job, "succeeded", result)
    crash_point("worker_after_commit")


async def _in_thread(
    context: JobContext, order: Order, series: Mapping[str, Series]
) -> tuple[Trial, bytes]:
    """Trains beside the loop, which stays free for a stop and for checkpoints."""
    loop, stopped = asyncio.get_running_loop(), threading.Event()

    def save(state: bytes) -> None:
        if stopped.is_set():
            raise Stopped
        saving = asyncio.run_coroutine_threadsafe(_save(context, order.run_id, state), loop)
        saving.result(_SAVE_S)

    try:
        return await asyncio.to_thread(_train, context, order, series, save)
    except asyncio.CancelledError:
        stopped.set()
        raise


async def _save(context: JobContext, run_id: str, state: bytes) -> None:
    async with context.repo.transaction() as db:
        await training.save_trial(db, context.job, run_id, state)


def _train(
    context: JobContext,
    order: Order,
    series: Mapping[str, Series],
    save: Callable[[bytes], None],
) -> tuple[Trial, bytes]:
    """The whole trial, from its checkpoint on where there is one."""
    use_threads(context.settings.train_threads)
    spent = time.process_time()
    wanted, plan = order.candidate, order.plan
    made = prepare_again(series, wanted.target, order.recipe, plan.kernels[wanted.target])
    at = (wanted.rung, wanted.number)
    fit = new_trial(made, plan.plan, at, order.recipe, order.device)
    found = decode_checkpoint(order.checkpoint, context.job.id)
    if found is not None:
        resume_fit(fit, found[0].progress, found[1])
    before = found[0].seconds if found is not None else 0.0

    def seconds() -> float:
        return before + time.process_time() - spent

    run_fit(fit, order.epochs, _Teller(context, order, fit, save, seconds).after_epoch)
    return trial_of(wanted.target, at, fit, seconds()), encode_weights(weights_of(fit))


@dataclass(eq=False)
class _Teller:
    """Tells how far the fit is after every epoch, and keeps a checkpoint about once a second."""

    context: JobContext
    order: Order
    fit: Fit
    save: Callable[[bytes], None]
    seconds: Callable[[], float]
    saved: float = 0.0

    def __post_init__(self) -> None:
        self.pace = Pace(self.fit.progress.epoch)

    def after_epoch(self, loss: float) -> None:
        """Raises Stopped when the job was asked to stop, and what saving raises."""
        progress, now, epochs = self.fit.progress, time.monotonic(), self.order.epochs
        self.context.tell(
            phase="training",
            target=self.order.candidate.target,
            candidate=self.order.candidate.name,
            epoch=progress.epoch,
            epochs=epochs,
            loss=round(loss, 5),
            left_s=self.pace.left_s(progress.epoch, epochs),
        )
        if now - self.saved >= _CHECKPOINT_EVERY_S:
            header = Header(run_key=self.context.job.id, progress=progress, seconds=self.seconds())
            self.save(encode_checkpoint(header, fit_state(self.fit)))
            self.saved = time.monotonic()
