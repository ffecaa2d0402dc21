"""Letters on their way: sealed while they wait, sent again after an outage, given up in time."""

from datetime import UTC, datetime, timedelta
from email.message import EmailMessage
from typing import Any
from uuid import uuid4

import msgspec
import pytest

from fitstream.errors import NotFound, Unavailable
from fitstream.gateway.passwords import hash_password
from fitstream.outbox import Letter, Notice, Outbox, Registration, ResetAsked
from fitstream.repo import accounts, jobs, links
from fitstream.repo.database import Repo
from fitstream.repo.jobs import ClaimedJob
from fitstream.sealing import master_keys
from fitstream.settings import Settings
from fitstream.store import Store
from fitstream.tasks.context import JobContext
from fitstream.tasks.send_mail import send_letter

pytestmark = pytest.mark.stack


class Server:
    """Takes mails; `fails` is raised instead, or afterwards."""

    def __init__(self, fails: Exception | None = None, after: bool = False) -> None:
        self.mails: list[EmailMessage] = []
        self._fails = fails
        self._after = after

    async def send(self, message: EmailMessage) -> None:
        if self._fails is None or self._after:
            self.mails.append(message)
        if self._fails is not None:
            raise self._fails

    def token(self, number: int = -1) -> str:
        text = str(self.mails[number].get_content())
        return text.partition("token=")[2].split()[0]


@pytest.fixture
def address() -> str:
    return f"{uuid4().hex[:12]}@example.org"


async def posted(repo: Repo, settings: Settings, letter: Letter, **ago: float) -> str:
    outbox = Outbox(master_keys(settings), settings)
    async with repo.transaction() as db:
        return await outbox.post(db, letter, datetime.now(UTC) - timedelta(**ago))


async def claimed(repo: Repo, job_id: str) -> ClaimedJob:
    async with repo.transaction() as db:
        await db.execute(
            "UPDATE job SET run_after = now(), lease_until = now() - interval '1 s' WHERE id = $1",
            job_id,
        )
        found = await jobs.claim_job(db, job_id, "test", 30.0)
    assert found is not None
    return found


async def sent(repo: Repo, settings: Settings, job_id: str, server: Server) -> None:
    store = Store(None, "none", "md5")  # a mail asks for no object
    context = JobContext(await claimed(repo, job_id), repo, store, settings)
    await send_letter(context, server)


async def row(repo: Repo, job_id: str) -> Any:
    async with repo.connection() as db:
        return await db.fetchrow("SELECT state, error, payload FROM job WHERE id = $1", job_id)


async def account(repo: Repo, email: str) -> int:
    async with repo.transaction() as db:
        stored = await hash_password("a quiet long walk")
        return await accounts.create_account(db, email, stored, "admin", None)


async def test_a_letter_that_waits_tells_nothing_and_forgets_all_at_its_end(
    repo: Repo, services: Settings, address: str
) -> None:
    letter = Registration(
        email=address, programme="default", zone="UTC", name="Ada", password_hash="$argon2id$x"
    )
    job = await posted(repo, services, letter)
    waiting = await row(repo, job)
    for text in (address, "Ada", "$argon2id$x"):
        assert text not in str(waiting["payload"])
    server = Server()
    await sent(repo, services, job, server)
    found = await row(repo, job)
    assert found["state"] == "succeeded"
    assert "sealed" not in found["payload"]
    async with repo.connection() as db:
        kept = await db.fetch("SELECT token_sha, data FROM account_link WHERE purpose = 'register'")
    for link in kept:
        assert server.token().encode() not in link["token_sha"]
        assert link["data"] is None or address.encode() not in link["data"]


async def test_an_outage_loses_no_letter_and_a_second_try_sends_the_same_link(
    repo: Repo, services: Settings, address: str
) -> None:
    number = await account(repo, address)
    job = await posted(repo, services, ResetAsked(email=address))
    with pytest.raises(Unavailable):
        await sent(repo, services, job, Server(Unavailable("smtp", "away")))
    assert (await row(repo, job))["state"] == "running"
    died = Server(RuntimeError("killed after the server took it"), after=True)
    with pytest.raises(RuntimeError):
        await sent(repo, services, job, died)
    now = datetime.now(UTC)
    async with repo.transaction() as db:
        link = await links.use_link(db, died.token(), now, "reset")
    assert link.account_no == number
    again = Server()
    await sent(repo, services, job, again)
    assert again.token() == died.token()
    assert again.mails[0]["Message-ID"] == died.mails[0]["Message-ID"]
    async with repo.transaction() as db:
        with pytest.raises(NotFound):  # what was used stays used
            await links.use_link(db, again.token(), now, "reset")


async def test_a_letter_that_nobody_took_in_time_is_given_up_and_forgotten(
    repo: Repo, services: Settings, address: str
) -> None:
    job = await posted(repo, services, ResetAsked(email=address), hours=2)
    await sent(repo, services, job, Server())
    found = await row(repo, job)
    assert found["state"] == "failed"
    assert "deadline" in found["error"]
    assert "sealed" not in found["payload"]


async def test_a_notice_may_wait_longer(repo: Repo, services: Settings, address: str) -> None:
    job = await posted(repo, services, Notice(news="factor_on", email=address), hours=2)
    server = Server()
    await sent(repo, services, job, server)
    assert server.mails[0]["To"] == address


async def test_nobody_gets_a_mail_for_an_address_that_is_unknown_or_out(
    repo: Repo, services: Settings, address: str
) -> None:
    number = await account(repo, address)
    async with repo.transaction() as db:
        await db.execute("UPDATE account SET disabled_at = now() WHERE account_no = $1", number)
    for email in (address, f"nobody-{address}"):
        server = Server()
        await sent(repo, services, await posted(repo, services, ResetAsked(email=email)), server)
        assert server.mails == []


async def test_a_link_expires_and_its_content_is_forgotten(
    repo: Repo, services: Settings, address: str
) -> None:
    short = msgspec.structs.replace(services, link_lifetime_s=60.0)
    await account(repo, address)
    server = Server()
    await sent(repo, short, await posted(repo, short, ResetAsked(email=address)), server)
    later = datetime.now(UTC) + timedelta(seconds=61)
    async with repo.transaction() as db:
        assert (await links.find_link(db, server.token(), datetime.now(UTC))).purpose == "reset"
        with pytest.raises(NotFound):
            await links.use_link(db, server.token(), later, "reset")
        await links.forget_links(db, later + timedelta(days=3))
        with pytest.raises(NotFound):
            await links.find_link(db, server.token(), datetime.now(UTC))
