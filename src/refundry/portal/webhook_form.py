"""The form of a webhook: made and changed by the API's own rules."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import msgspec

from refundry.access.rights import Right
from refundry.domain.event_catalogue import EMISSIONS
from refundry.errors import BadFields, FieldProblem, NotFound
from refundry.http.answer import Answer
from refundry.http.document import JsonValue
from refundry.http.fields import Fields
from refundry.ids import new_web_token
from refundry.portal.forms import Form
from refundry.portal.pages import Page, Visit
from refundry.portal.receipts import AlreadySubmitted, FormOnce
from refundry.sealing import Vault
from refundry.tenant import VERSIONS
from refundry.webhooks.addresses import Guard
from refundry.webhooks.commands import Editor, create_webhook, update_webhook
from refundry.webhooks.reading import WebhookAsk, read_webhook
from refundry.webhooks.rules import rules_for
from refundry.webhooks.store import Webhook, expands_events, find_webhook
from refundry.webhooks.types import EXPANDABLE, SUBSCRIBABLE, Grant, Transport

WEBHOOKS = "/dashboard/webhooks"
API_VERSION_LABELS = {
    "default": "Default: that of the secret key",
    "latest": "Latest",
    **{version: version for version in VERSIONS},
}
_GRANTS = {Grant.CLIENT_CREDENTIALS.value: "Client credentials", Grant.PASSWORD.value: "Password"}
_MISSING = {
    "types": "Choose at least one event type.",
    "address": "Write the endpoint's URL.",
    "authentication.userName": "Write the user name for HTTP authentication.",
    "authentication.password": "Write the password for HTTP authentication.",
    "oauth.tokenEndPoint": "Write the URL of the token endpoint.",
    "oauth.clientID": "Write the client ID.",
    "oauth.clientSecret": "Write the client secret.",
}


@dataclass(frozen=True, slots=True)
class Filled:
    """What the form holds; secrets are never part of it.

    authentication: none, http or oauth. kept: which secrets the webhook has already.
    """

    address: str = ""
    enabled: bool = True
    version: str = "default"
    authentication: str = "none"
    user_name: str = ""
    token_end_point: str = ""
    client_id: str = ""
    grant_type: str = Grant.CLIENT_CREDENTIALS.value
    oauth_user_name: str = ""
    types: frozenset[str] = frozenset()
    expanded: frozenset[str] = frozenset()
    kept: frozenset[str] = frozenset()


def _of_webhook(webhook: Webhook) -> Filled:
    oauth = webhook.transport_type == Transport.OAUTH
    return Filled(
        webhook.address,
        webhook.enabled,
        webhook.api_version,
        _authentication(webhook),
        "" if oauth else webhook.user_name or "",
        webhook.token_end_point or "",
        webhook.client_id or "",
        webhook.grant_type or Grant.CLIENT_CREDENTIALS.value,
        (webhook.user_name or "") if oauth else "",
        frozenset(webhook.types),
        frozenset(webhook.expanded_types),
        frozenset(_kept_secrets(webhook)),
    )


def _authentication(webhook: Webhook) -> str:
    if webhook.transport_type == Transport.OAUTH:
        return "oauth"
    return "http" if webhook.user_name is not None else "none"


def _kept_secrets(webhook: Webhook) -> dict[str, bytes]:
    """The sealed secrets of a webhook by the field of the form that would replace them."""
    oauth = webhook.transport_type == Transport.OAUTH
    found = {
        "oauth_password" if oauth else "password": webhook.sealed_password,
        "client_secret": webhook.sealed_client_secret,
    }
    return {name: sealed for name, sealed in found.items() if sealed is not None}


def _of_form(form: Form, kept: frozenset[str]) -> Filled:
    types = SUBSCRIBABLE if form.ticked("all") else form.all("types")
    return Filled(
        form.text("address", 3000),
        form.ticked("enabled"),
        form.text("version"),
        form.text("authentication"),
        form.text("user_name"),
        form.text("token_end_point", 3000),
        form.text("client_id"),
        form.text("grant_type"),
        form.text("oauth_user_name"),
        frozenset(types),
        frozenset(form.all("expanded")),
        kept,
    )


def _document(filled: Filled, secrets: Mapping[str, str], *, expands: bool) -> dict[str, JsonValue]:
    """The form as a body of the API, so that the API's own reader can judge it."""
    known = [name for name in SUBSCRIBABLE if name in filled.types]
    strange = sorted(filled.types - set(SUBSCRIBABLE))
    found: dict[str, JsonValue] = {
        "types": [*known, *strange] or None,
        "address": filled.address or None,
        "apiVersion": filled.version,
        "enabled": filled.enabled,
        "transportType": "OAUTH" if filled.authentication == "oauth" else "HTTP",
    }
    if expands:
        found["expandedTypes"] = sorted(filled.expanded)
    if filled.authentication == "http":
        found["authentication"] = {
            "userName": filled.user_name or None,
            "password": secrets.get("password"),
        }
    elif filled.authentication == "oauth":
        found["oauth"] = {
            "tokenEndPoint": filled.token_end_point or None,
            "clientID": filled.client_id or None,
            "clientSecret": secrets.get("client_secret"),
            "userName": filled.oauth_user_name or None,
            "password": secrets.get("oauth_password") if filled.oauth_user_name else None,
            "grantType": filled.grant_type,
        }
    return found


def _secrets(form: Form, webhook: Webhook | None, vault: Vault) -> dict[str, str]:
    """The secrets in clear: as typed, or those that the webhook has where the field is empty."""
    kept = _kept_secrets(webhook) if webhook is not None else {}
    found = {name: vault.open(sealed) for name, sealed in kept.items()}
    typed = {name: form.secret(name) for name in ("password", "client_secret", "oauth_password")}
    return found | {name: text for name, text in typed.items() if text}


async def _read(visit: Visit, filled: Filled, webhook: Webhook | None) -> WebhookAsk:
    """What the form asks for. Raises BadFields."""
    services = visit.services
    expands = await expands_events(visit.database, visit.tenant.account_id)
    document = _document(filled, _secrets(visit.form, webhook, services.vault), expands=expands)
    rules = await rules_for(
        visit.database, services.settings, services.part(Guard), visit.tenant, document
    )
    ask = read_webhook(Fields(document, []), rules, None)
    return replace(ask, bare=filled.authentication == "none")


def _words(problems: Sequence[FieldProblem]) -> str:
    """What is wrong, for the person who filled in the form."""
    return " ".join(
        _MISSING.get(each.parameter or "", each.message)
        if each.code == "missing_parameter"
        else each.message
        for each in problems
    )


async def _form_page(
    visit: Visit, filled: Filled, webhook: Webhook | None, *, error: str = ""
) -> Answer:
    return visit.show(
        "webhook_form.html",
        status=400 if error else 200,
        error=error,
        webhook=webhook,
        filled=filled,
        action=f"{WEBHOOKS}/{webhook.id}/edit" if webhook else f"{WEBHOOKS}/new",
        versions=API_VERSION_LABELS,
        grants=_GRANTS,
        sent=[name for name in SUBSCRIBABLE if name in EMISSIONS],
        never=[name for name in SUBSCRIBABLE if name not in EMISSIONS],
        all=filled.types >= set(SUBSCRIBABLE),
        expandable=EXPANDABLE,
        expands=await expands_events(visit.database, visit.tenant.account_id),
        token=visit.form.text("form_token") or new_web_token(),
    )


async def new_webhook(visit: Visit) -> Answer:
    """The empty form."""
    return await _form_page(visit, Filled(), None)


async def post_new_webhook(visit: Visit) -> Answer:
    """Make a webhook."""
    filled = _of_form(visit.form, frozenset())
    by = Editor(visit.user.actor, visit.real_now)
    vault = visit.services.vault
    try:
        ask = await _read(visit, filled, None)
        body = await create_webhook(
            visit.database, vault, visit.tenant, ask, visit.now, FormOnce(visit, WEBHOOKS), by
        )
    except BadFields as bad:
        return await _form_page(visit, filled, None, error=_words(bad.problems))
    except AlreadySubmitted:
        return visit.go(WEBHOOKS, done="once")
    webhook_id = msgspec.json.decode(body)["id"]
    return visit.go(f"{WEBHOOKS}/{webhook_id}", done="webhook-created")


async def load_webhook(visit: Visit) -> Webhook:
    """The webhook of the address. Raises NotFound."""
    webhook = await find_webhook(visit.database, visit.tenant, visit.path["id"])
    if webhook is None:
        raise NotFound("Webhook", visit.path["id"])
    return webhook


async def edit_webhook(visit: Visit) -> Answer:
    """The form with what the webhook has."""
    webhook = await load_webhook(visit)
    return await _form_page(visit, _of_webhook(webhook), webhook)


async def post_edit_webhook(visit: Visit) -> Answer:
    """Change a webhook; secrets whose fields are empty stay."""
    webhook = await load_webhook(visit)
    filled = _of_form(visit.form, frozenset(_kept_secrets(webhook)))
    by = Editor(visit.user.actor, visit.real_now)
    try:
        ask = await _read(visit, filled, webhook)
    except BadFields as bad:
        return await _form_page(visit, filled, webhook, error=_words(bad.problems))
    await update_webhook(
        visit.database, visit.services.vault, visit.tenant, webhook.id, lambda _: ask, visit.now, by
    )
    return visit.go(f"{WEBHOOKS}/{webhook.id}", done="saved")


PAGES = (
    Page("GET", "/webhooks/new", new_webhook, Right.DEVELOPERS),
    Page("POST", "/webhooks/new", post_new_webhook, Right.DEVELOPERS),
    Page("GET", "/webhooks/{id}/edit", edit_webhook, Right.DEVELOPERS),
    Page("POST", "/webhooks/{id}/edit", post_edit_webhook, Right.DEVELOPERS),
)
