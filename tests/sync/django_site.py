"""A site of Django's with one endpoint: python -m tests.sync.django_site --port N --arrivals F"""

# Django has no types.
# pyright: reportMissingTypeStubs=false, reportUnknownMemberType=false

import argparse
from pathlib import Path
from typing import Any, cast
from wsgiref.simple_server import WSGIRequestHandler, make_server
from wsgiref.types import WSGIApplication

import django
from django.conf import settings
from django.core.wsgi import get_wsgi_application
from django.http import HttpResponse
from django.urls import path

from refundry_sync.receiving import django as receiving
from tests.sync.arrivals import recorder

urlpatterns: list[Any] = []


class Quiet(WSGIRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:
        """Says nothing."""


def healthz(_request: object) -> HttpResponse:
    return HttpResponse(b"ok")


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int)
    parser.add_argument("--arrivals", type=Path)
    asked = parser.parse_args()
    # The strictest that a shop has: CSRF checks, and forms below the size of a webhook.
    settings.configure(
        ROOT_URLCONF=__name__,
        ALLOWED_HOSTS=["127.0.0.1"],
        MIDDLEWARE=["django.middleware.csrf.CsrfViewMiddleware"],
        DATA_UPLOAD_MAX_MEMORY_SIZE=10,
        SECRET_KEY="of a test",
    )
    django.setup()
    urlpatterns.append(path("webhooks/digitalriver", receiving.endpoint(recorder(asked.arrivals))))
    urlpatterns.append(path("healthz", healthz))
    application = cast("WSGIApplication", get_wsgi_application())
    with make_server("127.0.0.1", asked.port, application, handler_class=Quiet) as server:
        server.serve_forever()


if __name__ == "__main__":
    main()
