"""The shop's side of refunds: a client, the receiver of webhooks, and what keeps orders in step."""

__version__ = "0.1.0"
