"""How a command ends without a result."""

from dataclasses import dataclass
from typing import TypeVar

from refundry.domain.refusal import Refusal

T = TypeVar("T")


class Refused(Exception):
    """A rule said no; the transaction rolls back and nothing has changed."""

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(refusal)
        self.refusal = refusal


class NotFound(Exception):
    """No such object in this account and mode. noun: `Order`, `Refund`, ..."""

    def __init__(self, noun: str, object_id: str) -> None:
        super().__init__(f"{noun} {object_id}")
        self.noun = noun
        self.object_id = object_id


@dataclass(frozen=True, slots=True)
class FieldProblem:
    """One bad field: code and message in the contract's words, and the path of the field."""

    code: str
    parameter: str | None
    message: str


class BadFields(Exception):
    """The request is not well formed; lists every bad field in the order of the field table."""

    def __init__(self, problems: list[FieldProblem]) -> None:
        super().__init__(problems)
        self.problems = problems


def required(value: T | None) -> T:
    """`value`, which a check before has made sure is there."""
    assert value is not None
    return value
