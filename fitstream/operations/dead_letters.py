"""Dead letters by hand: apply a parked record again, or give it up. Its bytes stay either way."""

from typing import NamedTuple

from fitstream import events
from fitstream.errors import Rejected
from fitstream.logs import get
from fitstream.repo import dead_letters
from fitstream.repo.audit import Actor, Subject, record
from fitstream.repo.database import Db, Repo
from fitstream.repo.dead_letters import Settled
from fitstream.repo.ledger import LedgerWriter

log = get(__name__)


class By(NamedTuple):
    """Who asks: the public id that is kept with the letter, and who it is in the audit log."""

    id: str
    actor: Actor


async def replay(repo: Repo, letter_id: int, by: By) -> None:
    """Writes the record's rows by the merge rule and marks it, in one transaction.

    Raises NotFound, Conflict(not_parked), and Rejected (422) when it still cannot be applied: it
    stays parked then, with the new reason. A repeat of what was applied would change no row.
    """
    try:
        async with repo.transaction() as db:
            await dead_letters.lock_parked(db, letter_id)
            await _apply(db, letter_id)
            await _settle(db, letter_id, "replayed", by)
    except Rejected as error:
        async with repo.transaction() as db:
            await dead_letters.keep_parked(db, letter_id, error.code, error.message)
        raise Rejected(error.code, error.message, 422) from error
    log.info("dead_letter_replayed", id=letter_id, by=by.id)


async def discard(repo: Repo, letter_id: int, by: By) -> None:
    """Gives one up, as `by` has asked. Raises NotFound, Conflict(not_parked)."""
    async with repo.transaction() as db:
        await dead_letters.lock_parked(db, letter_id)
        await _settle(db, letter_id, "discarded", by)
    log.info("dead_letter_discarded", id=letter_id, by=by.id)


async def _settle(db: Db, letter_id: int, state: Settled, by: By) -> None:
    await dead_letters.settle(db, letter_id, state, by.id)
    subject = Subject("dead_letter", str(letter_id))
    await record(db, by.actor, f"dead_letter.{state}", subject)


async def _apply(db: Db, letter_id: int) -> None:
    letter = await dead_letters.get_dead_letter(db, letter_id)
    batch = events.decode(await dead_letters.value_of(db, letter_id))
    numbered = [(letter.record_offset, batch)]
    written = await LedgerWriter().merge(db, letter.generation, numbered)
    if written.unknown:
        raise Rejected("unknown_device", "no such device of that customer")
    if written.erased:
        raise Rejected("erased", "its customer or device was erased: discard it")
