"""When an operation without an outcome is looked up, and whether an answer is about what was asked.

Source: architecture, section 3 (an unknown outcome is looked up); contract, refunds, section 11.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

from refundry.domain.money import Currency, to_major


@dataclass(frozen=True, slots=True)
class Rhythm:
    """How long after it was asked for an operation is looked up; then as often as the last step.

    unknown: whose outcome nobody told; pending: that the processor accepted. listing: how often
    the processor's refunds are listed.
    """

    unknown: tuple[timedelta, ...]
    pending: tuple[timedelta, ...]
    listing: timedelta

    def next_check(self, checks: int, now: datetime, *, accepted: bool) -> datetime:
        """When to look an operation up again. checks: how many look-ups there were, >= 0."""
        steps = self.pending if accepted else self.unknown
        return now + steps[min(checks, len(steps) - 1)]


def read_rhythm(text: str) -> dict[str, tuple[timedelta, ...]]:
    """`5m, 1h, 1d; paypal: 1h, 1d` -> the steps by processor, under "" those of all others.

    Raises ValueError, whose message says what is wrong.
    """
    found: dict[str, tuple[timedelta, ...]] = {}
    for part in text.split(";"):
        name, colon, steps = part.partition(":")
        name, steps = (name.strip(), steps) if colon else ("", part)
        if name in found:
            raise ValueError(f"'{part.strip()}' says it a second time")
        found[name] = tuple(map(_read_step, steps.split(",")))
    if "" not in found:
        raise ValueError(f"'{text}' says nothing for all other processors")
    return found


_UNITS = {"m": 60, "h": 3600, "d": 86_400}


def _read_step(text: str) -> timedelta:
    number, unit = text.strip()[:-1], text.strip()[-1:]
    digits = number.isascii() and number.isdigit() and len(number) <= 4
    if unit not in _UNITS or not digits or not int(number):
        raise ValueError(f"'{text.strip()}' is no number of m, h or d")
    return timedelta(seconds=int(number) * _UNITS[unit])


# How every difference begins.
DIFFERS = "the processor says"


def disagreement(
    currency: Currency, asked: int, did: int | None, did_currency: str | None
) -> str | None:
    """What an answer says otherwise than was asked, in words; None where it agrees.

    asked, did: minor units; did, did_currency: None where the processor does not say.
    """
    if did_currency is not None and did_currency.upper() != currency.code:
        return f"{DIFFERS} that it was in {did_currency.upper()}, not in {currency.code}"
    if did is not None and did != asked:
        said, wanted = (f"{to_major(each, currency):f} {currency.code}" for each in (did, asked))
        return f"{DIFFERS} {said}, and was asked for {wanted}"
    return None
