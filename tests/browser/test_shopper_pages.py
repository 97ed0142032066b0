"""The pages for shoppers, and the form in a shop's page: usable by all, in both themes.

The status page of each state, the form empty and wrongly filled in, and what stands in its place.
"""

from itertools import count

import pytest
from playwright.sync_api import Frame

from refundry.languages.language import LANGUAGES
from tests.browser.conftest import Open, Scheme, Shop
from tests.support.browser import Tab, barriers_in
from tests.support.fixtures import advance, given_captured, refund, settled_refund
from tests.support.http import Api, Doc
from tests.support.service import Account, Service
from tests.system.test_refund_status import link_of

PHONE = 390
IBAN = "DE89370400440532013000"
# Look-ups are limited for each address; a proxy nearby names another one for each tab.
_addresses = count(1)
EVERYWHERE = pytest.mark.parametrize(
    ("language", "scheme"),
    [
        pytest.param(language, scheme, id=f"{language}-{scheme}",
                     marks=[] if (language, scheme) in {("en", "light"), ("ja", "dark")}
                     else [pytest.mark.check])
        for language in LANGUAGES
        for scheme in ("light", "dark")
    ],
)  # fmt: skip


@pytest.fixture(scope="module")
def shown(service: Service) -> Account:
    """An account with a refund in every state; what the tests see of it they leave as it is."""
    return service.open_account()


@pytest.fixture
def account(shown: Account) -> Account:
    return shown


@pytest.fixture(scope="module")
def states(service: Service, shown: Account) -> dict[str, Doc]:
    """A refund of each state, by its name; `expired` has a token that is dead."""
    api: Api = service.api(shown.secret_test)
    expired = settled_refund(api, given_captured(api, "Q"), percent=100)
    advance(api, 31 * 86_400)
    names = {"failed": "R", "pending_information": "Q", "succeeded": "G"}
    made = {
        state: settled_refund(api, given_captured(api, name), percent=100)
        for state, name in names.items()
    }
    assert {state: each["state"] for state, each in made.items()} == {name: name for name in names}
    return made | {"pending": refund(api, given_captured(api, "A"), percent=50), "expired": expired}


@pytest.fixture
def waiting(api: Api, states: dict[str, Doc]) -> Doc:
    """A refund with a token of its own, as the uses of each are limited."""
    assert states
    return settled_refund(api, given_captured(api, "Q"), percent=100)


def token_of(refund: Doc) -> str:
    return refund["tokenInformation"]["token"]


def form_of(refund: Doc) -> str:
    return f"/offline-refund/{token_of(refund)}"


def come(open_tab: Open, scheme: Scheme) -> Tab:
    """Somebody who is not signed in, on a phone."""
    tab = open_tab(None, scheme=scheme, width=PHONE)
    tab.page.set_extra_http_headers({"X-Forwarded-For": f"198.51.100.{next(_addresses)}"})
    return tab


def faults(tab: Tab, path: str, status: int = 200) -> list[str]:
    """What is wrong with a page as it stands, or as it comes."""
    found = [] if tab.go(path) == status else [f"not {status}"]
    return [f"{path}: {each}" for each in [*found, *as_it_stands(tab)]]


def as_it_stands(tab: Tab) -> list[str]:
    return tab.barriers() + ([f"wider by {tab.overflow()}"] if tab.overflow() > 0 else [])


@EVERYWHERE
def test_nothing_bars_anybody_from_how_a_refund_stands(
    open_tab: Open, service: Service, shown: Account, states: dict[str, Doc], language: str,
    scheme: Scheme,
) -> None:  # fmt: skip
    tab = come(open_tab, scheme)
    wrong: list[str] = []
    for each in states.values():
        wrong += faults(tab, f"{link_of(service, shown, each)}?lang={language}")
        assert tab.page.locator("html").get_attribute("lang") == language
        assert tab.has("state")
    wrong += faults(tab, f"/refund-status/nobody?lang={language}", 404)
    assert wrong == []


@EVERYWHERE
def test_nothing_bars_anybody_from_the_form_for_bank_details(
    open_tab: Open, states: dict[str, Doc], waiting: Doc, language: str, scheme: Scheme
) -> None:
    tab = come(open_tab, scheme)
    path = form_of(waiting)
    wrong = faults(tab, f"{path}?lang={language}")
    wrong += faults(tab, f"{path}?lang={language}&country=JP")
    tab.go(f"{path}?lang={language}")
    send_nonsense(tab.page.main_frame)
    tab.find("error-iban").wait_for()
    wrong += as_it_stands(tab)
    wrong += faults(tab, f"{form_of(states['expired'])}?lang={language}", 410)
    assert wrong == []


def send_nonsense(form: Frame) -> None:
    """Past what the browser checks itself."""
    form.locator("#accountHolderName").fill("Max Muster")
    form.locator("#iban").fill(IBAN[:-1] + "1")
    form.locator("#submit").click()


@EVERYWHERE
def test_nothing_bars_anybody_from_the_form_in_a_shops_page(
    shop: Shop, states: dict[str, Doc], waiting: Doc, language: str, scheme: Scheme
) -> None:
    page = shop(token_of(waiting), locale=language, scheme=scheme, style="{}")
    page.wait_for_function("told.length >= 1")
    form = page.frames[1]
    assert form.locator("html").get_attribute("lang") == language
    wrong = barriers_in(page) + barriers_in(form)
    send_nonsense(form)
    page.frame_locator("#place iframe").locator("#e-iban").wait_for()
    wrong += barriers_in(page.frames[1])
    page = shop(token_of(states["expired"]), locale=language, scheme=scheme, style="{}")
    page.wait_for_function("told.length >= 1")
    wrong += barriers_in(page.frames[1])
    assert wrong == []
    titles = page.locator("iframe").evaluate_all("frames => frames.map((each) => each.title)")
    assert all(titles)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_nothing_bars_anybody_from_being_done(
    open_tab: Open, service: Service, scheme: Scheme
) -> None:
    api = service.api(service.open_account().secret_test)
    tab = come(open_tab, scheme)
    tab.go(form_of(settled_refund(api, given_captured(api, "Q"), percent=100)))
    form = tab.page.main_frame
    form.locator("#accountHolderName").fill("Max Muster")
    form.locator("#iban").fill(IBAN)
    form.locator("#submit").click()
    tab.find("success").wait_for()
    assert as_it_stands(tab) == []
