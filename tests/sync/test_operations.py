"""The client has every operation of the OpenAPI document, every filter, and every field."""

from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
from tools.client_reference import Method, methods, plain

from refundry_sync import models
from refundry_sync.client import AsyncClient, Client
from refundry_sync.client.filters import parameter
from refundry_sync.errors import BadAnswer
from refundry_sync.models import Order, Resource, parse, read
from tests.support.reference import DOCUMENT, SCHEMAS, described, media, success

# Of the service's schemas: what the client has no model of, and where it has it instead.
_ELSEWHERE = {"FraudTimes": "a dict of times", "Error": "exceptions"}


@pytest.fixture(scope="module")
def found() -> list[Method]:
    with Client("http://127.0.0.1:9", "sk_test_x") as client:
        return list(methods(client))


def parameters(operation: dict[str, Any], place: str) -> set[str]:
    return {each["name"] for each in operation["parameters"] if each["in"] == place}


def test_every_operation_of_the_document_is_a_method(found: list[Method]) -> None:
    documented = sorted(f"{method.upper()} {path}" for path, method, _ in described())
    assert sorted(each.operation for each in found) == documented


async def test_both_clients_have_the_same_methods(found: list[Method]) -> None:
    async with AsyncClient("http://127.0.0.1:9", "sk_test_x") as client:
        own = {(each.resource, each.name): each.function for each in methods(client)}
    assert own == {(each.resource, each.name): each.function for each in found}


def test_every_filter_is_an_argument(found: list[Method]) -> None:
    documented = {f"{method.upper()} {path}": each for path, method, each in described()}
    lists = [each for each in found if each.filters]
    assert len(lists) == 10
    for each in lists:
        names = {parameter(name) for name in each.filters}
        # `[eq]` is what a range without an operator means.
        wanted = {
            name
            for name in parameters(documented[each.operation], "query")
            if not name.endswith("[eq]")
        }
        assert names == wanted, each.operation
        assert [name for name in each.filters if plain(name)]


def test_every_key_and_open_operation_is_sent_so(found: list[Method]) -> None:
    documented = {f"{method.upper()} {path}": each for path, method, each in described()}
    for each in found:
        operation = documented[each.operation]
        assert each.call.open == (operation.get("security") == []), each.operation
        if not each.call.open:
            assert each.call.keyed == ("Idempotency-Key" in parameters(operation, "header"))
        assert ("requestBody" in operation) == (each.call.body is not None)


def answered() -> Iterator[str]:
    """The names of the schemas that answers are made of."""
    waiting = [success(operation) for _, _, operation in described()]
    seen: set[str] = set()
    while waiting:
        for name in references(waiting.pop()):
            if name not in seen:
                seen.add(name)
                waiting.append(SCHEMAS[name])
    yield from sorted(seen)


def references(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        for name, each in value.items():  # pyright: ignore[reportUnknownVariableType]
            if name == "$ref":
                yield str(each).rpartition("/")[2]  # pyright: ignore[reportUnknownArgumentType]
            yield from references(each)
    elif isinstance(value, list):
        for each in value:  # pyright: ignore[reportUnknownVariableType]
            yield from references(each)


def objects() -> list[str]:
    """Those of them that are objects other than pages of lists."""
    return [
        name
        for name in answered()
        if "properties" in SCHEMAS[name] and not name.endswith("List") and name not in _ELSEWHERE
    ]


@pytest.mark.parametrize("name", objects())
def test_every_field_is_an_attribute_and_no_optional_one_is_needed(name: str) -> None:
    schema = SCHEMAS[name]
    fields = msgspec.structs.fields(getattr(models, name))
    known = {each.encode_name: each for each in fields if each.encode_name[0] != "$"}
    assert set(known) == set(schema["properties"])
    needed = {field for field, each in known.items() if each.required}
    assert needed <= set(schema["required"])


def examples() -> list[tuple[str, Any]]:
    """The model and the example of every answer that is one resource."""
    found: list[tuple[str, Any]] = []
    for _, _, operation in described():
        answer = success(operation)
        if answer and "$ref" in answer["schema"] and "example" in answer:
            name = str(answer["schema"]["$ref"]).rpartition("/")[2]
            found.append((name, answer["example"]))
    return [(name, example) for name, example in found if not name.endswith("List")]


@pytest.mark.parametrize(("name", "example"), examples(), ids=[name for name, _ in examples()])
def test_the_documents_examples_are_read(name: str, example: dict[str, Any]) -> None:
    document = parse(msgspec.json.encode(example))
    assert isinstance(document, dict)
    kind: type[Resource] = getattr(models, name)
    found = read(kind, {**document, "fieldOfTomorrow": {"a": [1]}})
    assert found.document["fieldOfTomorrow"] == {"a": [1]}
    optional = set(document) - set(SCHEMAS[name]["required"])
    bare = {field: value for field, value in document.items() if field not in optional}
    assert read(kind, bare).document == bare
    for field in SCHEMAS[name]["required"]:
        spec = {each.encode_name: each for each in msgspec.structs.fields(kind)}[field]
        if spec.required:
            with pytest.raises(BadAnswer, match=name):
                read(kind, {key: value for key, value in bare.items() if key != field})


def test_an_order_as_digital_river_shows_it() -> None:
    """Nothing was refunded, so that no such amount is shown; there is no version."""
    text = (
        b'{"id":"1","currency":"EUR","totalAmount":27.10,"state":"accepted","items":[{"id":"2"}]}'
    )
    order = read(Order, parse(text))
    assert (order.refunded_amount, order.version, order.payment) == (0, None, None)
    assert str(order.total_amount) == "27.10"


def test_the_document_has_answers() -> None:
    assert DOCUMENT["paths"]
    assert len(objects()) > 30
    assert len(examples()) > 10
    assert media(DOCUMENT["paths"]["/orders"]["get"]["responses"]["200"])
