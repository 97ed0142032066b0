"""What a run found out: one value each, with its unit and its share of the reference."""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass


@dataclass(frozen=True, slots=True)
class Measure:
    """One result. ratio: value / what PostgreSQL alone does, where that is a fair question."""

    name: str
    value: float
    unit: str
    ratio: float | None = None

    def line(self) -> str:
        """`name value unit ratio`, with `-` for no ratio."""
        ratio = "-" if self.ratio is None else f"{self.ratio:.3f}"
        return f"{self.name} {number(self.value)} {self.unit} {ratio}"


def number(value: float) -> str:
    """Three digits are all that a shared machine can promise; large numbers stay whole."""
    if abs(value) >= 100:
        return f"{value:.0f}"
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"


def percentile(values: Sequence[float], percent: float) -> float:
    """The smallest of `values` that at least `percent` of them do not exceed (nearest rank)."""
    assert values
    assert 0 < percent <= 100
    return sorted(values)[math.ceil(len(values) * percent / 100) - 1]


def to_lines(measures: Sequence[Measure]) -> str:
    """A line a measure."""
    return "\n".join(measure.line() for measure in measures)


def to_document(machine: Mapping[str, object], measures: Sequence[Measure]) -> str:
    """The same as JSON, with the machine and how it was run."""
    return json.dumps(
        {"machine": machine, "measures": [asdict(measure) for measure in measures]}, indent=2
    )
