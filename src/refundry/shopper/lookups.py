"""Counts how often an address looks something up, in a memory that does not grow."""

import ipaddress
from collections import OrderedDict

from refundry.clock import Clock

_SECONDS = 60.0
_MOST = 60
_REMEMBERED = 10_000
# Whoever has one address of IPv6 has as many as there are in such a network.
_IPV6_NETWORK_BITS = 64


class Lookups:
    """A soft limit for each address and process: it slows down, the links' length protects."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._windows: OrderedDict[str, tuple[float, int]] = OrderedDict()

    def wait_seconds(self, address: str) -> int:
        """Count a look-up: 0 if it may be, else the whole seconds until the next one may."""
        name, now = _network(address), self._clock.monotonic()
        began, count = self._windows.pop(name, (now, 0))
        if now - began >= _SECONDS:
            began, count = now, 0
        self._windows[name] = began, count + 1
        if len(self._windows) > _REMEMBERED:
            self._windows.popitem(last=False)
        return 0 if count < _MOST else max(1, round(began + _SECONDS - now))

    def __len__(self) -> int:
        """How many addresses are remembered."""
        return len(self._windows)


def asking_address(peer: str, forwarded_for: str) -> str:
    """Who asks: whom a proxy in our own network names last in X-Forwarded-For, else the peer."""
    last = forwarded_for.rpartition(",")[2].strip()
    try:
        inside = ipaddress.ip_address(peer).is_private
    except ValueError:
        inside = True  # a socket of the machine
    return last if last and inside else peer


def _network(address: str) -> str:
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        return address[:64]
    if found.version == 4:
        return str(found)
    return str(ipaddress.ip_network((found, _IPV6_NETWORK_BITS), strict=False))
