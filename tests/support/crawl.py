"""Finds the pages of the dashboard as people do: by following the links of other pages."""

from collections import deque
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from starlette.routing import compile_path

from refundry.portal.pages import Page
from refundry.portal.routes import BASE, PAGES
from tests.support.portal import Visitor

# More than the tests' accounts have of anything; lists of events and calls may be longer.
OF_A_KIND = 16
_PATTERNS = [(compile_path(BASE + page.path)[0], page) for page in PAGES if page.method == "GET"]


def route_of(path: str) -> Page:
    """The page that answers a path; the first one that matches, as in the service."""
    return next(page for pattern, page in _PATTERNS if pattern.match(path))


@dataclass(slots=True)
class Found:
    """What links led to. pages: paths by the route that answers them. dead: what does not."""

    pages: dict[str, list[str]] = field(default_factory=dict[str, list[str]])
    dead: list[str] = field(default_factory=list[str])


def find_pages(visitor: Visitor, start: str) -> Found:
    """Every page that links lead to from `start`, some of each kind."""
    found = Found()
    seen, waiting = {start}, deque([start])
    while waiting:
        path = waiting.popleft()
        of_a_kind = found.pages.setdefault(route_of(path).path, [])
        if len(of_a_kind) == OF_A_KIND:
            continue
        screen = visitor.get(path)
        (of_a_kind if screen.status == 200 else found.dead).append(path)
        if not screen.response.headers["content-type"].startswith("text/html"):
            continue
        links = {urlsplit(str(link["href"])).path for link in screen.soup.select("a[href]")}
        for link in sorted(links - seen):
            if link.startswith(BASE):
                seen.add(link)
                waiting.append(link)
    return found
