"""Every page of the dashboard, and the files that pages need."""

from starlette.types import ASGIApp

from refundry.errors import NotFound
from refundry.http.answer import Answer
from refundry.http.call import Services
from refundry.portal import (
    api_keys,
    api_logs,
    approval_rule,
    approvals,
    audit,
    bulk,
    capture_retry,
    dispute_actions,
    disputes,
    events,
    fulfilment,
    home,
    new_refund,
    new_return,
    orders,
    permission_sets,
    processors,
    reconciliation,
    refund_details,
    refunds,
    return_acceptance,
    returns,
    sign_in,
    transactions,
    users,
    webhook_form,
    webhooks,
)
from refundry.portal.pages import Page, PageResource, Visit
from refundry.portal.rendering import HEADERS, asset, asset_address

BASE = "/dashboard"
_FILES = ("style.css", "portal.js", "icon.svg")


async def get_file(visit: Visit) -> Answer:
    """A file of the pages; its address changes with its content."""
    if visit.address not in {asset_address(name) for name in _FILES}:
        raise NotFound("File", visit.path["name"])
    body, kind = asset(visit.path["name"])
    headers = dict(HEADERS) | {"Cache-Control": "public, max-age=31536000, immutable"}
    return Answer(200, body, headers, kind)


async def no_page(visit: Visit) -> Answer:
    """What leads nowhere."""
    raise NotFound("Page", visit.address[:200])


PAGES: tuple[Page, ...] = (
    Page("GET", "/static/{digest}/{name}", get_file, open=True),
    *sign_in.PAGES,
    *home.PAGES,
    *new_refund.PAGES,
    *orders.PAGES,
    *refunds.PAGES,
    *refund_details.PAGES,
    *new_return.PAGES,
    *returns.PAGES,
    *return_acceptance.PAGES,
    *fulfilment.PAGES,
    *capture_retry.PAGES,
    *disputes.PAGES,
    *dispute_actions.PAGES,
    *transactions.PAGES,
    *reconciliation.PAGES,
    *api_keys.PAGES,
    *webhook_form.PAGES,
    *webhooks.PAGES,
    *processors.PAGES,
    *events.PAGES,
    *api_logs.PAGES,
    *users.PAGES,
    *permission_sets.PAGES,
    *audit.PAGES,
    *bulk.PAGES,
    *approvals.PAGES,
    *approval_rule.PAGES,
    # The last one: it matches everything.
    Page("GET", "/{rest:path}", no_page),
)


def portal_resources(services: Services) -> dict[str, ASGIApp]:
    """The pages by their whole path, in the order in which they are matched."""
    by_path: dict[str, list[Page]] = {}
    for each in PAGES:
        by_path.setdefault(BASE + each.path, []).append(each)
    return {path: PageResource(services, pages) for path, pages in by_path.items()}
