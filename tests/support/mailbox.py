"""A mail server for the tests: takes mail, or refuses it, and keeps it."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from email.message import EmailMessage


@dataclass(slots=True)
class Mailbox:
    """refusing: answers each sender with an error. logins: what came with AUTH."""

    url: str = ""
    refusing: bool = False
    mails: list[EmailMessage] = field(default_factory=list[EmailMessage])
    logins: list[str] = field(default_factory=list[str])

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 mailbox\r\n")
        while line := await reader.readline():
            verb, _, rest = line.decode().strip().partition(" ")
            match verb.upper():
                case "EHLO":
                    writer.write(b"250-mailbox\r\n250 AUTH PLAIN\r\n")
                case "AUTH":
                    self.logins.append(rest)
                    writer.write(b"235 welcome\r\n")
                case "MAIL" if self.refusing:
                    writer.write(b"451 later\r\n")
                case "DATA":
                    writer.write(b"354 go on\r\n")
                    await self._keep(await reader.readuntil(b"\r\n.\r\n"))
                    writer.write(b"250 kept\r\n")
                case "QUIT":
                    writer.write(b"221 bye\r\n")
                    break
                case _:
                    writer.write(b"250 fine\r\n")
        writer.close()

    async def _keep(self, text: bytes) -> None:
        message = message_from_bytes(text[:-3], policy=policy.default)
        assert isinstance(message, EmailMessage)
        self.mails.append(message)


@asynccontextmanager
async def mailbox(user: str = "") -> AsyncGenerator[Mailbox]:
    """A mail server on loopback. user: `name:password@`, for its address."""
    box = Mailbox()
    server = await asyncio.start_server(box.serve, "127.0.0.1", 0)
    async with server:
        box.url = f"smtp://{user}127.0.0.1:{server.sockets[0].getsockname()[1]}"
        yield box
