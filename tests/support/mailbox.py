"""A tiny SMTP server on loopback that keeps the mails it is given."""

import asyncio
import email
import email.policy
import threading
from concurrent.futures import Future
from dataclasses import dataclass
from email.message import EmailMessage
from typing import Self

_START_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class Mail:
    """One mail: its envelope and what was in it."""

    sender: str
    recipients: tuple[str, ...]
    message: EmailMessage

    @property
    def subject(self) -> str:
        return str(self.message["Subject"])

    @property
    def text(self) -> str:
        part = self.message.get_body(("plain",))
        assert part is not None
        return str(part.get_content())


class Mailbox:
    """The server, in a thread of its own.

    user: `name:password@`, for its address. refusing: answers every mail with a passing failure.
    logins: what came with AUTH.
    """

    def __init__(self, user: str = "") -> None:
        self._user = user
        self.mails: list[Mail] = []
        self.logins: list[str] = []
        self.refusing = False
        self._ready: Future[tuple[asyncio.AbstractEventLoop, asyncio.Event, int]] = Future()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()), daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        self._ready.result(_START_SECONDS)
        return self

    def __exit__(self, *_: object) -> None:
        loop, done, _port = self._ready.result(_START_SECONDS)
        loop.call_soon_threadsafe(done.set)
        self._thread.join(_START_SECONDS)

    @property
    def url(self) -> str:
        return f"smtp://{self._user}127.0.0.1:{self._ready.result(_START_SECONDS)[2]}"

    def to(self, address: str) -> list[Mail]:
        """The mails to an address, in the order in which they came."""
        return [mail for mail in self.mails if address in mail.recipients]

    async def _run(self) -> None:
        try:
            server = await asyncio.start_server(self._converse, "127.0.0.1", 0)
        except BaseException as error:
            self._ready.set_exception(error)
            raise
        done = asyncio.Event()
        port = server.sockets[0].getsockname()[1]
        self._ready.set_result((asyncio.get_running_loop(), done, port))
        await done.wait()
        server.close()

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        sender, recipients = "", list[str]()
        writer.write(b"220 mailbox.test ESMTP\r\n")
        try:
            while line := (await reader.readline()).decode().strip():
                verb = line.upper()
                if verb.startswith("MAIL FROM:"):
                    sender, recipients = _address(line), []
                elif verb.startswith("RCPT TO:"):
                    recipients.append(_address(line))
                elif verb.startswith("AUTH "):
                    self.logins.append(line)
                elif verb == "DATA":
                    writer.write(b"354 go on\r\n")
                    message = _read_message(await reader.readuntil(b"\r\n.\r\n"))
                    if not self.refusing:
                        self.mails.append(Mail(sender, tuple(recipients), message))
                writer.write(self._reply(verb))
                if verb == "QUIT":
                    break
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass  # The caller has gone, as it may, or the mailbox ends.
        finally:
            writer.close()

    def _reply(self, verb: str) -> bytes:
        if verb == "QUIT":
            return b"221 bye\r\n"
        if verb.startswith("EHLO"):
            return b"250-mailbox.test\r\n250 AUTH PLAIN\r\n"
        if verb.startswith("AUTH "):
            return b"235 welcome\r\n"
        if self.refusing and verb.startswith("MAIL FROM:"):
            return b"451 try again later\r\n"
        return b"250 ok\r\n"


def _address(line: str) -> str:
    return line.partition("<")[2].partition(">")[0]


def _read_message(data: bytes) -> EmailMessage:
    """A message as it stood in DATA: its end mark cut off, doubled dots undone."""
    text = data.removesuffix(b".\r\n").replace(b"\r\n..", b"\r\n.")
    return email.message_from_bytes(text, policy=email.policy.default)
