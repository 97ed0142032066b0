"""What schemathesis is told on top of the document; it loads this module by SCHEMATHESIS_HOOKS."""

import copy
import os
import random
import re
from collections.abc import Callable
from typing import Any, cast

import requests
import schemathesis
from requests.auth import AuthBase
from schemathesis.specs.openapi import stateful

from tests.support.fixtures import FIXTURES
from tests.support.service import sign

SECRET = "REFUNDRY_FUZZ_SANDBOX_SECRET"
_NOTIFICATIONS = "/refundry/v1/processor-notifications"
# Where chains begin. schemathesis takes operations whose bodies name no object that no operation
# makes: it would begin everywhere but at orders, which name customers and checkouts.
_BEGINNINGS = {("post", "/orders"), ("post", "/webhooks"), ("get", "/orders"), ("get", "/events")}
_KEY = re.compile(r"[ -~]{1,255}")
Json = dict[str, Any]
_hook = cast("Callable[[Callable[..., None]], object]", schemathesis.hook)  # pyright: ignore[reportUnknownMemberType]


def _begins(operation: Any, _node: object, _produced: object) -> bool:
    return (operation.method, operation.path) in _BEGINNINGS


stateful.is_likely_root_transition = _begins


@_hook
def before_load_schema(context: Any, raw_schema: Json) -> None:
    """Let each link with a body also send that body as it stands: nothing made up around it."""
    for methods in raw_schema["paths"].values():
        for operation in methods.values():
            for answer in operation["responses"].values():
                links: Json = answer.get("links", {})
                links |= {
                    f"{name}Exactly": link | {"x-schemathesis": {"merge_body": False}}
                    for name, link in links.items()
                    if "requestBody" in link
                }


@_hook
def before_call(context: Any, case: Any, kwargs: Json) -> None:
    """Change some of the requests that would all be refused for one and the same reason."""
    chance = _chance_of(case)
    place = case.operation.method, case.operation.path
    if place == ("post", "/orders") and _is_meant_well(case) and chance.random() < 0.75:
        case.body = _order(chance)
    kwargs["auth"] = LastChanges(
        secret=os.environ[SECRET] if chance.random() < 0.75 else "another",
        keeps_key=chance.random() < 0.1,
    )


class LastChanges(AuthBase):
    """Changes the request that is sent, and not the case that it was made from.

    A notification is signed as the sandbox's processor would, or as somebody else. An idempotency
    key goes: it is mostly the same short text with another body, a conflict before it is looked at.
    """

    def __init__(self, secret: str, keeps_key: bool) -> None:
        self._secret = secret
        self._keeps_key = keeps_key

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        headers = request.headers
        if "Refundry-Signature" in headers and _NOTIFICATIONS in str(request.url):
            headers["Refundry-Signature"] = sign(_text(request.body), self._secret)
        if _KEY.fullmatch(_text(headers.get("Idempotency-Key"))) and not self._keeps_key:
            del headers["Idempotency-Key"]
        return request


def _text(sent: object) -> str:
    return sent.decode("utf-8", "replace") if isinstance(sent, bytes) else str(sent or "")


def _chance_of(case: Any) -> random.Random:
    """Chance that follows from the request, so that it replays."""
    said = [str(case.method), str(case.path_parameters), str(case.query), str(case.body)]
    return random.Random("\n".join(said))


def _is_meant_well(case: Any) -> bool:
    meta = case.meta
    if meta is None or meta.phase.name.value not in ("fuzzing", "stateful"):
        return False
    return not meta.generation.mode.is_negative


def _order(chance: random.Random) -> Json:
    """An order that is taken in: made-up amounts seldom add up."""
    body = copy.deepcopy(FIXTURES[chance.choice(sorted(FIXTURES))])
    body["upstreamId"] = f"WEB-{chance.randrange(10**9)}"
    if chance.random() < 0.6:
        body["state"] = chance.choice(["fulfilled", "complete"])
    for source in body["payment"]["sources"]:
        if "creditCard" in source:  # The document has the cards' numbers without spaces.
            source["creditCard"]["number"] = source["creditCard"]["number"].replace(" ", "")
    return body
