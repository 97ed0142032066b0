"""Pools that fit into what the database allows."""

import pytest

from refundry.db.limits import Pools, fitting
from refundry.settings import BadSettings, Settings

WANTED = Settings(pool_size=10)


@pytest.mark.parametrize(
    ("pools", "allowed", "size"),
    [
        (Pools(1), 13, 10),
        (Pools(1), 12, 9),
        (Pools(2, besides=1), 97, 10),
        (Pools(9, besides=1), 97, 10),
        (Pools(10, besides=1), 97, 9),
        (Pools(3, besides=1), 10, 2),
    ],
)
def test_pools_are_as_large_as_they_may_be(pools: Pools, allowed: int, size: int) -> None:
    """Three connections are spared for commands."""
    assert fitting(WANTED, pools, allowed).pool_size == size


def test_what_cannot_fit_is_refused_with_what_it_needs() -> None:
    with pytest.raises(BadSettings, match="allows 9 connections; 3 processes need at least 10"):
        fitting(WANTED, Pools(3, besides=1), 9)
