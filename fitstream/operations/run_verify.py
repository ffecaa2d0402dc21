"""The command around `verify`: what is looked at, what is printed, and the exit code."""

import asyncio
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from fitstream import process
from fitstream.errors import Halted
from fitstream.operations.receipts import verify_receipts
from fitstream.operations.verify import Scope, acknowledge_losses, repair, verify
from fitstream.settings import Settings

CLEAN, DIFFERENT, COULD_NOT_LOOK = 0, 1, 2


class Order(msgspec.Struct, frozen=True, kw_only=True):
    """What a person asked for."""

    repair: bool = False
    as_json: bool = False
    customer: str | None = None
    receipts: Path | None = None
    acknowledge_loss: bool = False


class _Answer(msgspec.Struct):
    lines: list[str]
    shown: dict[str, Any]
    is_clean: bool


def run_verify(environ: Mapping[str, str], order: Order) -> int:
    """Looks and prints; 0 when all agrees, 1 on any difference, 2 when it could not look."""
    answers: list[_Answer] = []

    async def look(settings: Settings, stop: asyncio.Event) -> None:
        looking = asyncio.create_task(_look(settings, order))
        stopping = asyncio.create_task(stop.wait())
        await asyncio.wait([looking, stopping], return_when=asyncio.FIRST_COMPLETED)
        stopping.cancel()
        if not looking.done():
            looking.cancel()
            raise Halted("it was stopped before it had seen everything")
        answers.append(await looking)

    code = process.run("verify", look, dict(environ))
    if code or not answers:
        return COULD_NOT_LOOK
    (answer,) = answers
    text = msgspec.json.encode(answer.shown).decode() if order.as_json else "\n".join(answer.lines)
    sys.stdout.write(text + "\n")
    return CLEAN if answer.is_clean else DIFFERENT


async def _look(settings: Settings, order: Order) -> _Answer:
    seen = await acknowledge_losses(settings) if order.acknowledge_loss else 0
    report = await verify(settings, Scope(order.customer))
    if order.acknowledge_loss:
        report.notes.append(f"losses acknowledged: {seen}")
    if order.repair:
        weeks = await repair(settings, report)
        report.notes.append(f"repair: {weeks} weeks that differ will be rolled again; look again")
    answer = _Answer(report.lines(), report.as_dict(), report.is_clean)
    if order.receipts is not None:
        await _add_receipts(settings, order.receipts, answer)
    return answer


async def _add_receipts(settings: Settings, path: Path, answer: _Answer) -> None:
    receipts = await verify_receipts(settings, path)
    lines = receipts.lines()
    answer.lines += ["", f"receipts of {path}", *lines]
    answer.shown["receipts"] = {"clean": receipts.is_clean, "lines": lines}
    answer.is_clean = answer.is_clean and receipts.is_clean
