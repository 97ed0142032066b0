"""Webhooks that arrived at an endpoint, in a file, as the endpoint may be in another process."""

import base64
import json
from collections.abc import Mapping
from pathlib import Path

from refundry_sync.receiving import Receive, Reception


def recorder(file: Path) -> Receive:
    """Writes down what arrives; a body of `fail` makes it raise."""

    def receive(headers: Mapping[str, str], body: bytes) -> Reception:
        if body == b"fail":
            raise RuntimeError("the database is gone")
        entry = {"headers": dict(headers), "body": base64.b64encode(body).decode()}
        with file.open("a") as output:
            output.write(json.dumps(entry) + "\n")
        return Reception(202, b'{"taken":true}') if body else Reception(200)

    return receive


def recorded(file: Path) -> list[tuple[dict[str, str], bytes]]:
    """Headers and body of all, in the order of their arrival."""
    lines = file.read_text().splitlines() if file.exists() else []
    entries = [json.loads(line) for line in lines]
    return [(entry["headers"], base64.b64decode(entry["body"])) for entry in entries]
