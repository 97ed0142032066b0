"""PayPal's REST API through its SDK: each call gives the text of the answer, or raises.

The SDK has no controllers for webhooks and disputes; those calls go through its own transport and
authentication all the same.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, cast

from apimatic_core.authentication.multiple.single_auth import Single  # pyright: ignore
from apimatic_core.exceptions.auth_validation_exception import (  # pyright: ignore
    AuthValidationException,
)
from apimatic_core.request_builder import RequestBuilder  # pyright: ignore
from apimatic_core.response_handler import ResponseHandler  # pyright: ignore
from apimatic_core.types.parameter import Parameter  # pyright: ignore
from paypalserversdk.configuration import Configuration, Environment, Server  # pyright: ignore
from paypalserversdk.controllers.base_controller import BaseController  # pyright: ignore
from paypalserversdk.exceptions.api_exception import ApiException  # pyright: ignore
from paypalserversdk.http.auth.o_auth_2 import ClientCredentialsAuthCredentials  # pyright: ignore
from paypalserversdk.models.capture_request import CaptureRequest  # pyright: ignore
from paypalserversdk.models.money import Money  # pyright: ignore
from paypalserversdk.models.refund_request import RefundRequest  # pyright: ignore
from paypalserversdk.paypal_serversdk_client import PaypalServersdkClient  # pyright: ignore

from refundry.processors.threads import CallThreads

# Enough for a worker: a call takes some hundred milliseconds.
_THREADS = 16


@dataclass(frozen=True, slots=True)
class PayPalCredentials:
    """What the connector needs of a merchant's PayPal app. webhook_id: of the app's webhook."""

    client_id: str
    client_secret: str = field(repr=False)
    webhook_id: str
    live: bool = False


class Refusal(Exception):
    """An answer that is an error, with its status and its text."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(f"answered {status}: {text}"[:500])
        self.status = status
        self.text = text


class PayPalApi:
    """The calls we make; each raises Refusal, or OSError where there is no answer to be read."""

    def __init__(
        self, credentials: PayPalCredentials, timeout_seconds: float, base_url: str | None
    ) -> None:
        self._credentials = credentials
        self._timeout = timeout_seconds
        self._base_url = base_url
        self._threads = CallThreads(_THREADS, timeout_seconds)
        self._client = _client(credentials, timeout_seconds, base_url)

    async def refund(self, capture: str, key: str, value: str, currency: str) -> str:
        """Refund a part of a capture. value: major units, as PayPal writes them."""
        amount = cast(Any, Money)(currency_code=currency, value=value)
        body = cast(Any, RefundRequest)(amount=amount, custom_id=key, invoice_id=key)
        options = {
            "capture_id": capture,
            "paypal_request_id": key,
            "prefer": "return=representation",
            "body": body,
        }
        return await self._ask(lambda: self._client.payments.refund_captured_payment(options))

    async def capture(self, authorization: str, key: str, value: str, currency: str) -> str:
        """Capture an authorisation, for the last time. value: as of `refund`."""
        amount = cast(Any, Money)(currency_code=currency, value=value)
        options = {
            "authorization_id": authorization,
            "paypal_request_id": key,
            "prefer": "return=representation",
            "body": cast(Any, CaptureRequest)(amount=amount, final_capture=True),
        }
        return await self._ask(lambda: self._client.payments.capture_authorized_payment(options))

    async def void(self, authorization: str, key: str) -> str:
        """Give an authorisation up."""
        options = {
            "authorization_id": authorization,
            "paypal_request_id": key,
            "prefer": "return=representation",
        }
        return await self._ask(lambda: self._client.payments.void_payment(options))

    async def find_authorization(self, reference: str) -> str:
        """An authorisation by PayPal's id."""
        options = {"authorization_id": reference}
        return await self._ask(lambda: self._client.payments.get_authorized_payment(options))

    async def find_refund(self, reference: str) -> str:
        """A refund by PayPal's id."""
        options = {"refund_id": reference}
        return await self._ask(lambda: self._client.payments.get_refund(options))

    async def find_capture(self, reference: str) -> str:
        """A capture by PayPal's id."""
        options = {"capture_id": reference}
        return await self._ask(lambda: self._client.payments.get_captured_payment(options))

    async def find_order(self, reference: str) -> str:
        """An order by PayPal's id, with the refunds of its captures."""
        return await self._ask(lambda: self._client.orders.get_order({"id": reference}))

    async def search(self, options: Mapping[str, object]) -> str:
        """A page of transactions."""
        return await self._ask(lambda: self._client.transaction_search.search_transactions(options))

    async def find_dispute(self, reference: str) -> str:
        """A dispute by PayPal's id."""
        return await self._other("GET", "/v1/customer/disputes/{id}", reference)

    async def find_webhook(self, reference: str) -> str:
        """A webhook of the app."""
        return await self._other("GET", "/v1/notifications/webhooks/{id}", reference)

    async def verify(self, question: str) -> str:
        """Whether PayPal sent a webhook. question: the JSON that it asks for."""
        path = "/v1/notifications/verify-webhook-signature"
        return await self._other("POST", path, None, question)

    async def scopes(self) -> frozenset[str]:
        """What the app may do."""
        token: Any = await self._ask(lambda: self._client.oauth_2.fetch_token(), whole=True)
        scope: object = getattr(token, "scope", "")
        return frozenset(str(scope).split())

    def close(self) -> None:
        """Take no more calls."""
        self._threads.close()

    async def _other(
        self, method: str, path: str, reference: str | None, body: str | None = None
    ) -> str:
        calls = _OtherCalls(self._client.global_configuration)
        return await self._ask(lambda: calls.ask(method, path, reference, body))

    async def _ask(self, call: Callable[[], Any], *, whole: bool = False) -> Any:
        try:
            answer = await self._threads.call(call)
        except ApiException as error:
            response = cast(Any, error).response
            if response.status_code == 401:
                # The SDK keeps a token until it runs out, even one that was revoked.
                self._client = _client(self._credentials, self._timeout, self._base_url)
            raise Refusal(response.status_code, str(response.text)) from error
        except AuthValidationException as error:
            raise Refusal(
                401, "PayPal gave no access token for the client id and secret"
            ) from error
        except OSError:
            raise
        except Exception as error:
            # The SDK takes an answer that is no JSON for YAML, and trips over what it then finds in
            # ways of its own, as over JSON of another shape.
            raise OSError(f"unreadable answer: {type(error).__name__}: {error}"[:300]) from error
        return answer if whole else str(answer.text)


class _Elsewhere(Configuration):  # pyright: ignore
    """The SDK's configuration with another address, for tests: it has no setting for that."""

    def __init__(self, base_url: str | None, **settings: object) -> None:
        self._base_url = base_url
        cast(Any, super()).__init__(**settings)

    def get_base_uri(self, server: object = Server.DEFAULT) -> str:  # pyright: ignore
        return self._base_url or cast(Any, super()).get_base_uri(server)


class _OtherCalls(BaseController):  # pyright: ignore
    """Calls that the SDK has no controller for."""

    def ask(self, method: str, path: str, reference: str | None, body: str | None) -> Any:
        """The answer. reference: what stands for {id} in the path; body: JSON."""
        request = cast(Any, RequestBuilder)().server(Server.DEFAULT).path(path).http_method(method)
        parameter = cast(Any, Parameter)
        if reference is not None:
            named = parameter().key("id").value(reference).should_encode(True)
            request = request.template_param(named)
        if body is not None:
            request = request.header_param(
                parameter().key("Content-Type").value("application/json")
            )
            request = request.body_param(parameter().value(body.encode()))
        handler = cast(Any, ResponseHandler)().is_api_response(True)
        builder = cast(Any, self).new_api_call_builder
        return (
            builder.request(request.auth(cast(Any, Single)("Oauth2"))).response(handler).execute()
        )


def _client(credentials: PayPalCredentials, timeout: float, base_url: str | None) -> Any:
    """The SDK's client; its own retries are off, which is their default (max_retries 0)."""
    pair = cast(Any, ClientCredentialsAuthCredentials)(
        o_auth_client_id=credentials.client_id, o_auth_client_secret=credentials.client_secret
    )
    config = _Elsewhere(
        base_url,
        timeout=timeout,
        max_retries=0,
        environment=Environment.PRODUCTION if credentials.live else Environment.SANDBOX,
        client_credentials_auth_credentials=pair,
    )
    return cast(Any, PaypalServersdkClient)(config=config)
