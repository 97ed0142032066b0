"""A fuzz run of the OpenAPI document: no 5xx, and every answer as documented."""

from collections.abc import Iterator

import pytest

from tests.fuzz.running import Fuzz, Round, fuzzing

pytestmark = pytest.mark.check


@pytest.fixture(scope="module")
def fuzz(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fuzz]:
    """`make fuzz` sends several times as many."""
    with fuzzing(tmp_path_factory.mktemp("fuzz")) as fuzz:
        yield fuzz


@pytest.mark.parametrize(
    ("one", "at_least"),
    [(Round(1, 10, "examples,coverage,fuzzing"), 4000), (Round(2, 50, "stateful"), 200)],
    ids=["alone", "in chains"],
)
def test_no_generated_request_gets_an_undocumented_answer(
    fuzz: Fuzz, one: Round, at_least: int
) -> None:
    found = fuzz.run(one, lambda _: None)
    assert found.passed, found.report[-20_000:]
    assert found.cases >= at_least, found.report[-2000:]


def test_after_all_of_it_the_books_are_right_and_the_chains_got_somewhere(fuzz: Fuzz) -> None:
    """Beyond what is made for them: three orders with a fulfillment each."""
    assert fuzz.complaints() == []
    made = fuzz.chains()
    assert made["orders"] > 20
    assert made["fulfillments"] > 3
    assert made["refunds"] > 3
