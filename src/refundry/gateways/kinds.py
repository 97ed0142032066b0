"""The processors that a gateway may lead to, and how a connector to each is made."""

import dataclasses
import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import aiohttp
import msgspec

from refundry.processors.contract import Processor


class BadCredentials(Exception):
    """Credentials that no connector can be made of; the message says what is wrong."""


@dataclass(frozen=True, slots=True)
class Setup:
    """What connectors are made with. address: where the API is, if not where the SDK looks."""

    session: aiohttp.ClientSession
    timeout_seconds: float
    address: str | None = None


@dataclass(frozen=True, slots=True)
class Kind:
    """A processor: its name in commands and settings, its module, and the classes in it.

    is_live: whether credentials are for real money; None where they do not show it.
    """

    name: str
    label: str
    module: str
    credentials: str
    make: Callable[[Any, Any, Setup], Processor]
    is_live: Callable[[Any], bool | None]


def _stripe(module: Any, credentials: Any, setup: Setup) -> Processor:
    return module.StripeProcessor(
        credentials, setup.session, setup.timeout_seconds, base_url=setup.address
    )


def _http(module: Any, credentials: Any, setup: Setup) -> Processor:
    return module.HttpProcessor(credentials, setup.session, setup.timeout_seconds)


def _in_threads(name: str) -> Callable[[Any, Any, Setup], Processor]:
    def make(module: Any, credentials: Any, setup: Setup) -> Processor:
        return getattr(module, name)(credentials, setup.timeout_seconds, base_url=setup.address)

    return make


def _says_live(credentials: Any) -> bool:
    return bool(credentials.live)


KINDS: Mapping[str, Kind] = {
    kind.name: kind
    for kind in (
        Kind("stripe", "Stripe", "stripe", "StripeCredentials", _stripe,
             lambda credentials: "_live_" in credentials.secret_key),
        Kind("adyen", "Adyen", "adyen", "AdyenCredentials", _in_threads("AdyenProcessor"),
             _says_live),
        Kind("paypal", "PayPal", "paypal", "PayPalCredentials", _in_threads("PayPalProcessor"),
             _says_live),
        Kind("braintree", "Braintree", "braintree", "BraintreeCredentials",
             _in_threads("BraintreeProcessor"), _says_live),
        Kind("http", "An adapter of one's own", "http", "HttpCredentials", _http,
             lambda _credentials: None),
    )
}  # fmt: skip


def label_of(name: str) -> str:
    """What people call a processor."""
    kind = KINDS.get(name)
    return kind.label if kind else name


def read_credentials(name: str, text: str) -> Any:
    """The credentials of a kind in a JSON object. Raises BadCredentials.

    Members are named like the fields of the kind's credentials; `live` says whether they are for
    real money, where the processor's keys do not show it.
    """
    module = _module(KINDS[name])
    wanted = getattr(module, KINDS[name].credentials)
    try:
        given = msgspec.json.decode(text, type=dict[str, Any])
        unknown = sorted(set(given) - set(field_names(name)))
        if unknown:
            raise BadCredentials(f"'{unknown[0]}' is none of: {', '.join(field_names(name))}")
        return msgspec.convert(given, wanted)
    except (msgspec.DecodeError, msgspec.ValidationError) as error:
        # The message of msgspec names the field and its type, never a value.
        raise BadCredentials(f"credentials of {KINDS[name].label}: {error}") from error


def field_names(name: str) -> tuple[str, ...]:
    """The members of a kind's credentials, those that must be there first."""
    kind = KINDS[name]
    wanted = getattr(_module(kind), kind.credentials)
    return tuple(field.name for field in dataclasses.fields(wanted))


def make_connector(name: str, text: str, setup: Setup) -> Processor:
    """A connector of a kind with credentials as JSON. Raises BadCredentials."""
    kind = KINDS[name]
    return kind.make(_module(kind), read_credentials(name, text), setup)


def is_live(name: str, text: str) -> bool | None:
    """Whether credentials are for real money, if they show it. Raises BadCredentials."""
    return KINDS[name].is_live(read_credentials(name, text))


def _module(kind: Kind) -> Any:
    """The connector's module, imported only here: its SDK is an extra, and takes time to load."""
    try:
        return importlib.import_module(f"refundry.processors.{kind.module}")
    except ImportError as error:
        raise BadCredentials(
            f"{kind.label} needs its SDK: pip install 'refundry[{kind.name}]', or in a checkout "
            f".venv/bin/pip install -e '.[{kind.name}]' ({error})"
        ) from error
