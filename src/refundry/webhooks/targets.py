"""Webhooks with their secrets opened, ready to be sent to."""

from dataclasses import dataclass, field
from datetime import datetime

from yarl import URL

from refundry.errors import required
from refundry.sealing import Vault
from refundry.webhooks.deliveries import Mark
from refundry.webhooks.oauth import Credentials
from refundry.webhooks.sending import Courier, Target
from refundry.webhooks.store import Webhook


@dataclass(frozen=True, slots=True)
class Opened:
    """A webhook as it was at its last change, with where and how to send to it."""

    webhook: Webhook
    target: Target
    token: bytes = field(repr=False)
    old_token: bytes | None = field(repr=False)

    @property
    def mark(self) -> Mark:
        """What tells this state of the webhook from a later one."""
        return self.webhook.updated_at, self.webhook.sealed_token

    def tokens(self, now: datetime) -> list[bytes]:
        """What an attempt is signed with, newest first. now: on the clock of the mode."""
        until = self.webhook.old_token_until
        if self.old_token is None or until is None or until <= now:
            return [self.token]
        return [self.token, self.old_token]


def open_webhook(webhook: Webhook, vault: Vault, courier: Courier) -> Opened:
    """Open a webhook's secrets. Raises BadSettings if no key opens them."""
    sealed_old = webhook.sealed_old_token
    return Opened(
        webhook,
        _target(webhook, vault, courier),
        vault.open(webhook.sealed_token).encode(),
        vault.open(sealed_old).encode() if sealed_old is not None else None,
    )


def _target(webhook: Webhook, vault: Vault, courier: Courier) -> Target:
    sealed = webhook.sealed_password
    password = vault.open(sealed) if sealed is not None else None
    basic = credentials = None
    if webhook.transport_type == "OAUTH":
        credentials = Credentials(
            end_point=URL(required(webhook.token_end_point)),
            client_id=required(webhook.client_id),
            client_secret=vault.open(required(webhook.sealed_client_secret)),
            grant_type=required(webhook.grant_type),
            user_name=webhook.user_name,
            password=password,
        )
    elif webhook.user_name is not None:
        basic = webhook.user_name, password or ""
    return courier.target(
        webhook.address, live=webhook.tenant.live, basic=basic, credentials=credentials
    )
