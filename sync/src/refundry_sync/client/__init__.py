"""A typed client for the whole API, of Refundry or any other server that speaks it."""

from refundry_sync.client.async_client import AsyncClient
from refundry_sync.client.settings import CallReport
from refundry_sync.client.sync_client import Client

__all__ = ["AsyncClient", "CallReport", "Client"]
