"""The connectors of gateways, made when they are first needed and kept for a while."""

import time
from collections.abc import Callable
from dataclasses import dataclass, replace

from refundry.db.database import Session
from refundry.gateways import store
from refundry.gateways.kinds import BadCredentials, Setup, make_connector
from refundry.processors.contract import Processor
from refundry.sealing import Vault
from refundry.settings import BadSettings

# So long credentials that were replaced are used on.
_KEPT_SECONDS = 10.0


@dataclass(slots=True)
class _Kept:
    sealed: bytes
    connector: Processor
    until: float


class Connectors:
    """Finds the connector of a gateway. setup: what all are made with."""

    def __init__(
        self,
        session: Session,
        vault: Vault,
        setup: Setup,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """clock: seconds that only grow."""
        self._session = session
        self._vault = vault
        self._setup = setup
        self._clock = clock
        self._kept: dict[str, _Kept] = {}

    async def find(self, gateway_id: str) -> Processor:
        """The connector of a gateway. Raises BadCredentials where none can be made."""
        kept = self._kept.get(gateway_id)
        if kept is not None and self._clock() < kept.until:
            return kept.connector
        gateway = await store.find(self._session, gateway_id)
        if gateway is None:
            raise BadCredentials(f"gateway {gateway_id} is unknown")
        until = self._clock() + _KEPT_SECONDS
        if kept is not None and kept.sealed == gateway.sealed_credentials:
            kept.until = until
            return kept.connector
        connector = self._make(gateway)
        self._kept[gateway_id] = _Kept(gateway.sealed_credentials, connector, until)
        return connector

    def _make(self, gateway: store.Gateway) -> Processor:
        setup = replace(self._setup, address=gateway.address)
        try:
            credentials = self._vault.open(gateway.sealed_credentials)
        except BadSettings as error:
            raise BadCredentials(str(error)) from error
        return make_connector(gateway.processor, credentials, setup)
