"""Reads the fields of a form that names a bank account."""

from collections.abc import Mapping, Sequence

from refundry.errors import BadFields, FieldProblem
from refundry.http.document import shown
from refundry.tokens.checks import masked
from refundry.tokens.countries import Field


def read_details(fields: Sequence[Field], values: Mapping[str, object]) -> dict[str, str]:
    """The values of a form, checked and tidied. Raises BadFields with everything that is wrong.

    A value that is null or blank counts as absent.
    """
    details: dict[str, str] = {}
    problems: list[FieldProblem] = []
    for field in fields:
        value = values.get(field.name)
        path = f"fields.{field.name}"
        if value is None or (isinstance(value, str) and not value.strip()):
            if field.required:
                problems.append(FieldProblem("missing_parameter", path, "A parameter is missing."))
            continue
        tidy = _checked(field, value)
        if tidy is None:
            told = masked(shown(value), secret=field.secret)
            text = f"'{told}' is not a valid {path}."
            problems.append(FieldProblem("invalid_parameter", path, text))
        else:
            details[field.name] = tidy
    problems += _unknown(fields, values)
    if problems:
        raise BadFields(problems)
    return details


def _checked(field: Field, value: object) -> str | None:
    if not isinstance(value, str) or len(value) > 4 * field.most:
        return None
    return field.check(value)


def _unknown(fields: Sequence[Field], values: Mapping[str, object]) -> list[FieldProblem]:
    known = {field.name for field in fields}
    paths = [f"fields.{name}" for name in values if name not in known and values[name] is not None]
    return [
        FieldProblem("unknown_parameter", path, f"'{path}' is an unknown parameter.")
        for path in paths
    ]
