"""What Prometheus is told. Counters count what this deployment did since its start."""

from functools import lru_cache

from prometheus_client import REGISTRY as _OWN
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector

from refundry.domain.money import to_major
from refundry.domain.refund import Refund

REQUESTS = Counter("refundry_requests", "Requests answered.", ["method", "route", "status"])
REQUEST_SECONDS = Histogram(
    "refundry_request_duration_seconds",
    "Time to answer a request.",
    ["route"],
    buckets=(0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1, 5),
)
SHED = Counter("refundry_requests_shed", "Requests refused unread, as too much was in hand.")
REFUNDS = Counter("refundry_refunds", "Refunds that entered a state.", ["mode", "state"])
REFUND_AMOUNT = Counter(
    "refundry_refund_amount",
    "Major units of refunds that entered a state: asked for, or paid out in succeeded.",
    ["mode", "state", "currency"],
)
ATTEMPTS = Counter(
    "refundry_processor_attempts", "Calls to a processor.", ["connector", "kind", "outcome"]
)
CHECKS = Counter(
    "refundry_processor_checks", "Operations looked up at a processor.", ["connector", "outcome"]
)
WORKER_LAG = Histogram(
    "refundry_worker_lag_seconds",
    "How long a due operation waited for a worker.",
    buckets=(0.01, 0.05, 0.1, 0.5, 1, 5, 30, 300),
)
OLDEST_DUE = Gauge(
    "refundry_oldest_due_seconds",
    "How long the oldest due refund or operation has been waiting.",
    multiprocess_mode="mostrecent",
)
NEEDS_ATTENTION = Gauge(
    "refundry_refunds_needing_attention",
    "Refunds whose outcome no processor has told for a day.",
    multiprocess_mode="mostrecent",
)

DELIVERIES = Counter("refundry_deliveries", "Attempts to deliver an event.", ["outcome"])
_DELIVERIES = {
    outcome: DELIVERIES.labels(outcome) for outcome in ("succeeded", "failed", "exhausted")
}
DELIVERY_SECONDS = Histogram(
    "refundry_delivery_duration_seconds",
    "Time that an attempt to deliver an event took.",
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2, 3, 4),
)
DELIVERY_LAG = Histogram(
    "refundry_delivery_lag_seconds",
    "Time from an event to the first attempt to deliver it.",
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 1, 5, 30, 300),
)
OLDEST_DELIVERY = Gauge(
    "refundry_oldest_delivery_seconds",
    "How long the delivery that waits the longest has been due.",
    multiprocess_mode="mostrecent",
)

APPROVALS_WAITING = Gauge(
    "refundry_approvals_waiting",
    "Refunds in live mode that wait for somebody's approval.",
    multiprocess_mode="mostrecent",
)

API_LOG_WRITTEN = Counter("refundry_api_log_written", "Calls written to the API log.")
API_LOG_DROPPED = Counter(
    "refundry_api_log_dropped", "Calls that the API log has lost: too many waited to be written."
)
API_LOG_WAITING = Gauge(
    "refundry_api_log_waiting",
    "Calls that wait to be written to the API log.",
    multiprocess_mode="livesum",
)


def observe_request(method: str, route: str, status: int, seconds: float) -> None:
    """Count an answered request."""
    _counter(method, route, status).inc()
    _histogram(route).observe(seconds)


# The library looks its labels up under a lock, which takes longer than to count. Methods are as
# sent, so their number has no end.
@lru_cache(maxsize=1024)
def _counter(method: str, route: str, status: int) -> Counter:
    return REQUESTS.labels(method, route, str(status))


@lru_cache(maxsize=1024)
def _histogram(route: str) -> Histogram:
    return REQUEST_SECONDS.labels(route)


def observe_refund(refund: Refund, *, live: bool) -> None:
    """Count a refund's entry into its present state."""
    mode = "live" if live else "test"
    REFUNDS.labels(mode, refund.state.value).inc()
    minor = refund.refunded or refund.amount
    # The client library counts in floats; these figures are for charts, never for books.
    amount = to_major(minor, refund.currency)
    REFUND_AMOUNT.labels(mode, refund.state.value, refund.currency.code).inc(float(amount))


def observe_delivery(outcome: str, seconds: float) -> None:
    """Count an attempt: succeeded, failed (to be tried again) or exhausted."""
    _DELIVERIES[outcome].inc()
    DELIVERY_SECONDS.observe(seconds)


def observe_delivery_lag(seconds: float) -> None:
    """Count how long an event waited for its first attempt."""
    DELIVERY_LAG.observe(max(0.0, seconds))


def render(*, several_processes: bool) -> bytes:
    """The metrics of every process of this `serve`, in Prometheus' text format."""
    if not several_processes:
        return generate_latest(_OWN)
    registry = CollectorRegistry()
    MultiProcessCollector(registry)
    return generate_latest(registry)
