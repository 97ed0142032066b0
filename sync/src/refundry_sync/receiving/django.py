"""An endpoint for Django: a view for the path of the webhook."""

from collections.abc import Callable, Mapping
from typing import Any, Protocol, cast

from django.http import HttpResponse  # pyright: ignore[reportMissingTypeStubs]
from django.views.decorators.csrf import csrf_exempt  # pyright: ignore

from refundry_sync.receiving.reception import (
    CUT_SHORT,
    LARGEST_BODY_BYTES,
    ONLY_POST,
    TOO_LARGE,
    Receive,
    Reception,
    headers_of,
)


class Request(Protocol):
    """What is used of django.http.HttpRequest."""

    method: str
    headers: Mapping[str, str]

    def read(self, size: int) -> bytes: ...


def endpoint(receive: Receive) -> Callable[[Request], Any]:
    """A view that gives each POST to `receive`; without CSRF checks: it has its signature."""

    def view(request: Request) -> Any:
        reception = _reception(receive, request)
        return HttpResponse(
            reception.body, status=reception.status, headers=dict(headers_of(reception))
        )

    return cast("Callable[[Request], Any]", csrf_exempt(view))


def _reception(receive: Receive, request: Request) -> Reception:
    if request.method != "POST":
        return ONLY_POST
    # Not `request.body`, whose limit is a setting of the shop for its own forms.
    try:
        body = request.read(LARGEST_BODY_BYTES + 1)
    except OSError:
        return CUT_SHORT
    if len(body) > LARGEST_BODY_BYTES:
        return TOO_LARGE
    headers = {name.lower(): value for name, value in request.headers.items()}
    if headers.get("content-length", str(len(body))) != str(len(body)):
        return CUT_SHORT
    return receive(headers, body)
