"""Which addresses webhooks may reach, by their numbers alone."""

import ipaddress

import pytest

from refundry.webhooks.addresses import Guard

PUBLIC = ["8.8.8.8", "2606:4700::1111", "::ffff:8.8.8.8", "64:ff9b::808:808"]
# What Python's `is_global` lets through, in one version or another.
CLOSED = ["168.63.129.16", "::ffff:168.63.129.16", "64:ff9b::a83f:8110", "192.0.0.192", "fec0::1"]


@pytest.mark.parametrize("address", PUBLIC)
def test_public_addresses_are_open(address: str) -> None:
    assert Guard(()).allows(address)


@pytest.mark.parametrize("address", CLOSED)
def test_services_of_a_cloud_and_of_a_site_are_closed(address: str) -> None:
    assert not Guard(()).allows(address)


def test_a_setting_opens_them_too() -> None:
    guard = Guard([ipaddress.ip_network("168.63.129.16/32")])
    assert guard.allows("168.63.129.16")
    assert not guard.allows("fec0::1")
