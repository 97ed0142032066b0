"""Requests for refunds over HTTP: each is answered, and the books say what was answered.

`python -m tests.stress refunds` makes 200,000 of them.
"""

import pytest

from tests.stress.refunds import stress_refunds


@pytest.mark.check
def test_every_request_is_answered_and_every_answer_is_true() -> None:
    report = stress_refunds(2_000, 7, print)
    assert report.created > 1_500
    assert report.splits == 0
    assert report.counts["answered 400"] > 100
    assert report.counts["hung up"] > 20
    assert report.counts["sent twice at once"] > 20
