"""A relay between the service and its database that cuts connections in the middle."""

import asyncio
import contextlib
import random
import threading
from typing import Self

from tests.support.service import free_port

START_SECONDS = 10.0


class Relay:
    """Passes bytes on to 127.0.0.1:`port` from `self.port`, from a loop in a thread.

    likelihood: that a piece ends its connection, in either direction; half of it is passed on
    before, or all, or nothing: so a COMMIT is lost, or arrives and its answer is lost.
    """

    def __init__(self, port: int, seed: int) -> None:
        self.port = free_port()
        self.likelihood = 0.0
        self.cuts = 0
        self._target = port
        self._random = random.Random(seed)
        self._loop = asyncio.new_event_loop()
        self._done = asyncio.Event()
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._loop.run_until_complete, args=(self._serve(),))

    def __enter__(self) -> Self:
        self._thread.start()
        assert self._ready.wait(START_SECONDS)
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._done.set)
        self._thread.join()
        self._loop.close()

    async def _serve(self) -> None:
        server = await asyncio.start_server(self._accept, "127.0.0.1", self.port)
        self._ready.set()
        await self._done.wait()
        server.close()
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, asyncio.CancelledError):
            there, back = await asyncio.open_connection("127.0.0.1", self._target)
            ways = [
                asyncio.create_task(self._pass(reader, back)),
                asyncio.create_task(self._pass(there, writer)),
            ]
            try:
                await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for way in ways:
                    way.cancel()
                await asyncio.gather(*ways, return_exceptions=True)
                back.transport.abort()
        writer.transport.abort()

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Pass on what comes, until the end or a cut."""
        with contextlib.suppress(OSError):
            while piece := await reader.read(65536):
                cut = self._random.random() < self.likelihood
                if cut:
                    self.cuts += 1
                    piece = piece[: self._random.choice((0, len(piece) // 2, len(piece)))]
                writer.write(piece)
                await writer.drain()
                if cut:
                    # What was passed on is to arrive before the end of the line does.
                    await asyncio.sleep(0.005)
                    return
