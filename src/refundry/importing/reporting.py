"""The report of an import: a line of JSON for each refused order, and the summary."""

from collections import Counter
from dataclasses import dataclass, field
from typing import BinaryIO

from refundry.http.document import to_json
from refundry.importing.batches import BatchResult, Remark

# Reasons that the summary names; the report has them all.
_MOST_REASONS = 20


@dataclass(slots=True)
class Summary:
    """What a run came to. reasons: how many orders were refused for each parameter and code."""

    imported: int = 0
    known: int = 0
    refused: int = 0
    noted: int = 0
    reasons: Counter[str] = field(default_factory=Counter[str])

    def add(self, result: BatchResult, report: BinaryIO) -> None:
        """Count a batch and write what there is to say of its entries."""
        self.imported += result.imported
        self.known += result.known
        self.refused += result.refused
        for remark in result.remarks:
            report.write(to_json(_line(remark)) + b"\n")
            self.noted += bool(remark.notes)
            if remark.errors:
                self.reasons[_reason(remark.errors[0])] += 1

    def lines(self) -> list[str]:
        """The summary in words."""
        lines = [f"{self.imported} imported, {self.known} there already, {self.refused} refused"]
        if self.noted:
            lines.append(f"{self.noted} of the imported differ from the export in a detail")
        lines += [
            f"  {count} x {reason}" for reason, count in self.reasons.most_common(_MOST_REASONS)
        ]
        if len(self.reasons) > _MOST_REASONS:
            lines.append(f"  and {len(self.reasons) - _MOST_REASONS} reasons more")
        return lines


def _line(remark: Remark) -> dict[str, object]:
    head: dict[str, object] = {"file": remark.file, "line": remark.number}
    if remark.order_id is not None:
        head["id"] = remark.order_id
    if remark.errors:
        return head | {"outcome": "refused", "errors": list(remark.errors)}
    return head | {"outcome": "imported", "notes": list(remark.notes)}


def _reason(error: dict[str, str]) -> str:
    """A reason without its figures: like `invalid_parameter items.amount`."""
    parameter = error.get("parameter", "")
    return f"{error['code']} {_without_places(parameter)}".strip()


def _without_places(parameter: str) -> str:
    """A path without the numbers in its brackets, so that all lines count as one."""
    return "".join(part if i % 2 == 0 else "" for i, part in enumerate(_split(parameter)))


def _split(parameter: str) -> list[str]:
    return parameter.replace("]", "[").split("[")
