"""HTML from Python: every text is escaped, only what was made here is taken as it stands."""

import re
from html import escape


class Html(str):
    """HTML that is safe to put into a page."""

    __slots__ = ()


_VOID = frozenset({"meta", "link", "br"})
_MARKS = re.compile(r"`([^`]+)`|\*\*([^*]+)\*\*")


def tag(name: str, /, *children: str, **attributes: str | bool) -> Html:
    """An element. Children that are not Html are text; an attribute of True has no value.

    A `_` at the end of an attribute's name is cut, other ones stand for `-`.
    """
    written: list[str] = []
    for key, value in attributes.items():
        label = key.removesuffix("_").replace("_", "-")
        if value is True:
            written.append(f" {label}")
        elif value is not False:
            written.append(f' {label}="{escape(value)}"')
    start = f"<{name}{''.join(written)}>"
    return Html(start if name in _VOID else f"{start}{together(*children)}</{name}>")


def together(*children: str) -> Html:
    """Children one after the other; those that are not Html are text."""
    return Html("".join(c if isinstance(c, Html) else escape(c, quote=False) for c in children))


def prose(text: str) -> Html:
    """A line of text, in which `code` and **strong** words are marked."""
    parts: list[str] = []
    end = 0
    for match in _MARKS.finditer(text):
        parts += [text[end : match.start()]]
        code, strong = match.groups()
        parts.append(tag("code", code) if code else tag("strong", strong))
        end = match.end()
    return together(*parts, text[end:])


def paragraphs(text: str) -> Html:
    """Text whose paragraphs are parted by empty lines."""
    return together(*(tag("p", prose(part)) for part in text.strip().split("\n\n")))
