"""Which connector serves which mode."""

from datetime import timedelta

import aiohttp

from refundry.processors.contract import Connector
from refundry.processors.http import HttpCredentials, HttpProcessor
from refundry.processors.manual import ManualConnector
from refundry.processors.sandbox import SandboxConnector
from refundry.settings import Settings


class Registry:
    """The connectors of this deployment."""

    def __init__(self, settings: Settings, session: aiohttp.ClientSession) -> None:
        self._live = _live(settings, session)
        self._test = _test(settings, session)

    def connector(self, *, live: bool) -> Connector:
        """The connector for a mode. Test mode never gets the live one."""
        return self._live if live else self._test


def _live(settings: Settings, session: aiohttp.ClientSession) -> Connector:
    if settings.processor == "http":
        assert settings.processor_url is not None
        assert settings.processor_secret is not None
        credentials = HttpCredentials(settings.processor_url, settings.processor_secret)
        return HttpProcessor(credentials, session, settings.processor_timeout)
    return ManualConnector()


def _test(settings: Settings, session: aiohttp.ClientSession) -> Connector:
    if settings.test_processor == "http":
        assert settings.test_processor_url is not None
        assert settings.test_processor_secret is not None
        credentials = HttpCredentials(settings.test_processor_url, settings.test_processor_secret)
        return HttpProcessor(credentials, session, settings.processor_timeout)
    return SandboxConnector(timedelta(seconds=settings.sandbox_delay))


def notification_secrets(settings: Settings) -> list[tuple[str, bool, str]]:
    """Who may notify us: (connector, live, secret) for each connector that has a secret."""
    found: list[tuple[str, bool, str]] = []
    if settings.processor == "http" and settings.processor_secret:
        found.append(("http", True, settings.processor_secret))
    if settings.test_processor == "http" and settings.test_processor_secret:
        found.append(("test-http", False, settings.test_processor_secret))
    if settings.test_processor == "sandbox" and settings.sandbox_secret:
        found.append(("sandbox", False, settings.sandbox_secret))
    return found
