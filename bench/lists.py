"""Which lists are asked for with which filters, taken from the service's own tables."""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from urllib.parse import quote

from bench.laying import FIRST_ORDER
from refundry.app import documented_operations
from refundry.http.query import Filter, Kind
from refundry.settings import Settings

# Values of laid orders, by filter; what is not here is asked with a value that no row has.
_SAMPLES = {
    "orderId": str(FIRST_ORDER + 7),
    "skuId": "sku-tee",
    "email": "ana.lind@example.com",
    "currency": "USD",
    "type": "refund.*",
    "types": "refund.created,order.complete",
    "ids": ",".join(str(FIRST_ORDER + n) for n in range(50)),
    "amount": "5.00",
    "refundedAmount": "5.00",
    "totalAmount": "702200",
}
_NONE = "no-such-value"


def list_requests() -> Iterator[tuple[str, str]]:
    """A name and a path with its query, for every filter of every list, and each list alone."""
    for operation in documented_operations(Settings()):
        # A list below another object is read by that object's index.
        if not operation.paged or "{" in operation.path:
            continue
        name = operation.path.rpartition("/")[2]
        yield name, operation.path
        for each in operation.filters:
            for label, query in _queries(each):
                yield f"{name}?{label}", f"{operation.path}?{query}"


def _queries(each: Filter) -> Iterator[tuple[str, str]]:
    for label, query in _asked(each):
        yield f"{each.name}{label}", f"{each.name}{query}"


def _asked(each: Filter) -> Sequence[tuple[str, str]]:
    if each.kind is Kind.TIME:
        return [
            ("[gte]:recent", f"[gte]={_ago(timedelta(hours=1))}"),
            ("[lt]:any", f"[lt]={_ago(-timedelta(days=1))}"),
            ("[lt]:old", f"[lt]={_ago(timedelta(days=1090))}"),
        ]
    if each.values:
        return [(f"={value}", f"={quote(value)}") for value in each.values]
    sample = _SAMPLES.get(each.name)
    if each.kind is Kind.NUMBER:
        return [(":frequent", f"={sample or 1}"), (":none", "[gt]=99999999")]
    asked = [(":none", f"={_NONE}")]
    if sample is not None:
        asked.append((":frequent", f"={quote(sample)}"))
    return asked


def _ago(span: timedelta) -> str:
    return quote((datetime.now(UTC) - span).strftime("%Y-%m-%dT%H:%M:%SZ"))
