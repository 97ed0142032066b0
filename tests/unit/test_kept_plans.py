"""Statements on arrays of rows keep their plans: the planner never knows how many rows there are.

One that sees all lengths plans anew for each (db/database.py says why).
"""

import re

from tests.support.service import ROOT

_CALL = re.compile(r"unnest\((\$\d+::\w+\[\],\s[^;]*?)\)\s+(?:WITH ORDINALITY\s+)?AS")


def test_every_statement_on_arrays_hides_a_length() -> None:
    calls = [
        (path.name, found[1])
        for path in (ROOT / "src" / "refundry").rglob("*.py")
        for found in _CALL.finditer(path.read_text("utf-8"))
    ]
    assert len(calls) >= 20
    assert [call for call in calls if "(SELECT $" not in call[1]] == []
