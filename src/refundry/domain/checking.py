"""When an operation without an outcome is looked up, and whether an answer is about what was asked.

Source: architecture, section 3 (an unknown outcome is looked up); contract, refunds, section 11.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

DAILY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Rhythm:
    """How long after its first attempt an operation is looked up; then as often as the last step.

    unknown: whose outcome nobody told; pending: that the processor accepted.
    """

    unknown: tuple[timedelta, ...] = (timedelta(minutes=5), timedelta(hours=1), DAILY)
    pending: tuple[timedelta, ...] = (timedelta(hours=1), DAILY)

    def next_check(self, checks: int, now: datetime, *, accepted: bool) -> datetime:
        """When to look an operation up again. checks: how many look-ups there were, >= 0."""
        steps = self.pending if accepted else self.unknown
        return now + steps[min(checks, len(steps) - 1)]


def read_steps(text: str) -> tuple[timedelta, ...]:
    """`5m, 1h, 1d` -> the steps. Raises ValueError, whose message says what is wrong."""
    steps = tuple(_read_step(part.strip()) for part in text.split(","))
    if any(later < earlier for earlier, later in zip(steps, steps[1:], strict=False)):
        raise ValueError(f"the steps of '{text}' must grow")
    return steps


_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}


def _read_step(text: str) -> timedelta:
    number, unit = text[:-1], text[-1:]
    if unit not in _UNITS or not number.isascii() or not number.isdigit() or len(number) > 5:
        raise ValueError(f"'{text}' is not a number with s, m, h or d")
    step = timedelta(seconds=int(number) * _UNITS[unit])
    if step < timedelta(minutes=1):
        raise ValueError(f"'{text}' is less than a minute")
    return step


@dataclass(frozen=True, slots=True)
class Asked:
    """What a processor was asked for. amount: minor units."""

    amount: int
    currency: str


def disagreement(
    asked: Asked, amount: int | None, currency: str | None, places: int
) -> str | None:
    """What an answer says otherwise than was asked, in words; None where it agrees.

    amount: minor units, of what the processor did; None, as for currency, where it does not say.
    places: decimal places of the currency that was asked for.
    """
    if currency is not None and currency.upper() != asked.currency:
        return f"the processor did it in {currency.upper()}, not in {asked.currency}"
    if amount is not None and amount != asked.amount:
        did, wanted = _major(amount, places), _major(asked.amount, places)
        return f"the processor did {did} {asked.currency}, not {wanted}"
    return None


def _major(amount: int, places: int) -> str:
    if not places:
        return str(amount)
    return f"{amount // 10**places}.{amount % 10**places:0{places}d}"


