"""Addresses that are sent to shoppers: the form for bank details, and how a refund stands."""

import base64
import binascii

from refundry.sealing import Vault
from refundry.settings import Settings
from refundry.tenant import Tenant

_PURPOSE = "refund status link"
# 128 bits of a signature are out of reach of guessing, and keep the address short.
_SIGNATURE_BYTES = 16
_LONGEST = 300


def form_address(settings: Settings, token: str) -> str:
    """Where a shopper gives bank details."""
    return f"{settings.public_address()}/offline-refund/{token}"


def status_address(settings: Settings, vault: Vault, tenant: Tenant, refund_id: str) -> str:
    """Where a shopper sees how one refund stands, always the same for the same refund."""
    link = status_link(vault, tenant, refund_id)
    return f"{settings.public_address()}/refund-status/{link}"


def status_link(vault: Vault, tenant: Tenant, refund_id: str) -> str:
    """The signed name of a refund."""
    text = f"{tenant.account_id} {'live' if tenant.live else 'test'} {refund_id}"
    signature = vault.sign(_PURPOSE, text)[:_SIGNATURE_BYTES]
    return base64.urlsafe_b64encode(signature + text.encode()).decode().rstrip("=")


def read_status_link(vault: Vault, link: str) -> tuple[Tenant, str] | None:
    """Whose refund a link names; None if we never made it."""
    try:
        raw = base64.urlsafe_b64decode(link[:_LONGEST] + "=" * (-len(link[:_LONGEST]) % 4))
        text = raw[_SIGNATURE_BYTES:].decode("ascii")
    except (binascii.Error, ValueError):
        return None
    if not vault.verify(_PURPOSE, text, raw[:_SIGNATURE_BYTES], _SIGNATURE_BYTES):
        return None
    account_id, mode, refund_id = text.split(" ")
    return Tenant(account_id, live=mode == "live"), refund_id
