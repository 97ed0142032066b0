"""The README's first refund: its curl lines are sent, and what comes back is what it shows.

A curl line is read here, not run, so that no curl is needed. What a `json` block shows must be the
answer to the last word; ids and times may be others, but an id that is shown twice must be the same
both times, and `…` stands for what was cut.
"""

import re
import shlex
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from tests.support.service import ROOT, Service

README = ROOT / "README.md"
CUT = "…"
# A fenced block: what it is called, and its text.
BLOCK = re.compile(r"^```([^\n]*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
EXPORT = re.compile(r"^export (\w+)=(\S+)$", re.MULTILINE)
_UUID = "[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"
_SECOND = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d"
# What differs from one run to the next: ids and times, each with its form.
PASSING = (
    rf"re_{_UUID}",
    rf"ful_{_UUID}",
    rf"ret_{_UUID}",
    rf"dp_{_UUID}",
    rf"{_UUID}_{_UUID}",
    _UUID,
    r"(?<!\d)\d{12}(?!\d)",
    rf"{_SECOND}Z",
    rf"{_SECOND}\.\d+Z",
)
PATIENCE_SECONDS = 20


@dataclass(frozen=True, slots=True)
class Step:
    """Variables to set, or a curl line with the answer that the page shows under it."""

    exports: dict[str, str]
    curl: str = ""
    answer: str = ""


def steps(text: str, name: str) -> list[Step]:
    """What a reader of `text` types: the blocks called `name` that export or call something."""
    found: list[Step] = []
    for kind, block in BLOCK.findall(text):
        if kind == name and block.startswith("curl "):
            found.append(Step({}, block.strip()))
        elif kind == name and EXPORT.match(block):
            found.append(Step(dict(EXPORT.findall(block))))
        elif kind == "json" and found and found[-1].curl and not found[-1].answer:
            found[-1] = Step({}, found[-1].curl, block.strip())
    return found


def words_of(line: str, variables: dict[str, str]) -> list[str]:
    """The words that a shell makes of a curl line."""
    line = line.replace("\\\n", " ")
    for name, value in variables.items():
        # In single quotes the shell leaves variables alone; '$ORDER' stands between two of them.
        line = re.sub(rf"'\${name}\b'", lambda _, value=value: value, line)
        line = re.sub(rf"\${name}\b", lambda _, value=value: value, line)
    words = shlex.split(line)
    assert not [word for word in words if "$" in word], f"not exported before: {words}"
    return words


def send(client: httpx.Client, line: str, variables: dict[str, str]) -> str:
    """Do what a shell and curl would do with the line; gives the body of the answer."""
    words = iter(words_of(line, variables))
    assert next(words) == "curl"
    method, url, body = "", "", None
    headers: dict[str, str] = {}
    for word in words:
        match word:
            case "-X":
                method = next(words)
            case "-H":
                name, _, value = next(words).partition(": ")
                headers[name] = value
            case "-d":
                body = next(words)
                # What curl says of a body, unless a header says otherwise.
                headers.setdefault("Content-Type", "application/x-www-form-urlencoded")
            case "-s" | "-g":
                pass
            case _:
                assert not word.startswith("-"), f"this test does not know curl's {word}"
                assert not url, f"two URLs: {url} {word}"
                url = word
    method = method or ("GET" if body is None else "POST")
    return client.request(method, url, headers=headers, content=body).text


def form_of(shown: str) -> "re.Pattern[str]":
    """What an answer must look like to be the one that is shown.

    Line breaks are for the reader: one and the spaces around it stand for nothing.
    """
    text = re.sub(r"\s*\n\s*", "", shown)
    passing = re.compile("|".join(f"({form})" for form in PASSING))
    ids: dict[str, str] = {}
    pattern, end = "", 0
    for match in passing.finditer(text):
        pattern += _literal(text[end : match.start()])
        end = match.end()
        assert match.lastindex is not None
        form = PASSING[match.lastindex - 1]
        if match[0] in ids:
            pattern += f"(?P={ids[match[0]]})"
        elif match[0].endswith("Z"):  # two equal times are no promise, two equal ids are one
            pattern += f"(?:{form})"
        else:
            ids[match[0]] = f"id{len(ids)}"
            pattern += f"(?P<{ids[match[0]]}>{form})"
    return re.compile(pattern + _literal(text[end:]), re.DOTALL)


def _literal(text: str) -> str:
    return ".+?".join(re.escape(part) for part in text.split(CUT))


def follow(client: httpx.Client, todo: list[Step], variables: dict[str, str]) -> int:
    """Do the steps one by one; gives how many answers were compared.

    variables: known from the start; an export of another name takes what the shown value became in
    the last answer, as a reader copies it from there.
    """
    answer, shown, compared = "", "", 0
    for step in todo:
        for name, value in step.exports.items():
            if name not in variables:
                variables[name] = copied(value, shown, answer)
        if not step.curl:
            continue
        assert step.answer, f"no answer is shown for {step.curl}"
        shown = step.answer
        answer = await_answer(client, step, variables)
        compared += 1
    return compared


def await_answer(client: httpx.Client, step: Step, variables: dict[str, str]) -> str:
    """Send a step's call until the answer is the shown one; a POST is sent once."""
    form = form_of(step.answer)
    deadline = time.monotonic() + PATIENCE_SECONDS
    while True:
        answer = send(client, step.curl, variables)
        if form.fullmatch(answer):
            return answer
        if " -d " in step.curl or time.monotonic() > deadline:
            raise AssertionError(f"{step.curl}\nshown: {step.answer}\nreal:  {answer}")
        time.sleep(0.1)


def copied(value: str, shown: str, answer: str) -> str:
    """What stands in `answer` where `value` stands in what the page shows."""
    assert value in shown, f"{value} is not in the answer above"
    text = re.sub(r"\s*\n\s*", "", shown)
    place = text.index(value)
    form = next(form for form in PASSING if re.fullmatch(form, value))
    before = form_of(text[:place]).pattern
    match = re.match(f"{before}({form})", answer, re.DOTALL)
    assert match
    return match[match.re.groups]


def sandbox_key(service: Service) -> str:
    found = re.search(r"Sandbox key +(sk_test_\w+)", service.log_since(0))
    assert found, "the screen shows no key"
    return found[1]


@pytest.fixture(scope="module")
def served() -> Iterator[Service]:
    with Service(kind="serve") as service:
        yield service


@pytest.fixture(scope="module")
def readme() -> str:
    return README.read_text("utf-8")


def test_the_first_refund_goes_as_the_readme_shows(served: Service, readme: str) -> None:
    todo = steps(readme, "bash")
    exported = [name for step in todo for name in step.exports]
    assert exported == ["URL", "KEY", "ORDER", "REFUND"]
    variables = {"URL": f"http://127.0.0.1:{served.port}", "KEY": sandbox_key(served)}
    assert follow(served.client, todo, variables) >= 6


def test_the_readme_shows_the_screen_of_serve(served: Service, readme: str) -> None:
    (shown,) = [text for _, text in BLOCK.findall(readme) if "is running." in text]
    real = served.log_since(0)
    for line in filter(None, shown.splitlines()):
        label = re.match(r" +\w+(?: \w+){0,3} {2,}(?=\S)", line)
        assert (label[0] if label else line) in real


def test_the_commands_that_the_readme_names_exist(readme: str) -> None:
    makefile = (ROOT / "Makefile").read_text("utf-8")
    named = set(re.findall(r"make ([a-z]+)", readme))
    assert {"serve", "test"} <= named
    for target in named:
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), target


def test_a_page_that_disagrees_is_noticed() -> None:
    """What this module is for: each of these answers differs from the one that is shown."""
    one, two = (str(uuid.UUID(int=number)) for number in (1, 2))
    shown = '{"id":"ID","amount":13.51,\n  "state":"pending",…,"chargeId":"ID"}'
    form = form_of(shown.replace("ID", one))
    right = f'{{"id":"{two}","amount":13.51,"state":"pending","x":1,"chargeId":"{two}"}}'
    assert form.fullmatch(right)
    for wrong in (
        right.replace("13.51", "13.50"),
        right.replace("pending", "failed"),
        right.replace(two, one, 1),
        right.replace('"x":1,', ""),
        right.replace('"amount":13.51,', "").replace('"x":1,', '"amount":13.51,"x":1,'),
    ):
        assert not form.fullmatch(wrong), wrong


def links(text: str) -> list[str]:
    """The relative links of a page, without their anchors."""
    found = re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", text)
    return [target for target in found if "://" not in target]


def pages() -> list[Path]:
    """The README and every page of docs/."""
    return [README, *sorted((ROOT / "docs").rglob("*.md"))]
