"""An endpoint for any WSGI server or framework: mount it at the path of the webhook."""

from collections.abc import Callable, Iterable, Mapping
from http import HTTPStatus
from typing import Any

from refundry_sync.receiving.reception import (
    CUT_SHORT,
    LARGEST_BODY_BYTES,
    NO_LENGTH,
    ONLY_POST,
    TOO_LARGE,
    Receive,
    Reception,
    headers_of,
)

Environ = Mapping[str, Any]
StartResponse = Callable[[str, list[tuple[str, str]]], object]
Endpoint = Callable[[Environ, StartResponse], Iterable[bytes]]


def endpoint(receive: Receive) -> Endpoint:
    """A WSGI application that gives each POST to `receive`."""

    def application(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        reception = _reception(receive, environ)
        status = f"{reception.status} {_phrase(reception.status)}"
        start_response(status, [(name.title(), value) for name, value in headers_of(reception)])
        return [reception.body]

    return application


def _reception(receive: Receive, environ: Environ) -> Reception:
    if environ["REQUEST_METHOD"] != "POST":
        return ONLY_POST
    body = _body(environ)
    return body if isinstance(body, Reception) else receive(_headers(environ), body)


def _body(environ: Environ) -> bytes | Reception:
    """The body, or why there is none. Where the server does not end it, its length is needed."""
    length = str(environ.get("CONTENT_LENGTH") or "")
    stream = environ["wsgi.input"]
    if not length and environ.get("wsgi.input_terminated"):
        found: bytes = stream.read(LARGEST_BODY_BYTES + 1)
        return TOO_LARGE if len(found) > LARGEST_BODY_BYTES else found
    if not (length.isascii() and length.isdigit()):
        return NO_LENGTH
    if len(length) > 9 or int(length) > LARGEST_BODY_BYTES:
        return TOO_LARGE
    found = stream.read(int(length))
    return found if len(found) == int(length) else CUT_SHORT


def _headers(environ: Environ) -> dict[str, str]:
    """By lower-case name, as HTTP has them."""
    found = {
        name[len("HTTP_") :].replace("_", "-").lower(): str(value)
        for name, value in environ.items()
        if name.startswith("HTTP_")
    }
    if environ.get("CONTENT_TYPE"):
        found["content-type"] = str(environ["CONTENT_TYPE"])
    return found


def _phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "Status"
