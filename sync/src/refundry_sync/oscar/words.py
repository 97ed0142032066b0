"""What is said of refunds: to staff with the reason, to customers without."""

from django.utils.translation import gettext_lazy as _

STATES = {
    "pending": _("Pending"),
    "pending_information": _("Waiting for bank details"),
    "succeeded": _("Succeeded"),
    "failed": _("Failed"),
    "expired": _("Expired"),
    "refused": _("Refused"),
    "sending": _("Being sent"),
    "unknown": _("No answer yet"),
}
# What Bootstrap paints a state with.
COLOURS = {
    "pending": "info",
    "pending_information": "warning",
    "succeeded": "success",
    "failed": "danger",
    "expired": "danger",
    "refused": "danger",
}
STATUS_COLOURS = {
    "pending": "info",
    "pending_information": "warning",
    "refund_failed": "danger",
    "partially_refunded": "success",
    "refunded": "success",
    "partially_charged_back": "danger",
    "charged_back": "danger",
}
STATUSES = {
    "none": _("No refunds"),
    "pending": _("Refund pending"),
    "pending_information": _("Refund waits for bank details"),
    "refund_failed": _("Refund failed"),
    "partially_refunded": _("Partially refunded"),
    "refunded": _("Refunded"),
    "partially_charged_back": _("Partially charged back"),
    "charged_back": _("Charged back"),
}
# A chargeback is the bank's business with the shop; the customer reads of money only.
CUSTOMER_STATUSES = STATUSES | {
    "refund_failed": _("Your refund could not be paid out. Please contact us."),
    "pending": _("Your refund is being processed"),
    "pending_information": _("We need your bank details for your refund"),
    "partially_charged_back": _("Partially refunded by your bank"),
    "charged_back": _("Refunded by your bank"),
}
REASONS = {
    "expired_or_canceled_card": _("The card has expired or was cancelled."),
    "lost_or_stolen_card": _("The card is reported as lost or stolen."),
    "account_closed": _("The account has been closed."),
    "account_frozen": _("The account is frozen."),
    "insufficient_funds": _("The account that pays refunds has too little money."),
    "declined": _("The payment provider declined it."),
    "invalid_bank_details": _("The bank does not accept the account details."),
    "information_not_provided": _("No bank details were given in time."),
    "partially_refunded": _("A part could not be paid out."),
    "unknown": _("The payment provider gave no reason."),
}
TYPES = {
    "": _("Complete order"),
    "items": _("Line items"),
    "shipping": _("Shipping"),
    "duty": _("Importer duty"),
    "importer_tax": _("Importer tax"),
    "fees": _("Fees"),
    "tax": _("Tax"),
}


def reason(code: str | None) -> str:
    """A failure reason in words; one that is not known here stays as it is."""
    return str(REASONS.get(code, code)) if code else ""
