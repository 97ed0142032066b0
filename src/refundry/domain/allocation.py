"""Splits an amount over weights without losing or making a unit."""

from collections.abc import Sequence


def allocate(total: int, weights: Sequence[int]) -> list[int]:
    """Split `total` in proportion to `weights`; the shares add up to `total` exactly.

    total: minor units, >= 0. weights: >= 0; at least one > 0 unless total is 0.
    Units left over go to the largest remainders, among equal ones to the earlier weight, so the
    same input always gives the same split. No share exceeds its weight while total is at most
    their sum. Source: largest-remainder method.
    """
    whole = sum(weights)
    assert total >= 0
    if total == 0:
        return [0] * len(weights)
    assert whole > 0
    shares = [total * weight // whole for weight in weights]
    leftover = total - sum(shares)
    if leftover:
        remainders = [total * weight % whole for weight in weights]
        # sorted() is stable: among equal remainders the earlier weight comes first.
        for i in sorted(range(len(weights)), key=lambda i: -remainders[i])[:leftover]:
            shares[i] += 1
    return shares
