"""Nothing secret is compared with `==`, which ends at the first difference: the tree is read."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.service import ROOT

SOURCES = sorted((ROOT / "src" / "refundry").rglob("*.py"))
SECRET = re.compile(r"(^|_)(secret|token|tokens|password|signature|signatures|digest|mac)$")

# The body of a request against that of its caller's own earlier one; a token of ours that we hold
# twice: nobody else chooses either side.
OWN = {("idempotency.py", "digest"), ("oauth.py", "_token")}


def comparisons(source: str) -> Iterator[tuple[int, str]]:
    """Line and name of every comparison with `==`, `!=` or `in` of what is named like a secret."""
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, ast.Compare):
            continue
        if not any(isinstance(each, ast.Eq | ast.NotEq | ast.In | ast.NotIn) for each in node.ops):
            continue
        for side in (node.left, *node.comparators):
            name = getattr(side, "attr", getattr(side, "id", ""))
            if SECRET.search(name):
                yield node.lineno, name


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_secret_is_compared_by_its_characters(path: Path) -> None:
    found = [name for _, name in comparisons(path.read_text("utf-8"))]
    assert [name for name in found if (path.name, name) not in OWN] == []


@pytest.mark.parametrize(
    "source",
    ["given == secret", "if self.token != sent: pass", "mac in seen", "a.signature == b.signature"],
)
def test_such_a_comparison_would_be_found(source: str) -> None:
    assert list(comparisons(source))
