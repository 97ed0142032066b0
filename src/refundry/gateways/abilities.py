"""What a processor can do, in words. Pure."""

from datetime import datetime, timedelta

from refundry.processors.contract import Abilities, Captures

_CAPTURES = {
    Captures.NONE: "Takes no captures from here",
    Captures.FULL: "Captures a payment once and whole",
    Captures.PARTIAL: "Captures a payment once, in part or whole; the rest is released",
    Captures.MULTIPLE: "Captures a payment in several parts",
}


def in_words(abilities: Abilities) -> list[str]:
    """What people should know of it, a sentence each."""
    found = [_CAPTURES[abilities.captures]]
    found.append(
        "Refunds in part or whole" if abilities.partial_refunds else "Refunds only the whole"
    )
    if abilities.refund_age is not None:
        found.append(f"Refunds a payment for {_span(abilities.refund_age)} after its capture")
    found.append(
        f"Keeps a request's key for {_span(abilities.repeats_for)}: a repeat does nothing twice"
        if abilities.repeats_for
        else "Keeps no keys of refunds: before each repeat it is asked whether it knows the refund"
    )
    if abilities.asynchronous:
        found.append("May say only later what became of a refund")
    if abilities.arn:
        found.append("Tells the acquirer reference number (ARN)")
    if abilities.bank_detail_refunds:
        found.append("Pays to bank details of the shopper")
    if not abilities.lists:
        found.append("Lists no refunds: those made there are found by notification only")
    return found


def too_old(abilities: Abilities, captured_at: datetime, now: datetime) -> str | None:
    """That a payment is too old to be refunded there, in words; None if it is not."""
    age = abilities.refund_age
    if age is None or now - captured_at <= age:
        return None
    return f"refunds a payment for {_span(age)}, and this one was captured {captured_at:%Y-%m-%d}"


def captured_once(abilities: Abilities) -> bool:
    """Whether what a first capture left of a payment is gone."""
    return abilities.captures in (Captures.FULL, Captures.PARTIAL)


def _span(time: timedelta) -> str:
    if time >= timedelta(days=2):
        return f"{time.days} days"
    hours = round(time.total_seconds() / 3600)
    return f"{hours} hours"
