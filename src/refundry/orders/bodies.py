"""Orders as `GET /orders/{id}` answers them: read in groups, and kept until they change."""

from collections import OrderedDict
from collections.abc import Sequence

from refundry.db.database import Database
from refundry.db.sharing import SharedReads
from refundry.http.document import to_json
from refundry.orders.store import (
    OrderKey,
    Stamp,
    StoredOrder,
    find_orders_by_key,
    find_stamps,
    stamp,
)
from refundry.orders.wire import order_view

# What the kept bodies of one process may take.
_MOST_BYTES = 32 * 1024 * 1024
# A body's key, stamp and places in the dictionary: 575 by tracemalloc, and some to spare.
_ENTRY_BYTES = 640

_Key = tuple[OrderKey, bool]
"""An order, and whether its body is the expanded one."""


class OrderBodies:
    """The bodies that one process answers with.

    A kept body is given only after the database has said, since the reader asked, that the order
    still has the stamp of the snapshot from which the body was made.
    """

    def __init__(self, database: Database, *, most_bytes: int = _MOST_BYTES) -> None:
        self._database = database
        self._kept = _Kept(most_bytes)
        self._reads = SharedReads(self._read)

    @property
    def kept_bytes(self) -> int:
        """What the kept bodies take, with all that goes along."""
        return self._kept.bytes

    async def find(self, key: OrderKey, *, expand: bool = False) -> bytes | None:
        """The Order resource as it is now; None if there is none."""
        return await self._reads.find((key, expand))

    async def _read(self, keys: Sequence[_Key]) -> dict[_Key, bytes]:
        bodies = await self._unchanged(keys)
        if others := [key for key in keys if key not in bodies]:
            orders = await find_orders_by_key(
                self._database, list(dict.fromkeys(order for order, _ in others))
            )
            for key in others:
                if stored := orders.get(key[0]):
                    bodies[key] = self._render(key, stored)
        return bodies

    async def _unchanged(self, keys: Sequence[_Key]) -> dict[_Key, bytes]:
        """The kept bodies of orders that are as they were."""
        kept = {key: found for key in keys if (found := self._kept.find(key))}
        if not kept:
            return {}
        stamps = await find_stamps(self._database, list(dict.fromkeys(order for order, _ in kept)))
        return {key: body for key, (known, body) in kept.items() if stamps.get(key[0]) == known}

    def _render(self, key: _Key, stored: StoredOrder) -> bytes:
        (_, live, _), expand = key
        body = to_json(order_view(stored, live=live, expand=expand))
        self._kept.put(key, stamp(stored.order), body)
        return body


class _Kept:
    """Bodies with their stamps; who was not asked for the longest goes first."""

    def __init__(self, most_bytes: int) -> None:
        self._most_bytes = most_bytes
        self._entries: OrderedDict[_Key, tuple[Stamp, bytes]] = OrderedDict()
        self.bytes = 0

    def find(self, key: _Key) -> tuple[Stamp, bytes] | None:
        found = self._entries.get(key)
        if found is not None:
            self._entries.move_to_end(key)
        return found

    def put(self, key: _Key, stamp: Stamp, body: bytes) -> None:
        known = self._entries.pop(key, None)
        if known is not None:
            self.bytes -= _size(known[1])
        self._entries[key] = stamp, body
        self.bytes += _size(body)
        while self.bytes > self._most_bytes:
            _, (_, oldest) = self._entries.popitem(last=False)
            self.bytes -= _size(oldest)


def _size(body: bytes) -> int:
    return len(body) + _ENTRY_BYTES
