"""A real OAuth token server, and endpoints that only its newest token opens."""

import json
from dataclasses import dataclass, field
from urllib.parse import parse_qsl

from tests.support.answers import OK, status
from tests.support.receiver import Answer, Arrival, Endpoint, Line, Receiver

FORM = "application/x-www-form-urlencoded"


@dataclass(slots=True)
class Tokens:
    """Gives tokens t1, t2, ... for the credentials that a webhook's `oauth` has.

    user, password: None: the client_credentials grant alone is served. expires_in: None: not said.
    requests: the forms of all token requests, refused ones included.
    """

    receiver: Receiver
    user: str | None = None
    password: str | None = None
    expires_in: int | None = 3600
    client_id: str = "client-7"
    client_secret: str = "s3cret & more"
    requests: list[dict[str, str]] = field(default_factory=list[dict[str, str]])
    newest: str = ""
    endpoint: Endpoint = field(init=False)

    def __post_init__(self) -> None:
        self.endpoint = self.receiver.endpoint(self._answer)

    def revoke(self) -> None:
        """Make the newest token worthless."""
        self.newest = ""

    def oauth(self) -> dict[str, str]:
        """`oauth` of a webhook that is to use this server."""
        person = {"userName": self.user, "password": self.password}
        return {
            "tokenEndPoint": self.endpoint.url,
            "clientID": self.client_id,
            "clientSecret": self.client_secret,
            **{name: text for name, text in person.items() if text is not None},
        }

    def guard(self, then: Answer = OK) -> Answer:
        """`then` to those with the newest token, 401 to others."""

        async def answer(arrival: Arrival, line: Line) -> bool:
            known = self.newest and arrival.headers.get("authorization") == f"Bearer {self.newest}"
            return await (then if known else status(401))(arrival, line)

        return answer

    async def _answer(self, arrival: Arrival, line: Line) -> bool:
        media = arrival.headers.get("content-type", "").partition(";")[0]
        form = dict(parse_qsl(arrival.body.decode(), keep_blank_values=True))
        self.requests.append(form)
        if media != FORM or form != self._wanted():
            return await status(400, b'{"error": "invalid_grant"}')(arrival, line)
        self.newest = f"t{len(self.requests)}"
        said = {"access_token": self.newest, "token_type": "Bearer"}
        if self.expires_in is not None:
            said = {**said, "expires_in": self.expires_in}
        headers = {"Content-Type": "application/json"}
        return await status(200, json.dumps(said).encode(), headers)(arrival, line)

    def _wanted(self) -> dict[str, str]:
        client = {"client_id": self.client_id, "client_secret": self.client_secret}
        if self.user is None or self.password is None:
            return {"grant_type": "client_credentials", **client}
        person = {"username": self.user, "password": self.password}
        return {"grant_type": "password", **client, **person}
