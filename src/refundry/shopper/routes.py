"""Every page for shoppers, and the files that pages of merchants load."""

from starlette.types import ASGIApp

from refundry.http.answer import Answer
from refundry.http.call import Services
from refundry.languages.language import message
from refundry.shopper import bank_details, status
from refundry.shopper.lookups import Lookups
from refundry.shopper.pages import Page, PageResource, Visit
from refundry.shopper.rendering import asset, asset_address

_FILES = ("shopper.css", "frame.js")
_NOTHING = message("There is nothing here.")
# The script's address does not change with its content, so a new one is seen within the hour.
_ELEMENT_HEADERS = {
    "Access-Control-Allow-Origin": "*",
    "Cross-Origin-Resource-Policy": "cross-origin",
    "Cache-Control": "public, max-age=3600",
    "X-Content-Type-Options": "nosniff",
}


async def get_file(visit: Visit) -> Answer:
    """A file of the pages; its address changes with its content."""
    wanted = f"/shopper/{visit.path['digest']}/{visit.path['name']}"
    if wanted not in {asset_address(name) for name in _FILES}:
        return visit.tell(_NOTHING, status=404)
    body, kind = asset(visit.path["name"])
    headers = {
        "Cache-Control": "public, max-age=31536000, immutable",
        "X-Content-Type-Options": "nosniff",
    }
    return Answer(200, body, headers, kind)


async def get_element_script(_visit: Visit) -> Answer:
    """The script with which a merchant's page shows the form."""
    body, kind = asset("DigitalRiver.js")
    return Answer(200, body, dict(_ELEMENT_HEADERS), kind)


PAGES: tuple[Page, ...] = (
    Page("GET", "/shopper/{digest}/{name}", get_file, counted=False),
    Page("GET", "/v1/DigitalRiver.js", get_element_script, counted=False),
    *bank_details.PAGES,
    *status.PAGES,
)


def shopper_resources(services: Services) -> dict[str, ASGIApp]:
    """The pages by their path."""
    lookups = Lookups(services.clock)
    by_path: dict[str, list[Page]] = {}
    for each in PAGES:
        by_path.setdefault(each.path, []).append(each)
    return {path: PageResource(services, lookups, pages) for path, pages in by_path.items()}
