"""The pool, transactions, and the translation of driver errors; the only importer of asyncpg.

Functions beside this file take the connection they are given, so that a caller can put several
into one transaction. Must not hold SQL: that lives in `sql/`.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from contextvars import ContextVar
from typing import Any, Literal, NamedTuple, TypeVar

import asyncpg
import msgspec

from fitstream.errors import Halted, Rejected, Unavailable
from fitstream.repo.queries import sql
from fitstream.settings import Settings

Isolation = Literal["read_committed", "repeatable_read"]
Db = Any  # an asyncpg connection; the driver ships no types
T = TypeVar("T", bound=msgspec.Struct)

RETRYABLE = (
    asyncpg.PostgresConnectionError,
    asyncpg.InsufficientResourcesError,  # a full disk, no more connections
    asyncpg.OperatorInterventionError,  # shutting down, statement timeout
    asyncpg.TransactionRollbackError,  # deadlock, serialization
    asyncpg.LockNotAvailableError,
    asyncpg.PostgresSystemError,
    asyncpg.InvalidAuthorizationSpecificationError,  # a password that is being rotated
    asyncpg.InvalidCatalogNameError,  # a database that is being restored
    asyncpg.InvalidTransactionStateError,  # a primary that has become a read-only standby
    asyncpg.InterfaceError,
    OSError,
    TimeoutError,
)
UniqueViolation = asyncpg.UniqueViolationError
ConstraintViolation = asyncpg.IntegrityConstraintViolationError
DataError = (asyncpg.DataError, ConstraintViolation)


class Overtaken(Unavailable):
    """Another transaction changed the same rows first; the same call may be judged anew."""


class _Joined(NamedTuple):
    """A transaction that one task wants all of its calls to be part of."""

    db: Db
    task: asyncio.Task[Any] | None


_joined: ContextVar[_Joined | None] = ContextVar("joined", default=None)


class Repo:
    """The database: connections and transactions with deadlines."""

    def __init__(self, pool: Any, acquire_timeout_s: float) -> None:
        self._pool = pool
        self._acquire_timeout_s = acquire_timeout_s

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[Db]:
        """A connection in autocommit; raises Unavailable when none comes in time."""
        try:
            if (joined := _joined_now()) is not None:
                async with joined.transaction():  # an error here undoes this part only
                    yield joined
                return
            async with self._pool.acquire(timeout=self._acquire_timeout_s) as db:
                try:
                    yield db
                except BaseException:
                    _doubt(db)
                    raise
        except asyncpg.SerializationError as error:
            raise Overtaken("postgres", f"{type(error).__name__}: {error}") from error
        except asyncpg.DataError as error:
            raise _refused(error) from error
        except asyncpg.SyntaxOrAccessError as error:
            text = f"the database does not fit this version of fitstream: {error}"
            raise Halted(text, "schema_differs") from error
        except RETRYABLE as error:
            if isinstance(error, asyncpg.InterfaceError) and isinstance(error, ValueError):
                raise _refused(error) from error  # the driver could not encode a value
            raise Unavailable("postgres", f"{type(error).__name__}: {error}") from error

    @asynccontextmanager
    async def transaction(
        self, isolation: Isolation = "read_committed", readonly: bool = False
    ) -> AsyncIterator[Db]:
        """A transaction: commits on leaving, rolls back on any error.

        Inside `joined` it is a part of that one, whose isolation holds.
        """
        if _joined_now() is not None:
            async with self.connection() as db:
                yield db
            return
        async with (
            self.connection() as db,
            db.transaction(isolation=isolation, readonly=readonly),
        ):
            yield db

    @asynccontextmanager
    async def joined(self, isolation: Isolation = "read_committed") -> AsyncIterator[Db]:
        """One transaction for all that the current task does until it leaves.

        Connections and transactions that the task opens meanwhile are parts of it: they see its
        changes, and are undone with it. Tasks that it starts have connections of their own.
        """
        async with self.transaction(isolation) as db:
            token = _joined.set(_Joined(db, asyncio.current_task()))
            try:
                yield db
            finally:
                _joined.reset(token)

    async def ping(self) -> None:
        """Raises Unavailable unless the database answers."""
        async with self.connection() as db:
            await db.fetchval("SELECT 1")


@asynccontextmanager
async def open_repo(settings: Settings) -> AsyncIterator[Repo]:
    """The database of `settings`; closing waits at most 5 s for running queries."""
    try:
        pool = await asyncpg.create_pool(
            settings.postgres,
            min_size=1,
            max_size=settings.pool_size,
            timeout=5,
            command_timeout=settings.statement_timeout_s + 2,
            init=_init,
            connection_class=_Connection,
            reset=_Connection.settle,
            server_settings={
                "application_name": "fitstream",
                "statement_timeout": f"{int(settings.statement_timeout_s * 1000)}",
                "lock_timeout": "5000",
                "jit": "off",
            },
        )
    except RETRYABLE as error:
        raise Unavailable("postgres", f"{type(error).__name__}: {error}") from error
    try:
        yield Repo(pool, settings.acquire_timeout_s)
    finally:
        await _close(pool)


async def fetch(db: Db, kind: type[T], name: str, *args: object) -> list[T]:
    """Rows of the named block as `kind`; its columns are the fields, in order."""
    return [kind(*record) for record in await db.fetch(sql(name), *args)]


async def fetch_one(db: Db, kind: type[T], name: str, *args: object) -> T | None:
    """The first row of the named block as `kind`, or None."""
    record = await db.fetchrow(sql(name), *args)
    return None if record is None else kind(*record)


async def fetch_value(db: Db, name: str, *args: object) -> Any:
    """The first column of the first row of the named block, or None."""
    return await db.fetchval(sql(name), *args)


async def execute(db: Db, name: str, *args: object) -> int:
    """Runs the named block; the number of rows it changed."""
    status: str = await db.execute(sql(name), *args)
    count = status.rpartition(" ")[2]
    return int(count) if count.isdigit() else 0


def _joined_now() -> Db | None:
    """The connection of the current task's `joined` transaction, if it is in one."""
    found = _joined.get()
    return found.db if found is not None and found.task is asyncio.current_task() else None


def _refused(error: Exception) -> Rejected:
    """A value that no column can hold (NUL in a text, a number out of range): asking again is no
    help."""
    return Rejected("bad_value", f"a value cannot be stored or looked for: {error}", 422)


async def _init(db: Db) -> None:
    await db.set_type_codec(
        "jsonb",
        schema="pg_catalog",
        encoder=lambda value: msgspec.json.encode(value).decode(),
        decoder=msgspec.json.decode,
    )


class _Connection(asyncpg.Connection):  # type: ignore[misc]  # the driver ships no types
    """Knows whether its last use ended in an error."""

    __slots__ = ("_is_in_doubt",)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._is_in_doubt = False

    def doubt(self) -> None:
        """It has to be cleaned before its next use."""
        self._is_in_doubt = True

    async def settle(self) -> None:
        """Cleans it if need be.

        Else it goes back to the pool as it is: the driver's own clean-up is one more question to
        Postgres in every transaction, and nobody here sets, locks or listens for a whole session.
        After an error (a value that the driver cannot encode, a task that was cancelled) Postgres
        may wait for the rest of a statement, with the deadline of statements running: the next
        use would be cancelled for being late.
        """
        if self._is_in_doubt:
            await self.execute(self.get_reset_query())
            self._is_in_doubt = False


def _doubt(db: Db) -> None:
    with suppress(AttributeError):  # a lost connection is none: it does not come back
        db.doubt()


async def _close(pool: Any) -> None:
    try:
        async with asyncio.timeout(5):
            await pool.close()
    except TimeoutError:
        pool.terminate()
