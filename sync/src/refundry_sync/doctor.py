"""Checks the way from the shop to the API and back, and says what to mend."""

import json
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

import httpx

from refundry_sync import signature
from refundry_sync.client import Client
from refundry_sync.configuring import Configuration
from refundry_sync.errors import ApiError, Forbidden, SyncError, Unauthorized
from refundry_sync.models import Webhook
from refundry_sync.sync.merging import HANDLED_TYPES

# A signature is good for 300 s; half of it is for the way.
LARGEST_SKEW_SECONDS = 150
# Without these the views are never right; the rest is for notifications and quicker news.
NEEDED_TYPES = (
    "refund.complete",
    "refund.failed",
    "order.charge.refund.complete",
    "order.chargeback",
)
ASK_SECONDS = 10


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was checked. mend: what to do about it; empty if all is well."""

    name: str
    is_well: bool
    found: str
    mend: str = ""


def examine(configuration: Configuration, client: Client) -> Iterator[Finding]:
    """Every check, each as soon as it is done; what hangs on one that failed is left out."""
    reached = _reach(configuration)
    yield reached
    if not reached.is_well:
        return
    yield _clock(configuration)
    key = _key(configuration, client)
    yield key
    if key.is_well:
        yield _webhook(configuration, client)
    yield from _endpoint(configuration)


def _reach(configuration: Configuration) -> Finding:
    try:
        status = httpx.get(f"{configuration.url}/refunds", timeout=ASK_SECONDS).status_code
    except httpx.HTTPError as error:
        mend = "check REFUNDRY_SYNC_URL, and that this machine may reach it"
        return Finding("reachability", False, f"{configuration.url}: {error}", mend)
    if status != 401:
        mend = "REFUNDRY_SYNC_URL must be the root of the API, without a path"
        return Finding("reachability", False, f"/refunds without a key gives {status}", mend)
    return Finding("reachability", True, configuration.url)


def _clock(configuration: Configuration) -> Finding:
    date = httpx.get(f"{configuration.url}/refunds", timeout=ASK_SECONDS).headers.get("date")
    if date is None:
        return Finding("clock", True, "the server does not say what time it is")
    skew = abs((parsedate_to_datetime(date) - datetime.now(UTC)).total_seconds())
    mend = "" if skew <= LARGEST_SKEW_SECONDS else "set this machine's clock, or the server's (NTP)"
    return Finding("clock", not mend, f"{skew:.0f} s from the server's", mend)


def _key(configuration: Configuration, client: Client) -> Finding:
    said = "live" if "_live_" in configuration.key else "test"
    if said != configuration.mode:
        mend = "use the key and the webhook of the same mode"
        return Finding("key", False, f"a {said} key in {configuration.mode} mode", mend)
    calls: list[tuple[str, Callable[[], object]]] = [
        ("refunds", lambda: next(iter(client.refunds.list(page_size=1)), None)),
        ("orders", lambda: next(iter(client.orders.list(page_size=1)), None)),
        ("events", lambda: next(iter(client.events.list(page_size=1)), None)),
    ]
    for resource, call in calls:
        try:
            call()
        except Unauthorized:
            mend = "the key is unknown or has ended: take the newest one of the account"
            return Finding("key", False, "refused", mend)
        except Forbidden:
            mend = f"give the restricted key Read on {resource}"
            return Finding("key", False, f"may not read {resource}", mend)
        except SyncError as error:
            return Finding("key", False, str(error), "see the server's log")
    return Finding("key", True, f"reads refunds, orders and events in {said} mode")


def _webhook(configuration: Configuration, client: Client) -> Finding:
    try:
        webhooks = list(client.webhooks.list())
    except ApiError as error:
        mend = "give the key Read on webhooks for this check, or look in the dashboard"
        return Finding("webhook", False, str(error), mend)
    ours = [each for each in webhooks if _is_ours(each, configuration)]
    if not ours:
        address = configuration.public_url or configuration.path
        mend = f"make a webhook to {address}; set REFUNDRY_SYNC_PUBLIC_URL to its address"
        return Finding("webhook", False, f"none of {len(webhooks)} leads here", mend)
    if not any(each.enabled for each in ours):
        return Finding("webhook", False, "disabled", "enable it, then `refundry-sync reconcile`")
    types = {type for each in ours if each.enabled for type in each.types}
    needed = [type for type in NEEDED_TYPES if type not in types]
    if needed:
        return Finding("webhook", False, "lacks " + ", ".join(needed), "subscribe it to these")
    lacking = len(HANDLED_TYPES - types)
    return Finding("webhook", True, f"enabled; {lacking} of {len(HANDLED_TYPES)} types left out")


def _is_ours(webhook: Webhook, configuration: Configuration) -> bool:
    if configuration.public_url is not None:
        return webhook.address == configuration.public_url
    return webhook.address.endswith(configuration.path)


def _endpoint(configuration: Configuration) -> Iterator[Finding]:
    """Send ourselves an event of no type we handle, signed well and signed badly."""
    address = configuration.public_url or (
        f"http://{configuration.host}:{configuration.port}{configuration.path}"
    )
    mend = "start `refundry-sync run`, or mount the endpoint at this address"
    for name, tokens, wanted in (
        ("endpoint", configuration.tokens, 202),
        ("signature", ("0" * 64,), 401),
    ):
        try:
            status = _send(address, configuration, tokens)
        except httpx.HTTPError as error:
            yield Finding(name, False, f"{address}: {error}", mend)
            return
        if status != wanted:
            mend = f"it should answer {wanted}; does it run with the same tokens and credentials?"
            yield Finding(name, False, f"{address} answered {status}", mend)
            return
        words = "takes what is signed" if wanted == 202 else "refuses what is not"
        yield Finding(name, True, f"{address} {words}")


def _send(address: str, configuration: Configuration, tokens: tuple[str, ...]) -> int:
    now = datetime.now(UTC)
    event = {
        "id": str(uuid.uuid4()),
        "type": "refundry_sync.doctor",
        "data": {"object": {"id": "doctor"}},
        "liveMode": configuration.mode == "live",
        "createdTime": now.strftime("%Y-%m-%dT%H:%M:%SZ"),
    }
    body = json.dumps(event, separators=(",", ":")).encode()
    headers = {
        "Content-Type": "application/json",
        "DigitalRiver-Signature": signature.sign(body, tokens, now=now),
    }
    if configuration.bearer_token is not None:
        headers["Authorization"] = f"Bearer {configuration.bearer_token}"
    return httpx.post(
        address,
        content=body,
        headers=headers,
        auth=configuration.basic_auth,
        timeout=ASK_SECONDS,
    ).status_code
