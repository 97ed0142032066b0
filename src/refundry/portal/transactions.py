"""Sales transactions: the list with its filters, one with its parts, and all as a file."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any

import msgspec

from refundry.access.rights import Right
from refundry.db.listing import Condition
from refundry.disputes.store import find_sales_transactions
from refundry.domain.money import find_currency
from refundry.errors import NotFound, required
from refundry.http.answer import Answer
from refundry.http.fields import parse_timestamp
from refundry.portal.csv_export import Cell, Export, stream_csv
from refundry.portal.lists import active_filters, day_conditions, file_address, page_of
from refundry.portal.pages import Page, Streamed, Visit
from refundry.portal.rendering import words

TYPES = {"fraud_chargeback": "Fraud chargeback", "non_fraud_chargeback": "Chargeback without fraud"}
"""The types that Refundry makes."""


class Payout(msgspec.Struct, rename="camel"):
    """The parts of an amount, in major units."""

    product_price: Decimal
    tax: Decimal
    shipping: Decimal
    landed_cost: Decimal
    regulatory_fees: Decimal
    payout_amount: Decimal


class Transaction(msgspec.Struct, rename="camel"):
    """A sales transaction as it was stored. amount: major units, negative for what was taken."""

    id: str
    created_time: str
    type: str
    currency: str
    amount: Decimal
    order_id: str
    quantity: int
    line_item_id: str
    payment_type: str
    payout_amounts: Payout
    payer_name: Any
    payee_name: str
    order_upstream_id: str | None = None
    sku_id: str | None = None
    sku_tax_code: Any = None
    ship_from_country: Any = None
    ship_to_country: Any = None
    bill_to_country: Any = None

    def money(self, value: Decimal) -> str:
        """An amount with the digits of the currency: `-27.01`."""
        return f"{value:.{required(find_currency(self.currency)).exponent}f}"

    @property
    def created_at(self) -> datetime:
        """When it was made."""
        return required(parse_timestamp(self.created_time))

    @property
    def label(self) -> str:
        """The type in words."""
        return TYPES.get(self.type, words(self.type))


_decoder = msgspec.json.Decoder(Transaction)


def transaction_rows(texts: Iterable[str]) -> list[Transaction]:
    """The transactions of their JSON texts."""
    return [_decoder.decode(text) for text in texts]


def _conditions(visit: Visit) -> list[Condition]:
    """What narrows the list and the file alike. Raises Wrong."""
    conditions = day_conditions(visit, "t.created_at")
    if (kind := visit.query.one("type")) in TYPES:
        conditions.append(Condition("t.type = {}::text", kind))
    if order_id := (visit.query.one("order") or "").strip():
        conditions.append(Condition("t.order_id = {}::text", order_id))
    return conditions


async def _find(visit: Visit, ids: Sequence[str]) -> list[Transaction]:
    return transaction_rows(await find_sales_transactions(visit.database, visit.tenant, ids))


async def list_transactions(visit: Visit) -> Answer:
    """The sales transactions, newest first."""
    ids, pages = await page_of(visit, "sales_transactions", _conditions(visit))
    return visit.show(
        "transactions.html",
        transactions=await _find(visit, ids),
        pages=pages,
        types=TYPES,
        type=visit.query.one("type") or "",
        order=(visit.query.one("order") or "").strip(),
        first=visit.query.one("from") or "",
        last=visit.query.one("to") or "",
        active=active_filters(visit, "type", "order", "from", "to"),
        export=file_address(visit, "/dashboard/transactions.csv"),
    )


async def show_transaction(visit: Visit) -> Answer:
    """One sales transaction."""
    found = await _find(visit, [visit.path["id"]])
    if not found:
        raise NotFound("Sales transaction", visit.path["id"])
    dispute_id = await visit.database.fetchval(
        """
        SELECT dispute_id FROM sales_transactions WHERE account_id = $1 AND live = $2 AND id = $3
        """,
        visit.tenant.account_id, visit.tenant.live, visit.path["id"],
    )  # fmt: skip
    return visit.show("transaction.html", each=found[0], dispute_id=dispute_id)


_HEAD = (
    "ID", "Created", "Type", "Order ID", "Upstream ID", "Line item ID", "SKU ID", "Quantity",
    "Currency", "Amount", "Product price", "Tax", "Shipping", "Landed cost", "Regulatory fees",
    "Payment type", "Payer", "Payee", "Ship to country", "Bill to country",
)  # fmt: skip


async def export_transactions(visit: Visit) -> Streamed:
    """Every sales transaction of the filtered list as a file."""

    async def rows(ids: list[str]) -> list[list[Cell]]:
        return [_cells(each) for each in await _find(visit, ids)]

    export = Export("sales-transactions", _HEAD, rows)
    conditions = _conditions(visit)
    return stream_csv(visit.database, visit.tenant, "sales_transactions", conditions, export)


def _cells(each: Transaction) -> list[Cell]:
    parts = each.payout_amounts
    money = (each.amount, parts.product_price, parts.tax, parts.shipping, parts.landed_cost,
             parts.regulatory_fees)  # fmt: skip
    return [
        each.id, each.created_time, each.type, each.order_id, each.order_upstream_id,
        each.line_item_id, each.sku_id, each.quantity, each.currency,
        *(Decimal(each.money(value)) for value in money),
        each.payment_type, _text(each.payer_name), each.payee_name, _text(each.ship_to_country),
        _text(each.bill_to_country),
    ]  # fmt: skip


def _text(value: Any) -> str | None:
    """What was passed through, if it is a text."""
    return value if isinstance(value, str) else None


PAGES = (
    Page("GET", "/transactions", list_transactions, Right.TRANSACTIONS),
    Page("GET", "/transactions.csv", export_transactions, Right.TRANSACTIONS),
    Page("GET", "/transactions/{id}", show_transaction, Right.TRANSACTIONS),
)
