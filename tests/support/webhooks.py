"""The steps that tests of webhook delivery are made of."""

import json
import time
from dataclasses import dataclass
from datetime import datetime

from tests.support.certificates import Authority
from tests.support.command import run_sql
from tests.support.fixtures import given_accepted, settle
from tests.support.http import Api, Doc, expect
from tests.support.receiver import Arrival, Endpoint
from tests.support.service import Service
from tests.support.verifier import verifies

LOOPBACK = "127.0.0.0/8,::1/128"
# The cheapest event: it needs one order and no processor.
ACCEPTED = "order.accepted"


@dataclass(frozen=True, slots=True)
class Attempt:
    """One attempt as it was recorded. error: what happened where there was no answer."""

    event_id: str
    attempt: int
    started_at: datetime
    duration_ms: int
    status: int | None
    error: str | None
    response: bytes | None


def webhook_environment(authority: Authority) -> dict[str, str | None]:
    """What lets a service deliver to the tests' receivers."""
    return {
        "REFUNDRY_WEBHOOK_ALLOW_NETWORKS": LOOPBACK,
        "SSL_CERT_FILE": str(authority.path),
    }


def subscribe(api: Api, endpoint: Endpoint | str, *types: str, **fields: object) -> Doc:
    """A new webhook to an endpoint or an address."""
    address = endpoint if isinstance(endpoint, str) else endpoint.url
    asked = {"types": types or (ACCEPTED,), "address": address, **fields}
    return expect(api.post("/webhooks", asked), 201)


def change(api: Api, webhook: Doc, **fields: object) -> Doc:
    return expect(api.patch(f"/webhooks/{webhook['id']}", fields))


def accept_order(api: Api, **fields: object) -> Doc:
    """Make one `order.accepted` and deliver all that is due; gives the event."""
    order = given_accepted(api, "A", **fields)
    settle(api)
    return accepted_event(api, order)


def accepted_event(api: Api, order: Doc) -> Doc:
    """The `order.accepted` of an order among the newest events."""
    page = expect(api.get(f"/events?type={ACCEPTED}&limit=100"))
    (event,) = (each for each in page["data"] if each["data"]["object"]["id"] == order["id"])
    return event


def event_ids(endpoint: Endpoint) -> list[str]:
    """The ids of the events that arrived, in the order of their arrival."""
    return [json.loads(body)["id"] for body in endpoint.bodies]


def is_signed(arrival: Arrival, *tokens: str) -> bool:
    """Whether a request verifies as it would have at the moment of its arrival."""
    header = arrival.headers["digitalriver-signature"]
    return verifies(header, arrival.body, tokens, arrival.at)


def signed_at(arrival: Arrival) -> int:
    """The timestamp of a signature, in Unix seconds."""
    return int(arrival.headers["digitalriver-signature"].split(", ")[0])


def token_of(service: Service, webhook: Doc) -> str:
    """The signing token, which no API gives away."""
    from refundry.sealing import open_vault
    from refundry.settings import load_settings

    rows = run_sql(
        service.data_dir, "SELECT sealed_token FROM webhooks WHERE id = $1", webhook["id"]
    )
    settings = load_settings(service.environment, {"data_dir": service.data_dir})
    return open_vault(settings).open(rows[0]["sealed_token"])


def attempts(service: Service, webhook: Doc) -> list[Attempt]:
    """All attempts of a webhook that were recorded, the earliest first."""
    rows = run_sql(
        service.data_dir,
        "SELECT event_id, attempt, started_at, duration_ms, status, error, response"
        " FROM attempts WHERE webhook_id = $1 ORDER BY started_at, attempt",
        webhook["id"],
    )
    return [Attempt(**row) for row in rows]


def only_attempt(service: Service, webhook: Doc) -> Attempt:
    (attempt,) = attempts(service, webhook)
    return attempt


def delivery_states(service: Service, webhook: Doc) -> list[str]:
    """The states of a webhook's deliveries, in the order of their events."""
    rows = run_sql(
        service.data_dir,
        "SELECT d.state FROM deliveries d JOIN events e ON e.id = d.event_id"
        " AND e.account_id = d.account_id AND e.live = d.live"
        " WHERE d.webhook_id = $1 ORDER BY e.created_at, e.seq, d.number",
        webhook["id"],
    )
    return [row["state"] for row in rows]


def next_second() -> None:
    """Wait until Unix time is in its next second, so that the next signature has another one."""
    time.sleep(1 - time.time() % 1)
