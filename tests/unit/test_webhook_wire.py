"""Webhooks and attempts as the API shows them, and what an update makes of a webhook."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from refundry.sealing import Vault
from refundry.tenant import Tenant
from refundry.webhooks.attempts import Attempt
from refundry.webhooks.commands import changed
from refundry.webhooks.reading import Basic, OAuth, WebhookAsk
from refundry.webhooks.store import Webhook
from refundry.webhooks.types import Transport
from refundry.webhooks.wire import attempt_view, webhook_view

VAULT = Vault([bytes(32)])
MADE = datetime(2024, 5, 1, 9, 30, 0, 125_999, tzinfo=UTC)
LATER = MADE + timedelta(hours=1)
TOKEN = "a" * 64
WEBHOOK = Webhook(
    Tenant("a", live=False), "w", MADE, MADE, types=("refund.complete",), expanded_types=(),
    address="https://shop.example/hook", api_version="default", enabled=True,
    transport_type="HTTP", user_name=None, sealed_password=None, token_end_point=None,
    client_id=None, sealed_client_secret=None, grant_type=None, sealed_token=VAULT.seal(TOKEN),
)  # fmt: skip
NOTHING = WebhookAsk(None, None, None, None, None, None, None, None)
PLAIN = {
    "id": "w",
    "types": ["refund.complete"],
    "address": "https://shop.example/hook",
    "apiVersion": "default",
    "enabled": True,
    "transportType": "HTTP",
    "liveMode": False,
    "createdTime": "2024-05-01T09:30:00.125Z",
    "updatedTime": "2024-05-01T09:30:00.125Z",
}
BASIC = replace(NOTHING, authentication=Basic("u", "p"))
OAUTH = replace(
    NOTHING,
    transport=Transport.OAUTH,
    oauth=OAuth("https://id.shop.example", "c", "s", None, None, "password"),
)


def test_a_webhook_shows_neither_its_token_nor_what_is_not_set() -> None:
    view = webhook_view(WEBHOOK, VAULT)
    assert view == PLAIN
    assert list(view) == list(PLAIN)
    assert TOKEN not in str(view)


def test_basic_credentials_are_shown_in_both_spellings_and_kept_encrypted() -> None:
    after = changed(WEBHOOK, BASIC, VAULT, LATER)
    assert after.sealed_password != b"p"
    assert webhook_view(after, VAULT) == PLAIN | {
        "authentication": {"userName": "u", "username": "u", "password": "p"},
        "updatedTime": "2024-05-01T10:30:00.125Z",
    }


def test_oauth_credentials_replace_basic_ones_and_the_other_way_round() -> None:
    both = changed(changed(WEBHOOK, BASIC, VAULT, LATER), OAUTH, VAULT, LATER)
    view = webhook_view(both, VAULT)
    assert "authentication" not in view
    assert view["oauth"] == {
        "tokenEndPoint": "https://id.shop.example",
        "clientID": "c",
        "clientSecret": "s",
        "grantType": "password",
    }
    assert (both.user_name, both.sealed_password) == (None, None)
    back = changed(both, replace(BASIC, transport=Transport.HTTP), VAULT, LATER)
    assert "oauth" not in webhook_view(back, VAULT)
    assert (back.token_end_point, back.client_id, back.sealed_client_secret) == (None, None, None)
    assert back.grant_type is None


def test_what_an_update_leaves_out_stays() -> None:
    oauth = changed(WEBHOOK, OAUTH, VAULT, MADE)
    after = changed(oauth, replace(NOTHING, types=("refund.failed",)), VAULT, LATER)
    assert after == replace(oauth, types=("refund.failed",), updated_at=LATER)


def test_enabling_forgets_that_it_failed_and_nothing_else_does() -> None:
    failed = replace(
        WEBHOOK, enabled=False, failing_since=MADE, warned_at=MADE, disabled_at=MADE,
        disabled_reason="No answer for 72 hours.",
    )  # fmt: skip
    view = webhook_view(failed, VAULT)
    assert view["failingSince"] == "2024-05-01T09:30:00.125Z"
    assert view["disabledReason"] == "No answer for 72 hours."
    moved = changed(failed, replace(NOTHING, address="https://b.example"), VAULT, MADE)
    assert moved == replace(failed, address="https://b.example")
    assert changed(failed, replace(NOTHING, enabled=True), VAULT, MADE) == WEBHOOK
    failing = replace(WEBHOOK, failing_since=MADE)
    assert changed(failing, replace(NOTHING, enabled=True), VAULT, MADE) == failing


def test_an_attempt_shows_what_came_of_it() -> None:
    attempt = Attempt(
        "e", 0, 1, "refund.complete", MADE, 41, 503, None, b"caf\xe9 \x00", "pending", LATER
    )
    assert attempt_view(attempt) == {
        "id": "e.0.1",
        "eventId": "e",
        "eventType": "refund.complete",
        "attempt": 1,
        "time": "2024-05-01T09:30:00.125Z",
        "durationMs": 41,
        "status": 503,
        "response": "caf� \x00",
        "state": "pending",
        "nextAttemptTime": "2024-05-01T10:30:00.125Z",
    }


def test_an_attempt_without_an_answer_shows_its_error() -> None:
    attempt = Attempt("e", 2, 1, None, MADE, 3000, None, "timeout", None, "exhausted", None)
    assert attempt_view(attempt) == {
        "id": "e.2.1",
        "eventId": "e",
        "attempt": 1,
        "time": "2024-05-01T09:30:00.125Z",
        "durationMs": 3000,
        "error": "timeout",
        "state": "exhausted",
    }
