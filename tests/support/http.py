"""The tests' HTTP client: one key on one service, exact numbers, exact errors."""

import json
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

import httpx

# A JSON object. Its shape is what the tests are about, so it is not typed further.
Doc = dict[str, Any]


class Api:
    """Calls one service with one key (none: without `Authorization`)."""

    def __init__(self, client: httpx.Client, key: str | None) -> None:
        self._client = client
        self.key = key

    def request(
        self,
        method: str,
        path: str,
        body: object = None,
        *,
        content: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> httpx.Response:
        """`body` is sent as JSON; `content` as it is, its media type only from `headers`."""
        own = {} if self.key is None else {"Authorization": f"Bearer {self.key}"}
        return self._client.request(
            method, path, json=body, content=content, headers={**own, **(headers or {})}
        )

    def get(self, path: str, headers: Mapping[str, str] | None = None) -> httpx.Response:
        return self.request("GET", path, headers=headers)

    def post(
        self, path: str, body: object, headers: Mapping[str, str] | None = None
    ) -> httpx.Response:
        return self.request("POST", path, body, headers=headers)

    def put(self, path: str, body: object) -> httpx.Response:
        return self.request("PUT", path, body)

    def patch(self, path: str, body: object) -> httpx.Response:
        return self.request("PATCH", path, body)

    def delete(self, path: str) -> httpx.Response:
        return self.request("DELETE", path)


def money(text: str) -> Decimal:
    return Decimal(text)


def read(response: httpx.Response) -> Any:
    """The body, its numbers exact: a fraction as Decimal, a whole number as int."""
    return json.loads(response.text, parse_float=Decimal, parse_int=int)


def expect(response: httpx.Response, status: int = 200) -> Doc:
    """The body of an answer that must have `status`."""
    assert response.status_code == status, f"{response.status_code} {response.text}"
    return read(response)


def error(code: str | None, parameter: str | None, message: str) -> Doc:
    """One element of `errors`; None: the key is absent."""
    known = {"code": code, "parameter": parameter, "message": message}
    return {key: value for key, value in known.items() if value is not None}


def assert_error(
    response: httpx.Response,
    status: int,
    type: str,
    code: str | None,
    parameter: str | None,
    message: str,
) -> None:
    """One error, and nothing else in the body. unittest.mock.ANY stands for "not stated"."""
    wanted = {"type": type, "errors": [error(code, parameter, message)]}
    assert (response.status_code, read(response)) == (status, wanted)


def assert_bad(response: httpx.Response, code: str, parameter: str | None, message: str) -> None:
    assert_error(response, 400, "bad_request", code, parameter, message)


def assert_conflict(
    response: httpx.Response, code: str, parameter: str | None, message: str
) -> None:
    assert_error(response, 409, "conflict", code, parameter, message)


def assert_missing(response: httpx.Response, parameter: str) -> None:
    assert_bad(response, "missing_parameter", parameter, "A parameter is missing.")


def assert_unknown(response: httpx.Response, parameter: str) -> None:
    message = f"'{parameter}' is an unknown parameter."
    assert_bad(response, "unknown_parameter", parameter, message)


def assert_invalid(response: httpx.Response, parameter: str, value: str) -> None:
    """value: as the message shows it."""
    message = f"'{value}' is not a valid {parameter}."
    assert_bad(response, "invalid_parameter", parameter, message)


def assert_invalid_format(response: httpx.Response) -> None:
    assert_bad(response, "invalid_format", None, "The format of your request is invalid.")


def assert_forbidden(response: httpx.Response) -> None:
    message = "The API key is not permitted to perform this operation."
    assert_error(response, 403, "forbidden", "forbidden", None, message)


def assert_charge_refused(response: httpx.Response) -> None:
    assert_conflict(response, "failed-request", None, "Failed to charge source.")


def assert_not_available(response: httpx.Response) -> None:
    """AVAIL of acceptance.md."""
    message = "The requested refund amount is greater than the available amount."
    assert_bad(response, "invalid_parameter", "amountRequested", message)


def assert_full_tax_only(response: httpx.Response) -> None:
    """FULLTAX of acceptance.md."""
    message = "Only full tax refunds are supported."
    assert_bad(response, "invalid_parameter", "percentRequested", message)
