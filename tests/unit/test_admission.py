"""What one API process takes in hand at once."""

import pytest

from refundry.http.admission import Admission, TooMuch


def given(requests: int, **limits: int) -> Admission:
    """An admission that has so many requests in hand."""
    admission = Admission(**limits)
    admission.running = [object()] * requests
    return admission


@pytest.mark.parametrize(("requests", "full"), [(0, False), (1, False), (2, True), (3, True)])
def test_it_is_full_at_its_limit(requests: int, full: bool) -> None:
    assert given(requests, most_requests=2).full is full


def test_a_request_that_waits_for_its_body_keeps_nobody_out() -> None:
    admission = given(2, most_requests=2)
    with admission.body() as body:
        body.add(b"x")
        body.wait()
        body.wait()
        assert not admission.full
        assert body.whole() == b"x"
        assert admission.full
    assert admission.full


def test_it_is_refused_where_others_were_quicker() -> None:
    admission = given(2, most_requests=2)
    with admission.body() as body:
        body.wait()
        admission.running = [object()] * 3
        with pytest.raises(TooMuch):
            body.whole()


def test_a_body_that_never_comes_is_forgotten() -> None:
    admission = given(1, most_requests=1)
    with admission.body() as body:
        body.wait()
        assert not admission.full
    assert admission.full


def test_news_for_an_open_page_keep_nobody_out() -> None:
    admission = given(1, most_requests=1)
    with admission.aside():
        assert not admission.full
    assert admission.full
