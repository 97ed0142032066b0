"""The reference page says everything that the document says, and lets nothing in as markup."""

import copy
from html import unescape
from html.parser import HTMLParser
from typing import Any, cast

from refundry.http.markup import Html, prose, tag
from refundry.http.reference import reference_page, stylesheet
from tests.support.reference import DOCUMENT, SCHEMAS, described, media

PAGE = reference_page(DOCUMENT)
EVIL = '<script>alert("1")</script>&\''


class Elements(HTMLParser):
    """What a page is made of: start tags with their attributes, and whether all are closed."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str]]] = []
        self.open: list[str] = []
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, {name: value or "" for name, value in attrs}))
        if tag not in ("meta", "link", "br"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def values(self, attribute: str) -> list[str]:
        """Every value of an attribute, in the page's order."""
        return [attributes[attribute] for _, attributes in self.found if attribute in attributes]


ELEMENTS = Elements(PAGE)
_FREE = ("description", "summary", "message", "code")


def _section(operation: dict[str, Any]) -> str:
    start = PAGE.index(f'<section id="{operation["operationId"]}"')
    return PAGE[start : PAGE.index("</section>", start)]


def test_every_operation_has_its_section_and_a_link_to_it() -> None:
    for path, method, operation in described():
        section = _section(operation)
        assert f'class="method {method}"' in section
        assert f"<code>{path}</code>" in section
        assert f'href="#{operation["operationId"]}"' in PAGE


def test_every_parameter_is_in_its_section() -> None:
    for _, _, operation in described():
        section = _section(operation)
        for parameter in operation["parameters"]:
            name, bracket, sign = parameter["name"].partition("[")
            row = section[section.index(f'<th scope="row"><code>{name}</code>') :]
            row = row[: row.index("</tr>")]
            assert f"<code>{bracket}{sign}</code>" in row or not bracket


def test_every_field_of_bodies_is_in_its_section_with_nested_ones() -> None:
    section = _section(DOCUMENT["paths"]["/refunds"]["post"])
    for name in ("NewRefund", "NewRefundItem", "Refund", "RefundCharge", "TokenInformation"):
        for field in SCHEMAS[name]["properties"]:
            assert f'<th scope="row"><code>{field}</code>' in section


def test_every_error_is_in_its_section() -> None:
    for _, _, operation in described():
        section = unescape(_section(operation))
        for status, response in operation["responses"].items():
            if status[0] != "2":
                assert f'<th scope="row">{status} ' in section
                for example in media(response).get("examples", {}).values():
                    assert example["value"]["errors"][0]["message"] in section


def test_every_operation_has_a_request_and_an_answer_to_copy() -> None:
    for path, method, operation in described():
        section = _section(operation)
        assert 'curl "$REFUNDRY_URL/' in unescape(section)
        assert "{id}" not in section[section.index("curl ") :].split("</pre>")[0]
        sends = method in ("post", "patch")
        assert ("Content-Type: application/json" in section) == sends, path
        assert (f"-X {method.upper()} " in section) == (method in ("patch", "delete")), path
        assert ("Answer 20" in section) == (method != "delete")


def test_page_is_well_formed_and_its_links_lead_somewhere() -> None:
    assert ELEMENTS.open == []
    anchors = ELEMENTS.values("id")
    assert len(set(anchors)) == len(anchors)
    for link in ELEMENTS.values("href"):
        assert link in ("/docs/style.css", "/openapi.json") or link.removeprefix("#") in anchors


def test_page_has_no_script_no_inline_style_and_nothing_from_elsewhere() -> None:
    assert {name for name, _ in ELEMENTS.found}.isdisjoint({"script", "style", "iframe", "img"})
    attributes = {name for _, found in ELEMENTS.found for name in found}
    assert not [name for name in attributes if name.startswith("on") or name in ("style", "src")]
    # Addresses stand in examples; what a browser would follow is in attributes.
    assert not [v for _, found in ELEMENTS.found for v in found.values() if v and "//" in v]
    style = stylesheet().decode()
    assert "url(" not in style
    assert "@import" not in style


def test_page_can_be_used_by_keyboard() -> None:
    first = next(attributes for name, attributes in ELEMENTS.found if name == "a")
    assert first == {"href": "#content", "class": "skip"}
    panes = [attributes for name, attributes in ELEMENTS.found if name == "pre"]
    assert all(each["tabindex"] == "0" and each["aria-label"] for each in panes)
    assert ":focus-visible" in stylesheet().decode()


def _poisoned(value: Any) -> Any:
    """The value with every text that is free to be anything made dangerous."""
    if isinstance(value, dict):
        members = cast("dict[str, Any]", value)
        return {
            key: EVIL if isinstance(each, str) and key in _FREE else _poisoned(each)
            for key, each in members.items()
        }
    if isinstance(value, list):
        return [_poisoned(each) for each in cast("list[Any]", value)]
    return value


def test_everything_is_escaped() -> None:
    document = copy.deepcopy(DOCUMENT)
    document["info"] |= {"title": EVIL, "version": EVIL, "description": EVIL}
    document["paths"] = _poisoned(document["paths"])
    document["components"] = _poisoned(document["components"])
    for methods in document["paths"].values():
        for operation in methods.values():
            operation["parameters"][0] |= {"name": EVIL, "example": EVIL}
            operation["parameters"][0]["schema"] = {"enum": [EVIL], "default": EVIL}
    document["components"]["schemas"]["NewRefund"]["properties"][EVIL] = {"title": EVIL}
    page = reference_page(document)
    assert "<script" not in page
    assert page.count("&lt;script&gt;") > 100
    parsed = Elements(page)
    assert parsed.open == []
    assert {name for name, _ in parsed.found} <= {name for name, _ in ELEMENTS.found}


def test_markup_takes_text_for_text() -> None:
    assert tag("p", "a < b", Html("<b>c</b>")) == "<p>a &lt; b<b>c</b></p>"
    assert (
        tag("a", "x", href='"><i>', class_="k") == '<a href="&quot;&gt;&lt;i&gt;" class="k">x</a>'
    )
    assert prose("a `<b>` **c & d**") == ("a <code>&lt;b&gt;</code> <strong>c &amp; d</strong>")
