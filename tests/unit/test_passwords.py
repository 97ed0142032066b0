"""Hashing passwords, and the codes of authenticator apps."""

import asyncio
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qs, urlsplit

import pytest
from argon2 import PasswordHasher, extract_parameters
from pyotp.totp import TOTP

from refundry.access.passwords import Passwords, TooBusy
from refundry.access.totp import enrolment_uri, matching_step, new_secret
from tests.support.people import OTHER, PASSWORD, QUICK

# RFC 6238, appendix B: the secret of SHA-1, times in seconds, and the last six digits of the codes.
SECRET = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ"
CODES = {59: "287082", 1111111109: "081804", 1111111111: "050471", 1234567890: "005924",
         2000000000: "279037", 20000000000: "353130"}  # fmt: skip


@pytest.fixture
def passwords() -> Iterator[Passwords]:
    passwords = Passwords(QUICK)
    yield passwords
    passwords.close()


async def test_a_password_is_right_or_wrong(passwords: Passwords) -> None:
    stored = await passwords.hash(PASSWORD)
    assert stored != await passwords.hash(PASSWORD)
    assert (await passwords.check(stored, PASSWORD)).right
    assert not (await passwords.check(stored, OTHER)).right


async def test_nobody_has_a_password(passwords: Passwords) -> None:
    for text in (PASSWORD, "nobody", ""):
        assert not (await passwords.check(None, text)).right


def test_a_password_of_nobody_costs_what_any_other_costs() -> None:
    """The time is not measured here: it is that of the same work."""
    hasher = PasswordHasher()
    nobodys = Passwords(hasher)._nobodys  # pyright: ignore[reportPrivateUsage]
    assert extract_parameters(nobodys) == extract_parameters(hasher.hash("x"))
    assert len(nobodys) == len(hasher.hash("x"))


async def test_a_password_is_stored_anew_when_it_has_become_too_cheap(passwords: Passwords) -> None:
    stored = PasswordHasher(time_cost=2, memory_cost=8, parallelism=1).hash(PASSWORD)
    checked = await passwords.check(stored, PASSWORD)
    assert checked.rehashed is not None
    assert (await passwords.check(checked.rehashed, PASSWORD)).rehashed is None
    assert (await passwords.check(stored, OTHER)).rehashed is None


async def test_one_password_typed_on_two_keyboards(passwords: Passwords) -> None:
    stored = await passwords.hash("p\u00e4sswort mit Umlaut")
    assert (await passwords.check(stored, "pa\u0308sswort mit Umlaut")).right


async def test_a_crowd_is_sent_away_and_may_come_again(passwords: Passwords) -> None:
    jobs = [passwords.check(None, PASSWORD) for _ in range(100)]
    results = await asyncio.gather(*jobs, return_exceptions=True)
    assert {type(each) for each in results if isinstance(each, BaseException)} == {TooBusy}
    assert len([each for each in results if isinstance(each, TooBusy)]) == 58
    assert not (await passwords.check(None, PASSWORD)).right


@pytest.mark.parametrize(("seconds", "code"), CODES.items())
def test_codes_are_those_of_the_standard(seconds: int, code: str) -> None:
    now = datetime.fromtimestamp(seconds, UTC)
    assert matching_step(SECRET, code, now, None) == seconds // 30


def test_a_code_is_taken_one_step_early_or_late() -> None:
    now = datetime.fromtimestamp(1111111111, UTC)
    code = CODES[1111111111]
    for steps, right in ((-2, False), (-1, True), (0, True), (1, True), (2, False)):
        moved = now + timedelta(seconds=30 * steps)
        assert (matching_step(SECRET, code, moved, None) is not None) == right


def test_no_code_is_taken_twice_nor_one_before_it() -> None:
    now = datetime.fromtimestamp(1111111111, UTC)
    step = 1111111111 // 30
    app = TOTP(SECRET)
    for offset in (-1, 0, 1):
        taken = matching_step(SECRET, app.generate_otp(step + offset), now, step)
        assert taken == (step + 1 if offset == 1 else None)


@pytest.mark.parametrize("code", ["", "05047", "0504711", "O50471", "٠٥٠٤٧١", "-50471", "05047\0"])
def test_what_is_no_code_is_wrong(code: str) -> None:
    assert matching_step(SECRET, code, datetime.fromtimestamp(1111111111, UTC), None) is None


def test_an_app_reads_the_secret_from_the_address() -> None:
    secret = new_secret()
    assert len(secret) == 32
    parts = urlsplit(enrolment_uri(secret, "ana@shop.example"))
    assert (parts.scheme, parts.netloc) == ("otpauth", "totp")
    assert parse_qs(parts.query) == {"secret": [secret], "issuer": ["Refundry"]}
