"""A payment processor for the tests, a process of its own, that keeps its own books.

Speaks the `http` adapter's protocol. An operation id is its idempotency key: it pays the first time
and gives the same answer again without paying. `POST /control {"mode", "kinds"?}` sets how it
answers, `GET /ledger` says what it paid. Start: python -m tests.support.processor --port N ...
"""

import argparse
import base64
import hashlib
import hmac
import json
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

KINDS = ("capture", "cancel", "refund")
MODES = ("complete", "fail", "pending", "hang_before", "hang_after", "error500")
# What the ledger keeps of an operation that was paid.
ENTERED = ("operationId", "kind", "chargeId", "amount", "currency")
TOLERANCE_SECONDS = 300
# How long a call that is never answered keeps its connection: far over the tests' time-out.
HANG_SECONDS = 5.0

Doc = dict[str, Any]
COMPLETE: Doc = {"state": "complete"}
PENDING: Doc = {"state": "pending"}
FAILED: Doc = {
    "state": "failed",
    "code": "do_not_honor",
    "message": "Declined by the test processor",
    "failureReason": "declined",
}


class Books:
    """What was paid, and the answer each operation got; the file outlives the process."""

    def __init__(self, ledger: Path) -> None:
        self._ledger = ledger
        self._lock = threading.Lock()
        self._modes = dict.fromkeys(KINDS, "complete")
        self._answers: dict[str, Doc] = {}
        self._paid: dict[str, Doc] = {}
        self._calls = 0
        if ledger.exists():
            for line in ledger.read_text().splitlines():
                self._enter(json.loads(line))

    def set_mode(self, mode: str, kinds: list[str]) -> None:
        assert mode in MODES
        assert set(kinds) <= set(KINDS)
        with self._lock:
            self._modes |= dict.fromkeys(kinds, mode)

    def decide(self, operation: Doc) -> tuple[int, Doc] | None:
        """The status and answer to a call; None: it is never answered."""
        with self._lock:
            self._calls += 1
            mode = self._modes[operation["kind"]]
            if mode == "error500":
                return 500, {"error": "out of order"}
            if mode == "hang_before":
                return None
            answer = self._answer(operation, mode)
            return None if mode == "hang_after" else (202 if answer is PENDING else 200, answer)

    def report(self) -> Doc:
        with self._lock:
            return {"paid": dict(self._paid), "calls": self._calls}

    def _answer(self, operation: Doc, mode: str) -> Doc:
        known = self._answers.get(operation["operationId"])
        if known is not None:
            return known
        if mode == "pending":
            return PENDING
        if mode == "fail":
            self._answers[operation["operationId"]] = FAILED
            return FAILED
        entry = {key: operation[key] for key in ENTERED}
        with self._ledger.open("a") as file:
            file.write(json.dumps(entry) + "\n")
        self._enter(entry)
        return COMPLETE

    def _enter(self, entry: Doc) -> None:
        """Count a payment; `times` is over 1 only if it was made twice."""
        operation_id = entry["operationId"]
        times = self._paid.get(operation_id, {"times": 0})["times"] + 1
        told = {key: entry[key] for key in ENTERED if key != "operationId"}
        self._paid[operation_id] = {**told, "times": times}
        self._answers[operation_id] = COMPLETE


class Handler(BaseHTTPRequestHandler):
    """One request; `books` and `secret` are set before the server starts."""

    protocol_version = "HTTP/1.1"
    books: Books
    secret: str

    def do_GET(self) -> None:
        known = self.path == "/ledger"
        self._reply(200 if known else 404, self.books.report() if known else {"error": "unknown"})

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
        if self.path == "/control":
            asked = json.loads(body)
            self.books.set_mode(asked["mode"], asked.get("kinds", list(KINDS)))
            self._reply(200, {"ok": True})
        elif not signed(self.headers.get("Refundry-Signature", ""), body, self.secret):
            self._reply(401, {"error": "bad signature"})
        else:
            self._operate(json.loads(body))

    def _operate(self, operation: Doc) -> None:
        wrong = mistake(operation)
        if wrong is not None:
            self._reply(400, {"error": wrong})
            return
        decision = self.books.decide(operation)
        if decision is not None:
            self._reply(*decision)
            return
        time.sleep(HANG_SECONDS)
        self.close_connection = True

    def _reply(self, status: int, answer: Doc) -> None:
        text = json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)


class Server(ThreadingHTTPServer):
    """Takes many callers at once; the default lets a sixth one wait for a second."""

    request_queue_size = 128
    daemon_threads = True


def signed(header: str, body: bytes, secret: str) -> bool:
    """Is `<unix seconds>, <base64 HMAC-SHA256 of "<ts>.<body>">` right, and fresh?"""
    stamp, _, given = header.partition(", ")
    if not stamp.isdigit() or abs(time.time() - int(stamp)) > TOLERANCE_SECONDS:
        return False
    digest = hmac.new(secret.encode(), f"{stamp}.".encode() + body, hashlib.sha256).digest()
    return hmac.compare_digest(base64.b64encode(digest), given.encode())


def mistake(operation: Doc) -> str | None:
    """What the call leaves out or gets wrong."""
    for field in ("operationId", "chargeId", "currency"):
        if not isinstance(operation.get(field), str):
            return f"{field} must be a string"
    if operation.get("kind") not in KINDS:
        return "kind is unknown"
    amount = operation.get("amount")
    if isinstance(amount, bool) or not isinstance(amount, (int, float)) or amount <= 0:
        return "amount must be a number above zero"
    return None


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--secret", required=True)
    parser.add_argument("--ledger", type=Path, required=True)
    options = parser.parse_args()
    Handler.books = Books(options.ledger)
    Handler.secret = options.secret
    Server(("127.0.0.1", options.port), Handler).serve_forever()


if __name__ == "__main__":
    main()
