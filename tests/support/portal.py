"""Visits the dashboard as a browser without a script does: cookies, forms, redirects."""

from collections.abc import Mapping

import httpx
from bs4 import BeautifulSoup, Tag

from tests.support.service import PASSWORD, Service


class Screen:
    """A page as it was answered."""

    def __init__(self, response: httpx.Response) -> None:
        self.response = response
        self.status = response.status_code
        self.path = response.url.path
        self.soup = BeautifulSoup(response.text, "html.parser")

    def has(self, testid: str) -> bool:
        return self.soup.select_one(f"[data-testid='{testid}']") is not None

    def find(self, testid: str) -> Tag:
        """The element with a test id, which must be there."""
        found = self.soup.select_one(f"[data-testid='{testid}']")
        assert found is not None, f"no {testid} in {self.path}: {self.text[:2000]}"
        return found

    def read(self, testid: str) -> str:
        """The text of an element."""
        return " ".join(self.find(testid).get_text(" ").split())

    @property
    def error(self) -> str:
        return self.read("error")

    @property
    def text(self) -> str:
        return " ".join(self.soup.get_text(" ").split())

    def rows(self, testid: str) -> list[list[str]]:
        """The body of a table, cell by cell."""
        body = self.find(testid).find("tbody")
        assert isinstance(body, Tag)
        return [
            [" ".join(cell.get_text(" ").split()) for cell in row.find_all(["td", "th"])]
            for row in body.find_all("tr", recursive=False)
        ]

    def fields(self, selector: str = "main form") -> dict[str, str]:
        """What the form would send as it stands."""
        form = self.soup.select_one(selector)
        assert form is not None, f"no form in {self.path}"
        found: dict[str, str] = {}
        for each in form.find_all("input"):
            kind, name = each.get("type", "text"), each.get("name")
            if name and (kind not in ("radio", "checkbox") or each.has_attr("checked")):
                found[str(name)] = str(each.get("value") or "")
        for each in form.find_all("select"):
            chosen = each.find("option", selected=True) or each.find("option")
            if each.get("name") and isinstance(chosen, Tag):
                found[str(each["name"])] = str(chosen.get("value") or "")
        for each in form.find_all("textarea"):
            if each.get("name"):
                found[str(each["name"])] = each.get_text()
        return found


class Visitor:
    """One browser."""

    def __init__(self, service: Service) -> None:
        url = str(service.client.base_url)
        self.client = httpx.Client(base_url=url, timeout=60, trust_env=False, follow_redirects=True)

    def sign_in(self, email: str, password: str = PASSWORD, **more: str) -> Screen:
        fields = self.get("/dashboard/login").fields()
        return self.post("/dashboard/login", fields | {"email": email, "password": password} | more)

    def get(self, path: str, *, follow: bool = True) -> Screen:
        return Screen(self.client.get(path, follow_redirects=follow))

    def post(
        self, path: str, fields: Mapping[str, str | list[str]], *, follow: bool = True
    ) -> Screen:
        return Screen(self.client.post(path, data=dict(fields), follow_redirects=follow))

    def csrf(self) -> str:
        """The token that the session's forms bring back."""
        return self.get("/dashboard/profile").fields()["csrf_token"]

    def close(self) -> None:
        self.client.close()
