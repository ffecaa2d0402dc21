"""`fitstream train`, `models` and `forecast`: training and its results, over the API."""

import asyncio
from typing import Any

import click
import msgspec

from fitstream.client import Client, open_client
from fitstream.client.data import Forecast
from fitstream.client.operations import Model, ModelCard, Run

_POLL_S = 2.0
_OVER = ("succeeded", "failed", "cancelled")


def run_train(api: tuple[str, str], wanted: dict[str, Any], is_waiting: bool) -> int:
    """Starts a run; with `is_waiting` 0 only when it succeeded. Raises NotFound."""

    async def train(admin: Client) -> int:
        run_id = await admin.train(**wanted)
        click.echo(f"run {run_id}")
        return await _awaited(admin, run_id) if is_waiting else 0

    return _with(api, train)


def run_models(api: tuple[str, str], what: str, model_id: str) -> int:
    """Lists models or shows one's card; promotes, retires or rolls one back and lists them then.

    Raises NotFound, Conflict.
    """

    async def show(admin: Client) -> int:
        calls = {
            "promote": admin.promote_model,
            "retire": admin.retire_model,
            "roll-back": admin.roll_back_model,
        }
        if what == "show":
            click.echo(card_of(await admin.model_card(model_id)))
            return 0
        if what in calls:
            await calls[what](model_id)
        click.echo("\n".join(line_of(model) for model in await admin.models()) or "no model yet")
        return 0

    return _with(api, show)


def run_forecast(api: tuple[str, str], customer_id: str, target: str) -> int:
    """Prints the latest forecast of a customer hour by hour. Raises NotFound."""

    async def show(admin: Client) -> int:
        click.echo("\n".join(rows_of(await admin.forecast(customer_id, target))))
        return 0

    return _with(api, show)


def line_of(model: Model) -> str:
    """One model in a line: id, stage, kind, whose, its WQL per target, when it was made."""
    scores = ", ".join(
        f"{row['target']} {row['wql']:.4f}"
        for row in model.metrics.get("leaderboard", [])
        if row.get("champion") and row.get("wql") is not None
    )
    made = f"{model.created_at:%Y-%m-%d %H:%M}"
    flag = "to be trained anew: people have withdrawn" if model.flagged_at else ""
    parts = (model.id, model.stage, model.kind, model.customer_id, scores, made, flag)
    return "  ".join(part for part in parts if part)


def card_of(found: ModelCard) -> str:
    """The card as indented JSON, the model's line above it; a sentence where there is none."""
    if found.card_state != "kept":
        text = f"its card is {found.card_state} in the archive; bring it back from a backup"
        return f"{line_of(found.model)}\n{text}"
    text = msgspec.json.format(msgspec.json.encode(found.card)).decode()
    return f"{line_of(found.model)}\n{text}"


def rows_of(found: Forecast) -> list[str]:
    """What the forecast rests on, then a line per hour: q10, q50, q90, mean of its first slot."""
    lines = [f"{found.target} by {found.model_id} ({found.model_kind}), {found.basis}"]
    for item in found.items[::4]:
        values = (item.q10, item.q50, item.q90, item.mean)
        lines.append(f"{item.slot:%Y-%m-%d %H:%M}Z" + "".join(f"{value:10.1f}" for value in values))
    return lines


async def _awaited(admin: Client, run_id: str) -> int:
    while True:
        run = await admin.run(run_id)
        if run.state in _OVER and not _is_preparation(run, run_id):
            click.echo(run.verdict or run.error or run.state)
            return 0 if run.state == "succeeded" else 1
        await asyncio.sleep(_POLL_S)


def _is_preparation(run: Run, run_id: str) -> bool:
    """A preparation that has succeeded without a verdict: its run shows under the same id soon."""
    return run.id == run_id and run.state == "succeeded" and not run.verdict


def _with(api: tuple[str, str], call: Any) -> int:
    async def run() -> int:
        async with open_client(*api) as admin:
            done: int = await call(admin)
            return done

    return asyncio.run(run())
