"""Keeps a shop in step with its refunds; `Synchroniser` is where to begin."""

from refundry_sync.receiving.reception import Reception
from refundry_sync.sync.calling import Notification, PaidBack
from refundry_sync.sync.databases import Place, connections_of, memory, place_at
from refundry_sync.sync.drifting import EventToReplay, OrderDrift
from refundry_sync.sync.finding import FoundRefund
from refundry_sync.sync.reconciling import Difference
from refundry_sync.sync.records import DeadLetter, RequestProblem
from refundry_sync.sync.requesting import RequestOutcome
from refundry_sync.sync.settings import Settings
from refundry_sync.sync.store import Store
from refundry_sync.sync.synchroniser import Synchroniser
from refundry_sync.sync.views import ChargeRefundView, OrderRefundView, RefundView, ReturnView

__all__ = [
    "ChargeRefundView",
    "DeadLetter",
    "Difference",
    "EventToReplay",
    "FoundRefund",
    "Notification",
    "OrderDrift",
    "OrderRefundView",
    "PaidBack",
    "Place",
    "Reception",
    "RefundView",
    "RequestOutcome",
    "RequestProblem",
    "ReturnView",
    "Settings",
    "Store",
    "Synchroniser",
    "connections_of",
    "memory",
    "place_at",
]
