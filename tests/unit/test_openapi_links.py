"""The links of the OpenAPI document lead on: to an operation, with what it takes."""

from typing import Any, cast

import pytest

from refundry.app import documented_operations
from refundry.http.openapi import openapi_document
from refundry.settings import Settings
from tests.support.reference import DOCUMENT, described, media, problems_of, success

Json = dict[str, Any]
_BY_ID = {operation["operationId"]: operation for _, _, operation in described()}


def all_links() -> list[tuple[str, str, Json]]:
    """The operation, the name and the text of every link."""
    return [
        (str(operation["operationId"]), name, link)
        for _, _, operation in described()
        for answer in operation["responses"].values()
        for name, link in answer.get("links", {}).items()
    ]


LINKS = all_links()
each_link = pytest.mark.parametrize(
    ("source", "name", "link"), LINKS, ids=[f"{source}-{name}" for source, name, _ in LINKS]
)


def resolved(value: Any, answer: Any) -> Any:
    """A value of a link with its expressions looked up in an answer; None for what is not there."""
    if isinstance(value, dict):
        members = cast("Json", value)
        return {key: resolved(each, answer) for key, each in members.items()}
    if isinstance(value, list):
        return [resolved(each, answer) for each in cast("list[Any]", value)]
    if not (isinstance(value, str) and value.startswith("$response.body#/")):
        return value
    for part in value.removeprefix("$response.body#/").split("/"):
        if isinstance(answer, list):
            elements = cast("list[Any]", answer)
            answer = elements[int(part)] if int(part) < len(elements) else None
        elif answer is not None:
            answer = cast("Json", answer).get(part)
    return answer


@each_link
def test_a_link_names_an_operation_and_its_parameters(source: str, name: str, link: Json) -> None:
    target = _BY_ID[link["operationId"]]
    assert link["description"]
    known = {each["name"] for each in target["parameters"]}
    assert set(link.get("parameters", {})) <= known
    assert link.get("parameters") or link.get("requestBody")


@each_link
def test_a_links_values_stand_in_the_example_of_the_answer(
    source: str, name: str, link: Json
) -> None:
    answer = success(_BY_ID[source])
    assert answer is not None
    for value in link.get("parameters", {}).values():
        if value == "$request.path.id":
            continue
        if value.endswith("refundIds/0"):
            continue  # Only once the return is accepted.
        assert isinstance(resolved(value, answer["example"]), str), value


@each_link
def test_a_links_body_is_one_that_the_operation_takes(source: str, name: str, link: Json) -> None:
    if "requestBody" not in link:
        return
    answer = success(_BY_ID[source])
    assert answer is not None
    body = resolved(link["requestBody"], answer["example"])
    schema = media(_BY_ID[link["operationId"]]["requestBody"])["schema"]
    assert problems_of(body, schema) == []


def test_a_refund_can_be_followed_from_its_order_to_its_end() -> None:
    leads = {(source, link["operationId"]) for source, _, link in LINKS}
    way = ["createOrder", "createFulfillment", "postAdvance"]
    assert {(way[0], way[1]), (way[1], way[2]), ("createOrder", "getOrder")} <= leads
    assert {("getOrder", "createRefund"), ("createRefund", "postAdvance")} <= leads
    assert {("createRefund", "getRefund"), ("getRefund", "updateRefund")} <= leads
    assert {("createReturn", "updateReturn"), ("createDispute", "updateDispute")} <= leads
    assert len(DOCUMENT["paths"]) > 20


def test_no_link_leads_to_what_a_deployment_does_not_have() -> None:
    """Without the test clock there is no operation that moves it."""
    operations = documented_operations(Settings(test_clock=False))
    assert "postAdvance" not in str(openapi_document(operations, version="1"))
