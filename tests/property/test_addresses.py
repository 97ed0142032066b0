"""Where webhooks may lead: no spelling of a closed address is open, and no text is a fault."""

import ipaddress

from hypothesis import example, given, settings
from hypothesis import strategies as st

from refundry.webhooks.addresses import Guard

CLOSED = [
    ipaddress.IPv4Network(text)
    for text in (
        "0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16",
        "172.16.0.0/12", "192.168.0.0/16", "198.18.0.0/15", "224.0.0.0/4", "240.0.0.0/4",
    )
]  # fmt: skip
closed = st.sampled_from(CLOSED).flatmap(
    lambda network: st.integers(int(network.network_address), int(network.broadcast_address)).map(
        ipaddress.IPv4Address
    )
)


def spellings(address: ipaddress.IPv4Address) -> list[str]:
    """Addresses that lead to an IPv4 address: mapped, by NAT64, 6to4 and Teredo, and compatible."""
    number = int(address)
    teredo = (0x20010000 << 96) | (0x08080808 << 64) | (0xFFFFFFFF ^ number)
    found = [
        str(address),
        f"::ffff:{address}",
        f"64:ff9b::{address}",
        f"::{address}",
        str(ipaddress.IPv6Address((0x2002 << 112) | (number << 80) | 1)),
        str(ipaddress.IPv6Address(teredo)),
    ]
    return [*found, *(f"{each}%eth0" for each in found[1:]), found[1].upper()]


@settings(max_examples=300, deadline=None)
@given(closed)
@example(ipaddress.IPv4Address("169.254.169.254"))
@example(ipaddress.IPv4Address("127.0.0.1"))
def test_no_spelling_of_a_closed_address_is_open(address: ipaddress.IPv4Address) -> None:
    guard = Guard(())
    assert [each for each in spellings(address) if guard.allows(each)] == []


@settings(max_examples=500, deadline=None)
@given(
    st.one_of(
        st.text(max_size=60),
        st.from_regex(r"[0-9a-fx.:%\[\]]{1,45}", fullmatch=True),
        st.ip_addresses().map(str),
    )
)
@example("0x7f.1")
@example("2130706433")
@example("127.1")
@example("0177.0.0.1")
@example("[::1]")
@example("127.0.0.1%")
@example("١٢٧.0.0.1")
def test_what_is_open_is_a_public_address_in_its_plain_form(text: str) -> None:
    if Guard(()).allows(text):
        assert ipaddress.ip_address(text.partition("%")[0]).is_global
