"""Webhooks, and what was tried for them, as the API shows them."""

from refundry.http.document import JsonValue, milliseconds
from refundry.sealing import Vault
from refundry.webhooks.attempts import Attempt
from refundry.webhooks.store import Webhook
from refundry.webhooks.types import Transport


def webhook_view(webhook: Webhook, vault: Vault) -> dict[str, JsonValue]:
    """The Webhook resource, its credentials in clear; the signing token is not part of it."""
    view: dict[str, JsonValue] = {
        "id": webhook.id,
        "types": list(webhook.types),
        "address": webhook.address,
        "apiVersion": webhook.api_version,
        "enabled": webhook.enabled,
        "transportType": webhook.transport_type,
    }
    if webhook.transport_type == Transport.OAUTH:
        view["oauth"] = _oauth(webhook, vault)
    elif webhook.user_name is not None:
        view["authentication"] = _authentication(webhook, vault)
    if webhook.expanded_types:
        view["expandedTypes"] = list(webhook.expanded_types)
    view["liveMode"] = webhook.tenant.live
    view["createdTime"] = milliseconds(webhook.created_at)
    view["updatedTime"] = milliseconds(webhook.updated_at)
    if webhook.failing_since is not None:
        view["failingSince"] = milliseconds(webhook.failing_since)
    if webhook.disabled_reason is not None:
        view["disabledReason"] = webhook.disabled_reason
    return view


def _authentication(webhook: Webhook, vault: Vault) -> dict[str, JsonValue]:
    """Both spellings of the user name, as clients read one or the other."""
    return {
        "userName": webhook.user_name,
        "username": webhook.user_name,
        "password": _opened(webhook.sealed_password, vault),
    }


def _oauth(webhook: Webhook, vault: Vault) -> dict[str, JsonValue]:
    view: dict[str, JsonValue] = {
        "tokenEndPoint": webhook.token_end_point,
        "clientID": webhook.client_id,
        "clientSecret": _opened(webhook.sealed_client_secret, vault),
        "userName": webhook.user_name,
        "password": _opened(webhook.sealed_password, vault),
        "grantType": webhook.grant_type,
    }
    return {name: value for name, value in view.items() if value is not None}


def _opened(sealed: bytes | None, vault: Vault) -> str | None:
    return vault.open(sealed) if sealed is not None else None


def attempt_view(attempt: Attempt) -> dict[str, JsonValue]:
    """The Attempt resource."""
    view: dict[str, JsonValue] = {
        "id": attempt.id,
        "eventId": attempt.event_id,
        "eventType": attempt.event_type,
        "attempt": attempt.attempt,
        "time": milliseconds(attempt.started_at),
        "durationMs": attempt.duration_ms,
        "status": attempt.status,
        "error": attempt.error,
        "response": _text(attempt.response),
        "state": attempt.state,
        "nextAttemptTime": milliseconds(attempt.due_at) if attempt.due_at else None,
    }
    return {name: value for name, value in view.items() if value is not None}


def _text(response: bytes | None) -> str | None:
    """The start of an answer as text; what is not UTF-8 in it shows as a replacement mark."""
    return response.decode("utf-8", "replace") if response is not None else None
