"""A mail server of a few lines: speaks SMTP as far as a client needs, and says what it is told."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field


@dataclass
class FakeSmtp:
    """Answers each DATA with the next of `answers`, then with 250; keeps what was accepted."""

    answers: list[str] = field(default_factory=list)
    recipient_answer: str = "250 ok"
    mails: list[str] = field(default_factory=list)
    port: int = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection."""

        def say(text: str) -> None:
            writer.write(f"{text}\r\n".encode())

        say("220 here")
        while line := (await reader.readline()).decode().strip():
            verb = line.split()[0].upper()
            if verb == "DATA":
                say("354 go on")
                text = (await reader.readuntil(b"\r\n.\r\n")).decode()
                answer = self.answers.pop(0) if self.answers else "250 taken"
                if answer.startswith("2"):
                    self.mails.append(text)
                say(answer)
            elif verb == "RCPT":
                say(self.recipient_answer)
            elif verb == "QUIT":
                say("221 bye")
                break
            else:
                say("250 ok")
        writer.close()


@asynccontextmanager
async def smtp_server(
    answers: Sequence[str] = (), recipient_answer: str = "250 ok"
) -> AsyncIterator[FakeSmtp]:
    """A server on a free port of loopback."""
    fake = FakeSmtp(list(answers), recipient_answer)
    server = await asyncio.start_server(fake.serve, "127.0.0.1", 0)
    fake.port = server.sockets[0].getsockname()[1]
    async with server:
        yield fake
