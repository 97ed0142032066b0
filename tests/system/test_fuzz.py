"""A fuzz run of the OpenAPI document: no 5xx, and every answer as documented."""

from pathlib import Path

import pytest

from tests.fuzz.__main__ import ALL, MORE
from tests.fuzz.running import Round, fuzzing

AT_LEAST = {ALL: 4000, MORE: 300}


@pytest.mark.check
def test_no_generated_request_gets_an_undocumented_answer(tmp_path: Path) -> None:
    """Chains of requests included; `make fuzz` sends ten times as many."""
    with fuzzing(tmp_path) as fuzz:
        for one in (Round(1, 15, ALL), Round(2, 75, MORE)):
            found = fuzz.run(one, lambda _: None)
            assert found.passed, found.report[-20_000:]
            assert found.cases >= AT_LEAST[one.phases], found.report[-2000:]
        assert fuzz.complaints() == []
        made = fuzz.chains()
    # The chains get somewhere: beyond what is made for them, of which there are three.
    assert made["orders"] > 50
    assert made["refunds"] > 5
    assert min(made.values()) > 0
