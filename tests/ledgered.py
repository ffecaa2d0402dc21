"""A customer whose rows are written without Kafka, and whose week a test rolls by itself."""

from datetime import UTC, datetime

from fitstream.clock import Zones, slot_of, week_of
from fitstream.events import SampleBatch, SampleColumns
from fitstream.ids import new_id
from fitstream.repo import customers, devices, progress, weeks
from fitstream.repo.customers import NewCustomer
from fitstream.repo.database import Repo
from fitstream.repo.ledger import Chunk, LedgerWriter
from fitstream.repo.weeks import Claim, WeekRow
from tests.real import last_monday

FIRST = slot_of(last_monday(2))


class LedgerWearer:
    """A customer with one device, in one week."""

    def __init__(self, repo: Repo, customer_id: str, customer_no: int, device_id: str) -> None:
        self._repo = repo
        self.customer_id = customer_id
        self.customer_no = customer_no
        self._device_id = device_id
        self._partition = customer_no + 1_000_000
        self._at = 0

    async def write(self, slots: list[int], steps: int = 5, rev: int = 0) -> None:
        """Rows, as the ledger writes them."""
        await self.put(SampleColumns(slot=slots, rev=rev, steps=[steps] * len(slots)))

    async def put(self, columns: SampleColumns) -> None:
        """The same of any columns."""
        batch = SampleBatch(
            batch_id=new_id("b"),
            customer_id=self.customer_id,
            device_id=self._device_id,
            received_at=int(datetime.now(UTC).timestamp() * 1000),
            columns=columns,
        )
        chunk = Chunk(1, self._partition, self._at, self._at + 1, "b", [(self._at, batch)])
        async with self._repo.transaction() as db:
            await progress.start_progress(db, 1, self._partition, 0)
            await LedgerWriter().write(db, chunk)
        self._at += 1

    async def week(self) -> WeekRow:
        """The week of FIRST."""
        name = week_of(FIRST, await self._zones()).name
        async with self._repo.connection() as db:
            return await weeks.get_week(db, self.customer_no, name)

    async def _zones(self) -> Zones:
        async with self._repo.connection() as db:
            return await customers.zones_of(db, self.customer_no)

    async def claim(self, owner: str = "test", lease_s: float = 60) -> Claim:
        """A lease on this customer's week, whatever else is due."""
        async with self._repo.transaction() as db:
            await db.execute(
                "UPDATE week_state SET closed_at = coalesce(closed_at, now())"
                " WHERE customer_no = $1",
                self.customer_no,
            )
            row = await db.fetchrow(
                "UPDATE week_state SET lease_epoch = lease_epoch + 1, lease_owner = $2,"
                " lease_until = now() + make_interval(secs => $3) WHERE customer_no = $1"
                " RETURNING week, lease_epoch",
                self.customer_no,
                owner,
                lease_s,
            )
        return Claim(self.customer_no, self.customer_id, row["week"], row["lease_epoch"])


async def new_ledger_wearer(repo: Repo, programme: str = "default") -> LedgerWearer:
    """A customer nobody else uses, with a watch."""
    async with repo.transaction() as db:
        new = NewCustomer(external_id=new_id("x"), programme=programme)
        customer = await customers.create_customer(db, new)
        device = await devices.create_device(db, customer.customer_no, "watch", "w", None)
    return LedgerWearer(repo, customer.id, customer.customer_no, device.id)
