"""Settings: above which amounts a refund needs an approval, and which API keys it applies to."""

from refundry.access.audit_log import Change, audit
from refundry.access.rights import Right
from refundry.access.store import mark_keys, standing_keys
from refundry.db.database import Tx
from refundry.domain.money import Currency, find_currency, parse_numeral, to_minor
from refundry.errors import required
from refundry.http.answer import Answer
from refundry.portal.forms import Form, Wrong
from refundry.portal.pages import Page, Visit
from refundry.portal.rendering import plain_amount
from refundry.refunds.limits import LIMITED, Limit, find_limits, set_limits

_BLANK_ROWS = 3
_MOST_ROWS = 200
_ROLES = {
    "customer_service": "Customer service",
    "administrator": "Administrators",
    "key": "API keys",
}


async def show_rule(visit: Visit, *, error: str = "") -> Answer:
    """The limits and the keys; after an error, as they were typed."""
    limits = await find_limits(visit.database, visit.tenant)
    rows = _typed(visit.form) if error else [_row(each) for each in limits]
    return visit.show(
        "approval_rule.html",
        status=400 if error else 200,
        error=error,
        rows=[*rows, *[("", "", "", "")] * _BLANK_ROWS],
        roles=_ROLES,
        keys=await standing_keys(visit.database, visit.tenant, visit.real_now),
        on=bool(limits),
    )


def _row(limit: Limit) -> tuple[str, str, str, str]:
    currency = required(find_currency(limit.currency))
    amounts = [
        "" if minor is None else plain_amount(minor, currency)
        for minor in (limit.per_refund, limit.per_day)
    ]
    return limit.role, limit.currency, amounts[0], amounts[1]


def _typed(form: Form) -> list[tuple[str, str, str, str]]:
    """The rows of the form that hold anything."""
    names = [number for number, _ in form.numbered("currency-")][:_MOST_ROWS]
    rows = [
        (
            form.text(f"role-{n}"), form.text(f"currency-{n}").upper(),
            form.text(f"refund-{n}"), form.text(f"day-{n}"),
        )
        for n in names
    ]  # fmt: skip
    return [row for row in rows if row[1] or row[2] or row[3]]


def _read(rows: list[tuple[str, str, str, str]]) -> list[Limit]:
    """The limits that were typed. Raises Wrong."""
    limits: dict[tuple[str, str], Limit] = {}
    for role, code, per_refund, per_day in rows:
        currency = find_currency(code)
        if role not in LIMITED:
            raise Wrong("Choose whom a limit is for.")
        if currency is None:
            raise Wrong(f"'{code[:10]}' is no currency.")
        if not per_refund and not per_day:
            raise Wrong("A limit needs an amount, per refund or per day. Empty the row to drop it.")
        if (role, currency.code) in limits:
            raise Wrong(f"{_ROLES[role]} have two limits in {currency.code}.")
        limits[role, currency.code] = Limit(
            role, currency.code, _minor(per_refund, currency), _minor(per_day, currency)
        )
    return list(limits.values())


def _minor(text: str, currency: Currency) -> int | None:
    if not text:
        return None
    number = parse_numeral(text)
    minor = to_minor(number, currency) if number is not None else None
    if minor is None or minor < 0:
        raise Wrong(f"'{text[:40]}' is not an amount in {currency.code}.")
    return minor


async def post_rule(visit: Visit) -> Answer:
    """Put the limits and the marks in place of those before."""
    try:
        limits = _read(_typed(visit.form))
    except Wrong as wrong:
        return await show_rule(visit, error=str(wrong))
    known = {key.id for key in await standing_keys(visit.database, visit.tenant, visit.real_now)}
    marked = sorted(known & set(visit.form.all("key")))

    async def work(tx: Tx) -> None:
        await set_limits(tx, visit.tenant, limits, visit.user.actor, visit.real_now)
        await mark_keys(tx, visit.tenant, marked)
        change = Change("approval.keys", "approval_limits", "keys", None, {"marked": marked},
                        visit.tenant.live)  # fmt: skip
        await audit(tx, visit.user.account_id, visit.user.actor, change, visit.real_now)

    await visit.database.run(work)
    return visit.go("/dashboard/approval-rule", done="saved")


PAGES = (
    Page("GET", "/approval-rule", show_rule, Right.SET_LIMITS),
    Page("POST", "/approval-rule", post_rule, Right.SET_LIMITS),
)
