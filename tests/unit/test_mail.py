"""Mails: one recipient, no line breaks, a folder for development that nobody else reads."""

import stat
from pathlib import Path

import msgspec
import pytest

from fitstream.errors import NotFound, Rejected, Unavailable
from fitstream.gateway.dev_mail import is_shown
from fitstream.mail import FolderMailer, compose, mailer_of, read_written, written
from fitstream.settings import Settings, load
from tests.factories import SETTINGS
from tests.fakes.smtp import smtp_server

NOTICE = {"news": "password_changed", "link": "https://me.example.org/forgot"}


def settings(**fields: object) -> Settings:
    return msgspec.structs.replace(load(SETTINGS), **fields)


@pytest.mark.parametrize(
    "address", ["a@b.org\nBcc: x@y.org", "a@b.org, x@y.org", "a@b.org\r\n\r\nhello", "a b@c.org"]
)
def test_nobody_else_can_be_written_to_by_an_address(address: str) -> None:
    with pytest.raises(Rejected) as error:
        compose(settings(), "job_1", address, "notice", NOTICE)
    assert error.value.code == "bad_address"


def test_a_name_cannot_add_a_header() -> None:
    values = {
        "programme": "P\nBcc: x@y.org",
        "name": "A\r\nTo: x@y.org",
        "link": "l",
        "lifetime": "m",
    }
    message = compose(settings(), "job_1", "a@b.org", "registration", values)
    assert set(message.keys()) >= {"To", "From", "Subject", "Message-ID"}
    assert message["Bcc"] is None
    assert str(message["To"]) == "a@b.org"


async def test_a_repeat_is_one_mail_and_only_its_owner_reads_it(tmp_path: Path) -> None:
    mailer = FolderMailer(tmp_path / "mail")
    for _ in range(2):
        await mailer.send(compose(settings(), "job_1", "a@b.org", "notice", NOTICE))
    (mail,) = written(tmp_path / "mail")
    assert (mail.id, mail.to, mail.subject) == ("job_1", "a@b.org", "Your password was changed")
    assert NOTICE["link"] in mail.text
    assert stat.S_IMODE((tmp_path / "mail" / "job_1.eml").stat().st_mode) == 0o600
    assert stat.S_IMODE((tmp_path / "mail").stat().st_mode) == 0o700


@pytest.mark.parametrize("name", ["../secrets", "job_2", "", "*"])
def test_only_mails_of_the_folder_can_be_read(tmp_path: Path, name: str) -> None:
    (tmp_path / "secrets.eml").write_text("Subject: x\n\nhidden")
    folder = tmp_path / "mail"
    folder.mkdir()
    with pytest.raises(NotFound):
        read_written(folder, name)


async def test_without_a_server_a_mail_waits_and_says_for_what() -> None:
    mailer = mailer_of(settings())
    with pytest.raises(Unavailable, match="FITSTREAM_SMTP_HOST"):
        await mailer.send(compose(settings(), "job_1", "a@b.org", "notice", NOTICE))


async def test_a_server_that_is_away_is_asked_again() -> None:
    away = settings(smtp_host="127.0.0.1", smtp_port=9, smtp_security="none", smtp_timeout_s=2.0)
    with pytest.raises(Unavailable):
        await mailer_of(away).send(compose(away, "job_1", "a@b.org", "notice", NOTICE))


@pytest.mark.parametrize(
    ("fields", "host", "shown"),
    [
        ({"mail_folder": "/x"}, "127.0.0.1:8080", True),
        ({"mail_folder": "/x"}, "localhost:8080", True),
        ({"mail_folder": "/x"}, "[::1]:8080", True),
        ({}, "127.0.0.1:8080", False),
        ({"mail_folder": "/x"}, "evil.example.org:8080", False),
        ({"mail_folder": "/x"}, "127.0.0.1.evil.example.org", False),
        ({"mail_folder": "/x", "public_url": "https://x.org"}, "127.0.0.1:8080", False),
        ({"mail_folder": "/x", "host": "0.0.0.0"}, "127.0.0.1:8080", False),
    ],
)
def test_mails_are_shown_on_loopback_only(
    fields: dict[str, object], host: str, shown: bool
) -> None:
    assert is_shown(settings(**fields), host) is shown


def at_server(port: int) -> Settings:
    return settings(smtp_host="127.0.0.1", smtp_port=port, smtp_security="none", smtp_timeout_s=5.0)


async def test_a_server_gets_the_mail_with_its_link_whole() -> None:
    async with smtp_server() as server:
        config = at_server(server.port)
        link = "https://me.example.org/reset?token=" + "a" * 64
        values = {"link": link, "lifetime": "10 minutes"}
        await mailer_of(config).send(compose(config, "job_1", "a@b.org", "reset", values))
    (mail,) = server.mails
    assert "To: a@b.org" in mail
    assert f"\n{link}\r\n" in mail


@pytest.mark.parametrize(
    ("answer", "recipient", "kind"),
    [
        ("451 try later", "250 ok", Unavailable),
        ("554 spam", "250 ok", Rejected),
        ("250 ok", "450 greylisted", Unavailable),
        ("250 ok", "550 no such user", Rejected),
    ],
)
async def test_what_may_pass_is_tried_again_and_what_will_not_is_given_up(
    answer: str, recipient: str, kind: type[Exception]
) -> None:
    async with smtp_server([answer], recipient) as server:
        config = at_server(server.port)
        with pytest.raises(kind):
            await mailer_of(config).send(compose(config, "job_1", "a@b.org", "notice", NOTICE))
    assert server.mails == []


async def test_a_server_without_tls_gets_nothing_where_tls_is_asked_for() -> None:
    async with smtp_server() as server:
        config = msgspec.structs.replace(at_server(server.port), smtp_security="starttls")
        with pytest.raises(Unavailable):
            await mailer_of(config).send(compose(config, "job_1", "a@b.org", "notice", NOTICE))
    assert server.mails == []
