"""Which addresses a webhook may reach: public ones, and networks that the operator has opened.

Checked when a webhook is saved and again by the resolver of every connection, against the
address that is really used: a name may lead elsewhere tomorrow.
"""

import asyncio
import ipaddress
import socket
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import structlog
from aiohttp.abc import AbstractResolver, ResolveResult

from refundry.settings import Network, Settings

_Address = ipaddress.IPv4Address | ipaddress.IPv6Address

# An address of these networks leads to the IPv4 address in its last 32 bits (RFC 6052).
_NAT64 = (ipaddress.IPv6Network("64:ff9b::/96"), ipaddress.IPv6Network("::/96"))
# The name server should answer well before a request for a new webhook is given up.
_RESOLVE_SECONDS = 1.5
# The loop's own resolver has four threads: as many hosts with dead name servers would stop it.
_NAME_THREADS = ThreadPoolExecutor(64, "resolve")
# Closed although `is_global` says otherwise, in some versions of Python or all: a cloud's own
# service for its machines (Azure), protocol assignments with one more (RFC 6890), and the
# addresses of a site (RFC 3879).
_CLOSED = tuple(
    ipaddress.ip_network(each) for each in ("168.63.129.16/32", "192.0.0.0/24", "fec0::/10")
)
log = structlog.get_logger("refundry.webhooks")


def log_openings(settings: Settings) -> None:
    """Say what the settings open to webhooks that is closed otherwise."""
    if settings.webhook_allow_http:
        log.warning("webhooks_may_use_http", setting="webhook_allow_http")
    networks = [str(network) for network in settings.webhook_networks()]
    if networks:
        log.warning("webhooks_reach_networks", setting="webhook_allow_networks", networks=networks)


class ForbiddenAddress(OSError):
    """A host that leads to an address which webhooks must not reach."""


class Guard:
    """Says which addresses are open. networks: those that are open although they are not public."""

    def __init__(self, networks: Sequence[Network]) -> None:
        self._networks = networks

    def allows(self, address: str) -> bool:
        """Whether an IP address may be reached; what is embedded in it counts too."""
        try:
            found = ipaddress.ip_address(address.partition("%")[0])
        except ValueError:
            return False
        return all(self._open(each) for each in _meanings(found))

    def _open(self, address: _Address) -> bool:
        if _is_in(address, self._networks):
            return True
        if _is_in(address, _CLOSED):
            return False
        return address.is_global and not address.is_multicast and not address.is_reserved

    async def refuses(self, host: str) -> bool:
        """Whether a host, a name or an IP address, leads to an address that is not open.

        A name that nobody knows (yet) is not refused: no connection to it can succeed.
        """
        try:
            async with asyncio.timeout(_RESOLVE_SECONDS):
                found = await _look_up(host, 0, socket.AF_UNSPEC)
        except (OSError, UnicodeError, TimeoutError):
            return False
        return not all(self.allows(str(each[4][0])) for each in found)


def _is_in(address: _Address, networks: Sequence[Network]) -> bool:
    return any(address.version == net.version and address in net for net in networks)


def _meanings(address: _Address) -> list[_Address]:
    """The addresses that an address stands for: itself, and an IPv4 address inside of it."""
    if isinstance(address, ipaddress.IPv4Address):
        return [address]
    if address.ipv4_mapped is not None:
        return [address.ipv4_mapped]
    inner: list[_Address] = []
    if address.sixtofour is not None:
        inner.append(address.sixtofour)
    if address.teredo is not None:
        inner += address.teredo
    if any(address in network for network in _NAT64) and int(address) > 1:
        inner.append(ipaddress.IPv4Address(int(address) & 0xFFFFFFFF))
        return inner
    return [address, *inner]


class GuardedResolver(AbstractResolver):
    """Resolves for aiohttp and fails where any address of a host is not open.

    aiohttp asks no resolver for hosts that are IP addresses: check those with `Guard.allows`.
    """

    def __init__(self, guard: Guard) -> None:
        self._guard = guard

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        """The addresses of a host. Raises ForbiddenAddress, or OSError if there are none."""
        found = await _look_up(host, port, family)
        for each in found:
            if not self._guard.allows(str(each[4][0])):
                raise ForbiddenAddress(f"{host} leads to {each[4][0]}, which is not open")
        return [
            ResolveResult(
                hostname=host, host=str(each[4][0]), port=port, family=each[0], proto=each[2],
                flags=socket.AI_NUMERICHOST | socket.AI_NUMERICSERV,
            )
            for each in found
        ]  # fmt: skip

    async def close(self) -> None:
        """Nothing to give back."""


async def _look_up(
    host: str, port: int, family: int
) -> list[tuple[int, int, int, str, tuple[object, ...]]]:
    ask = partial(
        socket.getaddrinfo,
        host, port, type=socket.SOCK_STREAM, family=family, flags=socket.AI_ADDRCONFIG,
    )  # fmt: skip
    loop = asyncio.get_running_loop()
    return await loop.run_in_executor(_NAME_THREADS, ask)  # pyright: ignore[reportReturnType]
