"""An adapter for Refundry's `http` processor: ADAPTER_SECRET=... python http_adapter.py 8090"""

import base64, hashlib, hmac, json, os, sys, time
from datetime import UTC, datetime
from typing import Any
from wsgiref.simple_server import make_server


def pay(asked: dict[str, Any]) -> dict[str, Any]:
    """Your processor's call stands here; it gets the operationId as its idempotency key."""
    return {"state": "complete", "reference": f"paid-{asked['operationId']}"}


class Adapter:
    def __init__(self, secret: str, pay: Any) -> None:
        self.secret, self.pay = secret.encode(), pay
        self.refunds: list[dict[str, Any]] = []  # These two are tables of yours,
        self.done: dict[str, dict[str, Any]] = {}  # which outlive a crash.

    def sign(self, body: bytes, seconds: int) -> str:
        digest = hmac.digest(self.secret, f"{seconds}.".encode() + body, hashlib.sha256)
        return f"{seconds}, {base64.b64encode(digest).decode()}"

    def is_genuine(self, header: str, body: bytes) -> bool:
        seconds = header.partition(", ")[0]
        if not seconds.isdigit() or abs(time.time() - int(seconds)) > 300:
            return False
        return hmac.compare_digest(self.sign(body, int(seconds)).encode(), header.encode())

    def answer(self, path: str, header: str, body: bytes) -> tuple[int, dict[str, Any]]:
        if not self.is_genuine(header, body):
            return 401, {"message": "the signature is not ours"}
        asked = json.loads(body)
        match path.rpartition("/")[2]:
            case "check":
                return 200, {"state": "complete"}
            case "lookup":
                return 200, self.done.get(asked["operationId"], {"state": "not_found"})
            case "list":
                since, at = datetime.fromisoformat(asked["since"]), datetime.fromisoformat
                return 200, {"refunds": [x for x in self.refunds if at(x["createdTime"]) >= since]}
            case _:
                return 200, self.done.get(asked["operationId"]) or self.operate(asked)

    def operate(self, asked: dict[str, Any]) -> dict[str, Any]:
        """Does what was never asked for before, and keeps its answer for good."""
        paid = {name: asked[name] for name in ("operationId", "amount", "currency")}
        paid |= {"payment": asked["processorReference"], **self.pay(asked)}
        paid["createdTime"] = datetime.now(UTC).isoformat()
        self.done[asked["operationId"]] = paid
        self.refunds += [paid] if asked["kind"] == "refund" and paid["state"] != "failed" else []
        return paid

    def __call__(self, environ: dict[str, Any], start_response: Any) -> list[bytes]:
        body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
        header = environ.get("HTTP_REFUNDRY_SIGNATURE", "")
        status, answer = self.answer(environ["PATH_INFO"], header, body)
        start_response(f"{status} Answered", [("Content-Type", "application/json")])
        return [json.dumps(answer).encode()]


if __name__ == "__main__":
    adapter = Adapter(os.environ["ADAPTER_SECRET"], pay)
    make_server("127.0.0.1", int(sys.argv[1]), adapter).serve_forever()
