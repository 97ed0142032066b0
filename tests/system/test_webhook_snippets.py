"""The verification snippets of docs/webhooks.md, in each language that is at hand."""

import base64
import hashlib
import hmac
import json
import shutil
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import pytest

from tests.support.service import ROOT
from tests.support.vectors import (
    AT,
    EVENT,
    EVENT_BY_NEW,
    EVENT_BY_OLD,
    NEW,
    OLD,
    SHORT,
    SHORT_BY_NEW,
    SHORT_BY_OLD,
)
from tests.system.test_readme import BLOCK


@dataclass(frozen=True, slots=True)
class Case:
    """A delivery as a receiver sees it. late: seconds after its time."""

    claim: str
    genuine: bool
    signatures: tuple[str, ...] = (EVENT_BY_NEW,)
    body: str = EVENT
    token: str = NEW
    late: int = 0
    stamp: str = str(AT)

    @property
    def header(self) -> str:
        return ", ".join((self.stamp, *self.signatures))

    @property
    def now(self) -> int:
        return AT + self.late


def signed(stamp: str, body: str) -> str:
    digest = hmac.new(NEW.encode(), f"{stamp}.{body}".encode(), hashlib.sha256).digest()
    return base64.b64encode(digest).decode()


BOTH = (EVENT_BY_NEW, EVENT_BY_OLD)
CASES = (
    Case("valid", True),
    Case("valid, the shortest body", True, (SHORT_BY_NEW,), SHORT),
    Case("valid, the other token", True, (SHORT_BY_OLD,), SHORT, OLD),
    Case("valid to the last second", True, late=300),
    Case("valid, from a clock that is ahead", True, late=-300),
    Case("two signatures, the new token is trusted", True, BOTH),
    Case("two signatures, the old token is trusted", True, BOTH, token=OLD),
    Case("two signatures, neither token is trusted", False, BOTH, token="0" * 32),
    Case("tampered", False, body=EVENT.replace("13.51", "13.52")),
    Case("a line break more", False, body=EVENT + "\n"),
    Case("another token", False, token=OLD),
    Case("another time", False, stamp=str(AT + 1)),
    Case("too old", False, late=301),
    Case("too new", False, late=-301),
    Case("no signature", False, ()),
    Case("half a signature", False, (EVENT_BY_NEW[:22],)),
    Case("no time", False, (signed("", EVENT),), stamp=""),
    Case("no number for a time", False, (signed("soon", EVENT),), stamp="soon"),
    Case("a negative time", False, (signed(f"-{AT}", EVENT),), stamp=f"-{AT}"),
)
each_case = pytest.mark.parametrize("case", CASES, ids=lambda case: case.claim)


def snippet(language: str) -> str:
    """The one block of the page in a language."""
    page = (ROOT / "docs" / "webhooks.md").read_text("utf-8")
    (found,) = [text for kind, text in BLOCK.findall(page) if kind == language]
    return found


def program(name: str) -> str:
    path = shutil.which(name)
    if path is None:
        pytest.skip(f"{name} is not installed here")
    return path


def output_of(command: Sequence[str]) -> str:
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    return done.stdout


def verdicts_of(command: Sequence[str], source: str, folder: Path, suffix: str) -> list[bool]:
    """What a program prints as JSON that ends in `source` and reads cases.json beside it."""
    cases = [[c.header, c.body, [c.token], c.now] for c in CASES]
    (folder / "cases.json").write_text(json.dumps(cases))
    script = folder / f"verify{suffix}"
    script.write_text(source.replace("CASES", str(folder / "cases.json")))
    return json.loads(output_of([*command, str(script)]))


@each_case
def test_python(case: Case) -> None:
    names: dict[str, Any] = {}
    exec(snippet("python"), names)
    is_genuine = cast("Callable[..., bool]", names["is_genuine"])
    body = case.body.encode()
    assert is_genuine(case.header, body, [case.token], case.now) is case.genuine
    assert is_genuine(case.header, body, ["0" * 32, case.token], case.now) is case.genuine
    assert not is_genuine(case.header, body, [], case.now)


@each_case
def test_openssl(case: Case, tmp_path: Path) -> None:
    program("openssl")
    body, script = tmp_path / "body.json", tmp_path / "verify.sh"
    body.write_bytes(case.body.encode())
    script.write_text(f'{snippet("sh")}\nif is_genuine "$@"; then echo yes; else echo no; fi\n')
    command = ["sh", str(script), case.header, str(body), case.token, str(case.now)]
    assert output_of(command).strip() == ("yes" if case.genuine else "no")


def test_node(tmp_path: Path) -> None:
    source = f"""{snippet("javascript")}
const cases = JSON.parse(require("node:fs").readFileSync("CASES"));
const verdicts = cases.map((c) => isGenuine(c[0], Buffer.from(c[1]), ["x", ...c[2]], c[3]));
console.log(JSON.stringify(verdicts));
"""
    found = verdicts_of([program("node")], source, tmp_path, ".js")
    assert found == [case.genuine for case in CASES]


def test_php(tmp_path: Path) -> None:
    source = f"""<?php
{snippet("php")}
$cases = json_decode(file_get_contents('CASES'), true);
echo json_encode(array_map(fn ($c) => is_genuine($c[0], $c[1], ['x', ...$c[2]], $c[3]), $cases));
"""
    found = verdicts_of([program("php")], source, tmp_path, ".php")
    assert found == [case.genuine for case in CASES]
