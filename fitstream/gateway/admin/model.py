"""One model: its card as a page, and who serves."""

from collections.abc import Awaitable, Callable

import msgspec
from aiohttp import web

from fitstream.client.operations import Model
from fitstream.gateway.admin import reads
from fitstream.gateway.admin.door import Viewer
from fitstream.gateway.api import stages
from fitstream.gateway.view.leaderboard import Board, boards_of
from fitstream.gateway.view.model_card import TargetCard, cards_of, own_cards_of
from fitstream.gateway.view.templates import html, see

Act = Callable[[web.Request], Awaitable[web.Response]]


class ModelPage(msgspec.Struct, frozen=True, kw_only=True):
    """A model and its card."""

    model: Model
    card_state: str
    verdict: str
    people: int | None
    wear_days: int | None
    boards: list[Board]
    cards: list[TargetCard]
    limits: list[str]
    raw: str


async def show_model(request: web.Request, viewer: Viewer) -> web.StreamResponse:
    """The card of a model."""
    found = await reads.card(request)
    card, counts = found.card, found.card.get("counts", {})
    is_kept = found.card_state == "kept"
    page = ModelPage(
        model=found.model,
        card_state=found.card_state,
        verdict=str(card.get("verdict", "")),
        people=int(counts.get("customers", 0)) if is_kept else None,
        wear_days=counts.get("wear_days"),
        boards=boards_of(card if is_kept else found.model.metrics),
        cards=cards_of(card) or own_cards_of(card),
        limits=[str(text) for text in card.get("limits", [])],
        raw=msgspec.json.format(msgspec.json.encode(card)).decode(),
    )
    return html(request, "admin/model.html", viewer.shell("models"), page)


async def promote(request: web.Request, _: Viewer) -> web.StreamResponse:
    """Puts the model to use."""
    return await _back(request, stages.promote_model)


async def retire(request: web.Request, _: Viewer) -> web.StreamResponse:
    """Takes it out of use."""
    return await _back(request, stages.retire_model)


async def roll_back(request: web.Request, _: Viewer) -> web.StreamResponse:
    """Goes back to the model before it."""
    return await _back(request, stages.roll_back_model)


async def _back(request: web.Request, act: Act) -> web.Response:
    await act(request)
    return see(f"/admin/models/{request.match_info['model']}")
