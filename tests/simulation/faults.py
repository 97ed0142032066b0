"""Faults put in on purpose, to see that the simulator finds them."""

from collections.abc import Callable, Generator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, replace
from unittest.mock import patch

from refundry.domain.order import Order
from refundry.processors.contract import Outcome, Submission
from refundry.webhooks.sending import Outcome as Delivered
from refundry.webhooks.sending import Target
from tests.simulation.bank import SimulatedConnector
from tests.simulation.receivers import Receivers, SimulatedCourier


class _FreshKeys(SimulatedConnector):
    """Every repeat of a call has a new key, so the bank cannot know it for a repeat."""

    async def submit(self, submission: Submission) -> Outcome:
        key = f"{submission.key}-{submission.attempt}" if submission.attempt > 1 else submission.key
        return await super().submit(replace(submission, key=key))


class _TakenBeforeSent(SimulatedCourier):
    """An event counts as delivered before it was sent."""

    async def send(self, target: Target, tokens: Sequence[bytes], body: bytes) -> Delivered:
        await super().send(target, tokens, body)
        return Delivered(204, b"")


def _same(connector: SimulatedConnector) -> SimulatedConnector:
    return connector


def _as_it_is(query: str) -> str:
    return query


def _same_courier(courier: SimulatedCourier, _receivers: Receivers) -> SimulatedCourier:
    return courier


@dataclass(frozen=True, slots=True)
class Fault:
    """What is changed in a run: the connector, the courier, the statements on their way, the code.

    code: replaces a function for as long as the run takes.
    """

    connector: Callable[[SimulatedConnector], SimulatedConnector] = _same
    courier: Callable[[SimulatedCourier, Receivers], SimulatedCourier] = _same_courier
    rewrite: Callable[[str], str] = _as_it_is
    code: Callable[[], AbstractContextManager[object]] = nullcontext


def _without(*parts: str) -> Callable[[str], str]:
    """Leaves parts of statements out."""

    def rewrite(query: str) -> str:
        for part in parts:
            query = query.replace(part, "")
        return query

    return rewrite


@contextmanager
def _nothing_covered() -> Generator[None]:
    """What the bank took beyond the free money is never made up for."""
    # Replaced in the place, as a fault in our own code is what is wanted here.
    with (
        patch("refundry.domain.order.cover_owed", _as_it_was),
        patch("refundry.domain.fulfillment.cover_owed", _as_it_was),
    ):
        yield


def _as_it_was(order: Order) -> Order:
    return order


NONE = Fault()
_LOCK = "SELECT 1 FROM orders WHERE account_id = $1 AND live = $2 AND id = $3"
FAULTS: dict[str, Fault] = {
    "fresh-keys": Fault(connector=lambda connector: _FreshKeys(connector.bank)),
    "taken-before-sent": Fault(courier=lambda _, receivers: _TakenBeforeSent(receivers)),
    "no-lock": Fault(
        rewrite=lambda query: _LOCK if query.startswith(_LOCK) else query,
    ),
    "no-version": Fault(rewrite=_without("AND o.version = a.read_version")),
    "keys-forgotten": Fault(
        rewrite=lambda query: query.replace("WHERE k.created_at", "WHERE true OR k.created_at")
    ),
    "nothing-covered": Fault(code=_nothing_covered),
}
