"""Dead letters by hand: apply a parked record again, or give it up. Its bytes stay either way."""

from fitstream import events
from fitstream.errors import Rejected
from fitstream.logs import get
from fitstream.repo import dead_letters
from fitstream.repo.database import Db, Repo
from fitstream.repo.ledger import LedgerWriter

log = get(__name__)


async def replay(repo: Repo, letter_id: int, by: str) -> None:
    """Writes the record's rows by the merge rule and marks it, in one transaction.

    `by`, the account or key that asked, is kept with it.

    Raises NotFound, Conflict(not_parked), and Rejected (422) when it still cannot be applied: it
    stays parked then, with the new reason. A repeat of what was applied would change no row.
    """
    try:
        async with repo.transaction() as db:
            await dead_letters.lock_parked(db, letter_id)
            await _apply(db, letter_id)
            await dead_letters.settle(db, letter_id, "replayed", by)
    except Rejected as error:
        async with repo.transaction() as db:
            await dead_letters.keep_parked(db, letter_id, error.code, error.message)
        raise Rejected(error.code, error.message, 422) from error
    log.info("dead_letter_replayed", id=letter_id, by=by)


async def discard(repo: Repo, letter_id: int, by: str) -> None:
    """Gives one up, as `by` has asked. Raises NotFound, Conflict(not_parked)."""
    async with repo.transaction() as db:
        await dead_letters.lock_parked(db, letter_id)
        await dead_letters.settle(db, letter_id, "discarded", by)
    log.info("dead_letter_discarded", id=letter_id, by=by)


async def _apply(db: Db, letter_id: int) -> None:
    letter = await dead_letters.get_dead_letter(db, letter_id)
    batch = events.decode(await dead_letters.value_of(db, letter_id))
    numbered = [(letter.record_offset, batch)]
    written = await LedgerWriter().merge(db, letter.generation, numbered)
    if written.unknown:
        raise Rejected("unknown_device", "no such device of that customer")
    if written.erased:
        raise Rejected("erased", "its customer or device was erased: discard it")
