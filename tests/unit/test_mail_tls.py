"""Mails over TLS: STARTTLS and TLS from the first byte, against a real server with a log-in.

A server that shows no certificate of a known authority gets neither password nor mail.
"""

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import UTC, datetime, timedelta
from email.message import EmailMessage
from pathlib import Path
from typing import NamedTuple

import msgspec
import pytest
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from fitstream.errors import Unavailable
from fitstream.mail import Mailer, compose, mailer_of
from fitstream.settings import load
from tests.factories import SETTINGS

NOTICE = {"news": "password_changed", "link": "https://me.example.org/forgot"}
# The server's library cannot see that TLS was there before it.
pytestmark = pytest.mark.filterwarnings("ignore:Requiring AUTH while not requiring TLS")
USER, PASSWORD = "fitstream", "a random secret"


class Certificate(NamedTuple):
    """A certificate that signs itself, in files."""

    chain: Path
    key: Path

    def context(self) -> ssl.SSLContext:
        """What a server shows."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.chain, self.key)
        return context


def make_certificate(folder: Path, name: str) -> Certificate:
    """For `name` and 127.0.0.1, good for an hour."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(minutes=1))
        .not_valid_after(now + timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    found = Certificate(folder / f"{name}.pem", folder / f"{name}.key")
    found.chain.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    found.key.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return found


class Inbox:
    """Keeps what a server took, and who logged in."""

    def __init__(self) -> None:
        self.mails: list[Envelope] = []
        self.passwords: list[bytes] = []
        self.was_encrypted: list[bool] = []
        self.port = 0

    async def handle_DATA(  # noqa: N802  the library calls it so
        self, server: SMTP, session: Session, envelope: Envelope
    ) -> str:
        self.mails.append(envelope)
        is_encrypted = server.transport.get_extra_info("ssl_object") is not None
        self.was_encrypted.append(is_encrypted)
        return "250 taken"

    def log_in(
        self, _: SMTP, __: Session, ___: Envelope, mechanism: str, given: object
    ) -> AuthResult:
        """Whether user and password are right; both are kept."""
        assert isinstance(given, LoginPassword), mechanism
        self.passwords.append(given.password)
        is_right = given == LoginPassword(USER.encode(), PASSWORD.encode())
        return AuthResult(success=is_right, handled=False)


Server = Callable[[Certificate], AbstractAsyncContextManager[Inbox]]


@asynccontextmanager
async def starttls_server(certificate: Certificate) -> AsyncIterator[Inbox]:
    """Speaks plainly until it is asked for TLS, and takes no log-in before."""
    async with _serving(tls_context=certificate.context(), listen=None) as inbox:
        yield inbox


@asynccontextmanager
async def tls_server(certificate: Certificate) -> AsyncIterator[Inbox]:
    """Speaks TLS from the first byte."""
    async with _serving(tls_context=None, listen=certificate.context()) as inbox:
        yield inbox


@asynccontextmanager
async def _serving(
    tls_context: ssl.SSLContext | None, listen: ssl.SSLContext | None
) -> AsyncIterator[Inbox]:
    inbox = Inbox()

    def make() -> SMTP:
        return SMTP(
            inbox,
            authenticator=inbox.log_in,
            auth_required=True,
            auth_require_tls=tls_context is not None,
            require_starttls=tls_context is not None,
            tls_context=tls_context,
            loop=asyncio.get_running_loop(),
        )

    loop = asyncio.get_running_loop()
    server = await loop.create_server(make, "127.0.0.1", 0, ssl=listen)
    inbox.port = server.sockets[0].getsockname()[1]
    async with server:
        yield inbox


def mailer_to(inbox: Inbox, security: str, password: str = PASSWORD) -> Mailer:
    fields: dict[str, object] = {
        "smtp_host": "localhost",
        "smtp_port": inbox.port,
        "smtp_security": security,
        "smtp_user": USER,
        "smtp_password": password,
        "smtp_timeout_s": 5.0,
    }
    return mailer_of(msgspec.structs.replace(load(SETTINGS), **fields))


def message() -> EmailMessage:
    return compose(load(SETTINGS), "job_1", "a@example.org", "notice", NOTICE)


WAYS: list[tuple[Server, str]] = [(starttls_server, "starttls"), (tls_server, "tls")]


@pytest.mark.parametrize(("serve", "security"), WAYS, ids=["starttls", "tls"])
async def test_a_mail_and_its_log_in_travel_encrypted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, serve: Server, security: str
) -> None:
    certificate = make_certificate(tmp_path, "localhost")
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate.chain))
    async with serve(certificate) as inbox:
        await mailer_to(inbox, security).send(message())
    (mail,) = inbox.mails
    assert mail.rcpt_tos == ["a@example.org"]
    assert isinstance(mail.content, bytes)
    assert NOTICE["link"].encode() in mail.content
    assert inbox.was_encrypted == [True]
    assert inbox.passwords == [PASSWORD.encode()]


@pytest.mark.parametrize(("serve", "security"), WAYS, ids=["starttls", "tls"])
@pytest.mark.parametrize("name", ["localhost", "elsewhere.example.org"])
async def test_a_server_that_cannot_prove_its_name_gets_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, serve: Server, security: str, name: str
) -> None:
    certificate = make_certificate(tmp_path, name)
    if name != "localhost":  # known, but another's
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate.chain))
    async with serve(certificate) as inbox:
        with pytest.raises(Unavailable):
            await mailer_to(inbox, security).send(message())
    assert inbox.mails == []
    assert inbox.passwords == []


@pytest.mark.parametrize(("serve", "security"), WAYS, ids=["starttls", "tls"])
async def test_a_log_in_that_is_refused_leaves_the_mail_waiting(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, serve: Server, security: str
) -> None:
    certificate = make_certificate(tmp_path, "localhost")
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate.chain))
    async with serve(certificate) as inbox:
        with pytest.raises(Unavailable, match="log-in"):
            await mailer_to(inbox, security, "wrong").send(message())
    assert inbox.mails == []


async def test_tls_from_the_first_byte_is_not_spoken_to_a_server_that_speaks_plainly(
    tmp_path: Path,
) -> None:
    async with starttls_server(make_certificate(tmp_path, "localhost")) as inbox:
        with pytest.raises(Unavailable):
            await mailer_to(inbox, "tls").send(message())
    assert inbox.mails == []
