"""Faults put in on purpose, to see that the simulator finds them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

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
    """What is changed in a run: the connector, the courier, the statements on their way."""

    connector: Callable[[SimulatedConnector], SimulatedConnector] = _same
    courier: Callable[[SimulatedCourier, Receivers], SimulatedCourier] = _same_courier
    rewrite: Callable[[str], str] = _as_it_is


def _replacing(old: str, new: str) -> Callable[[str], str]:
    return lambda query: query.replace(old, new)


NONE = Fault()
FAULTS: dict[str, Fault] = {
    "fresh-keys": Fault(connector=lambda connector: _FreshKeys(connector.bank)),
    "taken-before-sent": Fault(courier=lambda _, receivers: _TakenBeforeSent(receivers)),
    "no-lock": Fault(
        rewrite=_replacing(
            "SELECT 1 FROM orders WHERE account_id = $1 AND live = $2 AND id = $3 FOR UPDATE",
            "SELECT 1 FROM orders WHERE account_id = $1 AND live = $2 AND id = $3",
        )
    ),
    "no-version": Fault(rewrite=_replacing("AND o.version = a.read_version", "")),
    "keys-forgotten": Fault(
        rewrite=_replacing("ON CONFLICT (account_id, live, method, path, key) DO UPDATE",
                           "ON CONFLICT (account_id, live, method, path, key) DO UPDATE"),
    ),  # fmt: skip
}
