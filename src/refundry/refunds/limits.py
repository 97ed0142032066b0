"""Limits above which a refund needs somebody else's approval, and what was spent under them."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from enum import StrEnum

from refundry.access.audit_log import Actor, Change, audit, key_actor
from refundry.access.rights import Role
from refundry.access.users import User
from refundry.db.database import Session, Tx
from refundry.domain.money import Currency, to_major
from refundry.domain.refund import Refund
from refundry.tenant import ApiKey, Tenant

KEYS = "key"
LIMITED = (Role.CUSTOMER_SERVICE.value, Role.ADMINISTRATOR.value, KEYS)
"""Who may have limits: the roles that make refunds, and API keys that are so marked."""


@dataclass(frozen=True, slots=True)
class Requester:
    """Who asks for a refund, and whose limits apply. role: one of `LIMITED`."""

    actor: Actor
    role: str


@dataclass(frozen=True, slots=True)
class Limit:
    """What needs no approval, in minor units; None: any amount. per_day: of one requester."""

    role: str
    currency: str
    per_refund: int | None
    per_day: int | None


class Rule(StrEnum):
    """Why a refund needs an approval."""

    PER_REFUND = "per_refund"
    PER_DAY = "per_day"
    NO_LIMIT = "no_limit"


@dataclass(frozen=True, slots=True)
class Excess:
    """A refund above a limit, and by which rule. limit, spent: minor units.

    limit: None where the currency has none. spent: what the requester refunded that day.
    """

    rule: Rule
    currency: Currency
    limit: int | None = None
    spent: int = 0

    @property
    def words(self) -> str:
        """Why it waits, for people."""
        match self.rule:
            case Rule.NO_LIMIT:
                return f"Every refund in {self.currency.code} needs somebody else's approval here."
            case Rule.PER_REFUND:
                return f"It is above the limit of {self._amount(self.limit)} per refund."
            case Rule.PER_DAY:
                spent = f"; {self._amount(self.spent)} were refunded today" if self.spent else ""
                return f"It goes above the limit of {self._amount(self.limit)} per day{spent}."

    def _amount(self, minor: int | None) -> str:
        return f"{to_major(minor or 0, self.currency):f} {self.currency.code}"


class OverLimit(Exception):
    """The refund needs an approval; what was written with it is undone."""

    def __init__(self, refund: Refund) -> None:
        super().__init__(refund.amount)
        self.refund = refund


def user_requester(user: User) -> Requester:
    """Somebody who is signed in as one who asks for a refund."""
    return Requester(user.actor, user.role.value)


def key_requester(key: ApiKey) -> Requester | None:
    """An API key as one who asks; None if limits do not apply to it."""
    return Requester(key_actor(key), KEYS) if key.needs_approval else None


def excess(
    limits: Sequence[Limit], requester: Requester, refund: Refund, spent: int = 0
) -> Excess | None:
    """Why a refund needs an approval; None if it needs none.

    spent: minor units that the requester refunded that day, in the refund's currency. Who has
    limits in one currency may refund nothing in others without an approval: a limit that a
    currency escapes is none.
    """
    currency = refund.currency
    limit = _limit_of(limits, requester, currency)
    if limit is None and not any(each.role == requester.role for each in limits):
        return None
    if limit is None:
        return Excess(Rule.NO_LIMIT, currency)
    if limit.per_refund is not None and refund.amount > limit.per_refund:
        return Excess(Rule.PER_REFUND, currency, limit.per_refund)
    if limit.per_day is not None and spent + refund.amount > limit.per_day:
        return Excess(Rule.PER_DAY, currency, limit.per_day, spent)
    return None


async def spend(tx: Tx, tenant: Tenant, requester: Requester, refund: Refund) -> None:
    """Count a refund against the limits of who asks, in its transaction. Raises OverLimit."""
    limits = await find_limits(tx, tenant)
    if excess(limits, requester, refund):
        raise OverLimit(refund)
    limit = _limit_of(limits, requester, refund.currency)
    if limit is None or limit.per_day is None:
        return
    if not await _take(tx, tenant, requester, refund, limit.per_day):
        raise OverLimit(refund)


def _limit_of(
    limits: Sequence[Limit], requester: Requester, currency: Currency
) -> Limit | None:  # fmt: skip
    wanted = (requester.role, currency.code)
    return next((each for each in limits if (each.role, each.currency) == wanted), None)


async def foresee(
    session: Session, tenant: Tenant, requester: Requester | None, refund: Refund
) -> Excess | None:
    """Why a refund would wait for an approval if it were asked for now; counts nothing."""
    if requester is None or not (limits := await find_limits(session, tenant)):
        return None
    spent = await session.fetchval(
        """
        SELECT spent_minor FROM approval_spending
         WHERE account_id = $1 AND live = $2 AND requester_id = $3 AND currency = $4 AND day = $5
        """,
        tenant.account_id, tenant.live, requester.actor.id, refund.currency.code, _day(refund),
    )  # fmt: skip
    return excess(limits, requester, refund, spent or 0)


async def _take(
    tx: Tx, tenant: Tenant, requester: Requester, refund: Refund, per_day: int
) -> bool:  # fmt: skip
    """Add a refund to its day; False if that is too much. The row orders who asks at once."""
    row = await tx.fetchrow(
        """
        INSERT INTO approval_spending AS s (account_id, live, requester_id, currency, day,
                                            spent_minor)
        VALUES ($1, $2, $3, $4, $5, $6)
        ON CONFLICT (account_id, live, requester_id, currency, day) DO UPDATE
           SET spent_minor = s.spent_minor + excluded.spent_minor
         WHERE s.spent_minor + excluded.spent_minor <= $7
        RETURNING 1
        """,
        tenant.account_id, tenant.live, requester.actor.id, refund.currency.code, _day(refund),
        refund.amount, per_day,
    )  # fmt: skip
    return row is not None


def _day(refund: Refund) -> date:
    return refund.created_at.astimezone(UTC).date()


async def find_limits(session: Session, tenant: Tenant) -> list[Limit]:
    """The limits of an account and mode."""
    rows = await session.fetch(
        """
        SELECT role, currency, per_refund_minor, per_day_minor FROM approval_limits
         WHERE account_id = $1 AND live = $2 ORDER BY role, currency
        """,
        tenant.account_id, tenant.live,
    )  # fmt: skip
    return [
        Limit(row["role"], row["currency"], row["per_refund_minor"], row["per_day_minor"])
        for row in rows
    ]


async def set_limits(
    tx: Tx, tenant: Tenant, limits: Sequence[Limit], actor: Actor, real_now: datetime
) -> None:
    """Put limits in place of those before, and note who did."""
    before = await find_limits(tx, tenant)
    await tx.execute(
        "DELETE FROM approval_limits WHERE account_id = $1 AND live = $2",
        tenant.account_id, tenant.live,
    )  # fmt: skip
    await tx.execute(
        """
        INSERT INTO approval_limits (account_id, live, role, currency, per_refund_minor,
                                     per_day_minor)
        SELECT $1, $2, role, currency, per_refund, per_day
          FROM unnest($3::text[], $4::text[], $5::bigint[], (SELECT $6::bigint[]))
               AS n (role, currency, per_refund, per_day)
        """,
        tenant.account_id, tenant.live, [each.role for each in limits],
        [each.currency for each in limits], [each.per_refund for each in limits],
        [each.per_day for each in limits],
    )  # fmt: skip
    change = Change("approval.limits", "approval_limits", "limits", _shown(before), _shown(limits),
                    tenant.live)  # fmt: skip
    await audit(tx, tenant.account_id, actor, change, real_now)


def _shown(limits: Sequence[Limit]) -> dict[str, object]:
    return {
        f"{each.role} {each.currency}": {"perRefund": each.per_refund, "perDay": each.per_day}
        for each in limits
    }
