"""Links that show one refund, and the limit on looking them up."""

from datetime import date

from hypothesis import given
from hypothesis import strategies as st

from refundry.clock import Clock
from refundry.languages.language import language
from refundry.sealing import Vault
from refundry.shopper.links import read_status_link, status_link
from refundry.shopper.lookups import Lookups, asking_address
from refundry.shopper.methods import arrives_by, method_name
from refundry.tenant import Tenant

KEY, OTHER = bytes(range(32)), bytes(range(32, 64))
TENANT = Tenant("acct", live=False)
LINK = status_link(Vault([KEY]), TENANT, "re_1")


def test_a_link_names_its_refund_and_stays_the_same() -> None:
    assert read_status_link(Vault([KEY]), LINK) == (TENANT, "re_1")
    assert status_link(Vault([KEY]), TENANT, "re_1") == LINK
    live = status_link(Vault([KEY]), Tenant("acct", live=True), "re_1")
    assert read_status_link(Vault([KEY]), live) == (Tenant("acct", live=True), "re_1")
    assert live[:22] != LINK[:22]


def test_a_link_outlives_a_new_key_but_not_the_loss_of_its_own() -> None:
    assert read_status_link(Vault([OTHER, KEY]), LINK) == (TENANT, "re_1")
    assert read_status_link(Vault([OTHER]), LINK) is None


@given(st.integers(0, len(LINK) - 2), st.sampled_from("AZaz09-_"))
def test_no_other_link_is_taken(place: int, character: str) -> None:
    changed = LINK[:place] + character + LINK[place + 1 :]
    assert read_status_link(Vault([KEY]), changed) == (
        (TENANT, "re_1") if changed == LINK else None
    )


@given(st.text(max_size=400))
def test_nonsense_is_no_link(text: str) -> None:
    assert read_status_link(Vault([KEY]), text) is None


def test_a_signature_is_for_one_purpose() -> None:
    vault = Vault([KEY])
    signature = vault.sign("one", "text")
    assert vault.verify("one", "text", signature, 32)
    assert not vault.verify("two", "text", signature, 32)
    assert not vault.verify("one", "other", signature, 32)
    assert not vault.verify("one", "text", b"", 32)


class Hand(Clock):
    """A clock that is moved by hand."""

    seconds = 0.0

    def monotonic(self) -> float:
        return self.seconds


def test_sixty_look_ups_a_minute_for_each_address() -> None:
    clock = Hand()
    lookups = Lookups(clock)
    assert [lookups.wait_seconds("192.0.2.1") for _ in range(61)] == [0] * 60 + [60]
    assert lookups.wait_seconds("192.0.2.2") == 0
    clock.seconds = 60.0
    assert lookups.wait_seconds("192.0.2.1") == 0


def test_a_network_of_ipv6_counts_as_one_address() -> None:
    lookups = Lookups(Hand())
    waits = [lookups.wait_seconds(f"2001:db8::{n:x}") for n in range(61)]
    assert waits == [0] * 60 + [60]
    assert lookups.wait_seconds("2001:db8:0:1::1") == 0
    assert lookups.wait_seconds("testclient") == 0


def test_a_proxy_of_ours_says_who_asks() -> None:
    assert asking_address("10.0.0.7", "198.51.100.1, 203.0.113.9") == "203.0.113.9"
    assert asking_address("", "203.0.113.9") == "203.0.113.9"
    assert asking_address("10.0.0.7", "") == "10.0.0.7"
    # Somebody from outside says what he likes.
    assert asking_address("8.8.8.8", "203.0.113.9") == "8.8.8.8"


def test_the_memory_of_addresses_has_an_end() -> None:
    lookups = Lookups(Hand())
    for number in range(20_000):
        lookups.wait_seconds(f"10.0.{number >> 8}.{number & 255}")
    assert len(lookups) == 10_000


def test_working_days_and_names_of_methods() -> None:
    friday = date(2024, 5, 31)
    assert arrives_by(["customerCredit"], friday) == friday
    assert arrives_by(["payPal"], friday) == date(2024, 6, 7)
    assert arrives_by(["payPal", "creditCard"], friday) == date(2024, 6, 14)
    assert arrives_by([], friday) == date(2024, 6, 14)
    german = language("de")
    card = '{"creditCard":{"brand":"Visa","lastFourDigits":"1111"}}'
    assert method_name(german, "creditCard", card) == "Karte mit den Endziffern 1111"
    assert method_name(german, "creditCard", "{}") == "Karte"
    assert method_name(german, "payPal", "{}") == "PayPal"
    assert method_name(german, "konbini", "{}") == "Überweisung"
    assert method_name(german, "somethingNew", "{}") == "Auf dem Weg Ihrer Zahlung"
