from datetime import timedelta

import pytest

from refundry.domain.charge import Failure, OperationKind
from refundry.processors.contract import (
    Declined,
    InProgress,
    NeedsInformation,
    Outcome,
    Settled,
    Submission,
)
from refundry.processors.manual import ManualConnector
from refundry.processors.sandbox import (
    CARDS,
    WAITING_CHARGES,
    SandboxConnector,
    Trigger,
    decide,
    find_card,
    owner_trigger,
)
from refundry.tenant import Tenant
from tests.unit.given import NOW, currency

DELAY = timedelta(seconds=60)
DETAILS = {"iban": "DE02"}
SETTLED = Settled()
FOR_EVER = InProgress()
RECEIVERS = ("wireTransfer", "konbini", "onlineBanking", "bPay", "bankTransfer", "codJapan")


def declined(reason: str) -> Declined:
    return Declined(Failure("failed-request", "Failed to operate on charge", reason))


def submission(
    kind: str,
    *,
    trigger: str | None = None,
    source_type: str = "creditCard",
    after: timedelta = timedelta(),
    details: dict[str, str] | None = None,
) -> Submission:
    """An operation as it is asked for `after` its first attempt."""
    return Submission(
        key="op1",
        tenant=Tenant("a1", live=False),
        kind=OperationKind(kind),
        charge_id="c1",
        amount=1351,
        currency=currency(),
        processor_reference=None,
        source_type=source_type,
        trigger=trigger,
        first_attempt_at=NOW,
        now=NOW + after,
        attempt=1,
        bank_details=details,
    )


# What each trigger changes: everything that is not listed settles at once.
CASES: dict[str, dict[str, tuple[Outcome, Outcome]]] = {
    "source_fails": {},
    "charge_waits": {"authorize": (FOR_EVER, FOR_EVER)},
    "charge_fails_late": {"authorize": (InProgress(DELAY), declined("declined"))},
    "capture_fails": {"capture": (declined("declined"), declined("declined"))},
    "capture_fails_late": {"capture": (InProgress(DELAY), declined("declined"))},
    "capture_waits": {"capture": (FOR_EVER, FOR_EVER)},
    "cancel_fails": {"cancel": (declined("declined"), declined("declined"))},
    "refund_card_expired": {
        "refund": (declined("expired_or_canceled_card"), declined("expired_or_canceled_card"))
    },
    "refund_frozen_late": {"refund": (InProgress(DELAY), declined("account_frozen"))},
    "refund_declined": {"refund": (declined("declined"), declined("declined"))},
    "refund_closed_late": {"refund": (InProgress(DELAY), declined("account_closed"))},
    "refund_closed_after_details": {},
}


def test_every_trigger_has_a_case() -> None:
    assert set(CASES) == {trigger.value for trigger in Trigger}


@pytest.mark.parametrize("kind", ["authorize", "capture", "cancel", "refund"])
@pytest.mark.parametrize("trigger", [None, *CASES])
def test_a_trigger_changes_its_kind_of_operation_and_no_other(
    trigger: str | None, kind: str
) -> None:
    first, last = CASES.get(trigger or "", {}).get(kind, (SETTLED, SETTLED))
    assert decide(submission(kind, trigger=trigger), DELAY) == first
    assert decide(submission(kind, trigger=trigger, after=DELAY), DELAY) == last


def test_what_fails_late_says_how_long_to_wait() -> None:
    after = timedelta(seconds=59)
    outcome = decide(submission("refund", trigger="refund_frozen_late", after=after), DELAY)
    assert outcome == InProgress(timedelta(seconds=1))


@pytest.mark.parametrize("source_type", RECEIVERS)
def test_receivers_need_bank_details_for_refunds_alone(source_type: str) -> None:
    def ask(kind: str, details: dict[str, str] | None = None, trigger: str = "") -> Outcome:
        asked = submission(kind, trigger=trigger, source_type=source_type, details=details)
        return decide(asked, DELAY)

    assert ask("refund") == NeedsInformation()
    assert ask("refund", DETAILS) == SETTLED
    assert ask("refund", trigger="refund_declined") == declined("declined")
    assert ask("refund", trigger="refund_closed_after_details") == NeedsInformation()
    assert ask("refund", DETAILS, "refund_closed_after_details") == declined("account_closed")
    assert ask("capture") == SETTLED


@pytest.mark.parametrize(
    ("number", "brand", "trigger"),
    [
        ("4444 2222 3333 1111", "Visa", None),
        ("5466 1600 0000 0008", "Mastercard", None),
        ("3434 567890 12341", "American Express", None),
        ("3034 567890 1235", "Diners Club", None),
        ("6011 9876 9876 9876", "Discover", None),
        ("3528 9876 9876 9879", "JCB", None),
        ("6226 2200 0000 0009", "UnionPay", None),
        ("5454 5454 5454 5454", "Mastercard", None),
        ("4917 6100 0000 0000", "Visa", None),
        ("4000 0000 0000 3295", "Visa", "source_fails"),
        ("4000 0000 0000 3600", "Visa", "source_fails"),
        ("4000 0000 0000 4103", "Visa", "capture_fails"),
        ("4000 0000 0000 4111", "Visa", "refund_card_expired"),
        ("4000 0000 0000 4442", "Visa", "cancel_fails"),
        ("4485 9517 8852 1565", "Visa", "capture_fails_late"),
        ("4556 6025 6424 0839", "Visa", "refund_frozen_late"),
        ("4024 0071 2057 9635", "Visa", "capture_waits"),
        ("4000 0000 0000 0028", "Visa", "capture_waits"),
    ],
)
def test_cards_do_what_the_contract_says(number: str, brand: str, trigger: str | None) -> None:
    card = find_card(number)
    assert card is not None
    assert (card.brand, card.trigger) == (brand, trigger)
    assert find_card(number.replace(" ", "")) == card


def test_other_cards_are_not_known() -> None:
    assert len(CARDS) == 18
    assert find_card("4111 1111 1111 1111") is None
    assert find_card("") is None


@pytest.mark.parametrize(
    ("source_types", "last_name", "trigger"),
    [
        ("googlePay payPal payPalBilling payPalCredit directDebit klarnaCredit customerCredit",
         "RefundFail", "refund_declined"),
        ("googlePay", "CaptureFail", "capture_fails"),
        ("googlePay", "CancelFail", "cancel_fails"),
        ("googlePay directDebit", "SourceFail", "source_fails"),
        ("googlePay directDebit", "ChargeFail", "source_fails"),
        ("googlePay", "SCATestFail", "source_fails"),
        ("payPal payPalBilling payPalCredit klarnaCredit", "SourceCreationFail", "source_fails"),
        ("payPal payPalBilling payPalCredit klarnaCredit", "ChargeCreationFail", "source_fails"),
        ("directDebit", "SourceFailAfterRedirect", "source_fails"),
        ("directDebit", "RefundFailedAfterPending", "refund_closed_late"),
        ("directDebit", "ChargeRemainPending", "charge_waits"),
        ("directDebit", "ChargeFailedAfterPending", "charge_fails_late"),
        ("alipay alipayCn", "refundFail", "refund_declined"),
        ("alipay alipayCn", "authFail", "source_fails"),
        ("alipay alipayCn", "authFailAfterRedirect", "source_fails"),
        (" ".join(RECEIVERS), "RefundFailWhileCreation", "refund_declined"),
        (" ".join(RECEIVERS), "RefundFailAfterPaymentInfo", "refund_closed_after_details"),
        (" ".join(RECEIVERS), "SourceCreationFail", "source_fails"),
        (" ".join(RECEIVERS), "SourceFailWithDelay", "source_fails"),
    ],
)  # fmt: skip
def test_last_names_do_what_the_contract_says(
    source_types: str, last_name: str, trigger: str
) -> None:
    found = {owner_trigger(each, last_name) for each in source_types.split()}
    assert found == {trigger}


@pytest.mark.parametrize(
    ("source_type", "last_name"),
    [
        ("creditCard", "RefundFail"),
        ("googlePay", "refundFail"),
        ("googlePay", "SCATest"),
        ("alipay", "RefundFail"),
        ("wireTransfer", "RefundFail"),
        ("customerCredit", "CaptureFail"),
        ("googlePay", None),
        ("googlePay", ""),
    ],
)
def test_every_other_combination_succeeds(source_type: str, last_name: str | None) -> None:
    assert owner_trigger(source_type, last_name) is None


def test_only_direct_debits_can_wait_for_their_authorisation() -> None:
    assert {"charge_waits", "charge_fails_late"} == WAITING_CHARGES


async def test_the_connector_decides_with_its_delay() -> None:
    asked = submission("refund", trigger="refund_frozen_late")
    assert await SandboxConnector(timedelta(seconds=5)).submit(asked) == InProgress(
        timedelta(seconds=5)
    )


async def test_by_hand_everything_waits_and_receivers_are_asked_first() -> None:
    connector = ManualConnector()
    for kind in ("authorize", "capture", "cancel", "refund"):
        assert await connector.submit(submission(kind)) == FOR_EVER
    receiver = submission("refund", source_type="konbini")
    assert await connector.submit(receiver) == NeedsInformation()
    told = submission("refund", source_type="konbini", details=DETAILS)
    assert await connector.submit(told) == FOR_EVER
