"""The README's first refund: its curl lines are sent, and what comes back is what it shows."""

import json
import re
import shlex
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.support.service import ROOT, Service

README = (ROOT / "README.md").read_text("utf-8")
BLOCK = re.compile(r"```(bash|json)\n(.*?)```", re.DOTALL)
EXPORT = re.compile(r"export (\w+)=(\S+)")
CUT = "…"
# What differs from one run to the next: ids and times.
PASSING = re.compile(
    r"(?:re_)?[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}|\d{12}|\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ"
)
PATIENCE_SECONDS = 20


@dataclass(frozen=True, slots=True)
class Step:
    """A block of the README: variables to set, or a curl line and the answer shown."""

    exports: dict[str, str]
    curl: str | None = None
    answer: str | None = None


def steps() -> list[Step]:
    """The blocks from the first export on, each curl line with the answer under it."""
    found: list[Step] = []
    for kind, text in BLOCK.findall(README):
        if kind == "json":
            last = found.pop()
            assert last.curl, "an answer without its curl line"
            found.append(Step({}, last.curl, text.strip()))
        elif text.startswith("curl "):
            found.append(Step({}, text.strip()))
        elif EXPORT.match(text):
            found.append(Step(dict(EXPORT.findall(text))))
    return found


def send(client: httpx.Client, line: str, variables: dict[str, str]) -> str:
    """Do what a shell and curl would do with the line."""
    for name, value in variables.items():
        # In single quotes the shell leaves variables alone; '$ORDER' stands between two of them.
        line = line.replace(f"'${name}'", value).replace(f"${name}", value)
    words = shlex.split(line)
    assert words.pop(0) == "curl"
    method, body, url = "GET", None, ""
    headers: dict[str, str] = {}
    while words:
        word = words.pop(0)
        if word == "-X":
            method = words.pop(0)
        elif word == "-H":
            name, _, value = words.pop(0).partition(": ")
            headers[name] = value
        elif word == "-d":
            body = words.pop(0)
        elif word != "-s":
            url = word
    return client.request(method, url, headers=headers, content=body).text


def same(text: str) -> str:
    """A text with what passes taken out; two ids that are equal stay equal."""
    names: dict[str, str] = {}
    return PASSING.sub(lambda m: names.setdefault(m[0], f"<{len(names)}>"), text)


def agrees(shown: str, answer: str) -> bool:
    if shown.startswith(CUT):
        return answer.endswith(shown.removeprefix(CUT))
    if shown.endswith(CUT):
        cut = shown.removesuffix(CUT)
        return same(answer).startswith(same(cut)) if cut else False
    return same(answer) == same(shown)


def first_id(answer: str) -> str:
    document: Any = json.loads(answer)
    return (document["data"][0] if "data" in document else document)["id"]


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Any:
    del tmp_path_factory
    with Service(kind="serve") as service:
        yield service


def sandbox_key(service: Service) -> str:
    found = re.search(r"Sandbox key +(sk_test_\w+)", service.log_since(0))
    assert found, "the screen shows no key"
    return found[1]


def test_the_first_refund_goes_as_the_readme_shows(served: Service) -> None:
    variables: dict[str, str] = {}
    answer = ""
    compared = 0
    for step in steps():
        for name in step.exports:
            if name == "URL":
                variables[name] = f"http://127.0.0.1:{served.port}"
            elif name == "KEY":
                variables[name] = sandbox_key(served)
            else:
                variables[name] = first_id(answer)
        if step.curl is None:
            continue
        assert step.answer is not None, f"no answer is shown for {step.curl}"
        deadline = time.monotonic() + PATIENCE_SECONDS
        while True:
            answer = send(served.client, step.curl, variables)
            if agrees(step.answer, answer) or time.monotonic() > deadline:
                break
            time.sleep(0.1)
        assert agrees(step.answer, answer), f"{step.curl}\nshown: {step.answer}\nreal:  {answer}"
        compared += 1
    assert compared >= 6


def test_the_commands_that_the_readme_names_exist() -> None:
    makefile = (ROOT / "Makefile").read_text("utf-8")
    for target in ("serve", "test"):
        assert f"make {target}\n" in README
        assert re.search(rf"^{target}:", makefile, re.MULTILINE)


def test_every_link_leads_somewhere() -> None:
    pages = [ROOT / "README.md", *Path(ROOT / "docs").rglob("*.md")]
    for page in pages:
        for target in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", page.read_text("utf-8")):
            if "://" not in target:
                assert (page.parent / target).exists(), f"{page.name}: {target}"
