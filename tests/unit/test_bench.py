"""The pure parts of bench/: figures, output, the plan of a run, and what is sent."""

import json
import re
import uuid
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import pytest
from bench.api_log import compare_logs
from bench.client import answer_size
from bench.growth import Size
from bench.growth import compare as compare_sizes
from bench.laying import FIRST_ORDER, join_ids, split_ids
from bench.lists import list_requests
from bench.loads import request_of
from bench.measures import Measure, percentile, to_document, to_lines
from bench.plan import (
    CLIENTS,
    HTTP,
    LOGGED,
    OWN,
    PLAIN,
    ROUNDS,
    STARTS,
    UNLOGGED,
    USUAL,
    Options,
    Part,
    plan_steps,
)
from bench.progress import Progress, minutes
from bench.reference import steady_rate
from bench.settlement import Backlog, to_measures
from bench.sides import Side, compare
from bench.stage import BenchFailed
from bench.statements import EVENT_SEQUENCE, VERSION, Sent, to_script, to_text
from bench.wire import ORDER_GAP

from refundry.app import documented_operations
from refundry.settings import Settings
from refundry.tenant import Tenant

TENANT = Tenant(str(uuid.UUID(int=1)), live=False)
ORDER = "123456789012"


@pytest.mark.parametrize(
    ("values", "percent", "expected"),
    [
        ([7], 99, 7),
        ([1, 2, 3, 4], 50, 2),
        ([4, 3, 2, 1], 75, 3),
        ([1, 2, 3, 4], 76, 4),
        (range(1, 101), 99, 99),
        (range(1, 1001), 99, 990),
        ([5, 1], 100, 5),
    ],
)
def test_percentile_is_the_nearest_rank(
    values: Sequence[float], percent: float, expected: float
) -> None:
    assert percentile(values, percent) == expected


def test_a_measure_is_one_line_of_four_words() -> None:
    measures = [
        Measure("refunds_32", 2345.678, "refunds/s", 0.78912),
        Measure("refunds_32_p99", 33.04, "ms"),
        Measure("cold_start", 1.0049, "s"),
    ]
    assert to_lines(measures).splitlines() == [
        "refunds_32 2346 refunds/s 0.789",
        "refunds_32_p99 33.0 ms -",
        "cold_start 1.00 s -",
    ]


def test_the_document_holds_the_machine_and_every_measure_unrounded() -> None:
    document = json.loads(to_document({"cores": 2}, [Measure("cold_start", 1.0049, "s")]))
    measure = {"name": "cold_start", "value": 1.0049, "unit": "s", "ratio": None}
    assert document == {"machine": {"cores": 2}, "measures": [measure]}


def test_a_round_measures_every_side_and_the_next_one_does_so_in_the_opposite_order() -> None:
    steps = plan_steps(Options(6, 10_000, frozenset({Part.REFUNDS})))
    sides = [step.side for step in steps if step.part is Part.REFUNDS and step.clients == 8]
    assert sides == [PLAIN, OWN, HTTP, HTTP, OWN, PLAIN]


def test_a_whole_run_is_planned_to_take_less_than_eight_minutes() -> None:
    steps = plan_steps(Options(6, 10_000, USUAL))
    assert sum(step.seconds for step in steps) < 8 * 60
    assert sum(step.part is Part.START for step in steps) == STARTS
    assert sum(step.part is Part.ORDERS for step in steps) == len(CLIENTS) * ROUNDS * 2


def test_a_backlog_that_grows_is_told_by_its_slope_and_by_what_was_settled() -> None:
    times = [float(second) for second in range(11)]
    flat, growing = Backlog(times, [40, 60] * 5 + [40]), Backlog(times, list(range(0, 1100, 100)))
    of_flat, of_growing = (
        {measure.name: measure for measure in to_measures(backlog, 400.0, 800.0)}
        for backlog in (flat, growing)
    )
    assert of_flat["settlement_settled"].value == 400
    assert of_flat["settlement_backlog_growth"].ratio == pytest.approx(0, abs=0.01)
    assert of_flat["settlement_backlog_max"].value == 60
    assert of_growing["settlement_settled"].ratio == 0.75
    assert of_growing["settlement_backlog_growth"].value == pytest.approx(100)
    assert of_growing["settlement_created"].ratio == 1


def test_only_what_was_asked_for_is_planned() -> None:
    steps = plan_steps(Options(6, 10_000, frozenset({Part.START})))
    assert {step.part for step in steps} == {None, Part.START}


def test_progress_says_which_step_of_how_many_and_how_long_is_left(
    capsys: pytest.CaptureFixture[str],
) -> None:
    steps = plan_steps(Options(6, 1500, frozenset()))
    progress = Progress(steps)
    for step in steps:
        progress.begin(step)
    _, last = capsys.readouterr().err.splitlines()
    assert last == "[ 2/2] lay 1500 orders (0:01 left)"


def test_minutes_are_rounded() -> None:
    assert [minutes(seconds) for seconds in (0, 59.6, 125)] == ["0:00", "1:00", "2:05"]


def test_the_reference_is_the_best_form() -> None:
    sides = {
        PLAIN: Side(rates=[900, 1100], requests=1),
        OWN: Side(rates=[500, 500], requests=1),
        HTTP: Side(rates=[400, 600], micros=[1000, 3000], requests=1),
    }
    found = {measure.name: measure for measure in compare(Part.REFUNDS, 1, sides)}
    assert found["refunds_1"] == Measure("refunds_1", 500, "refunds/s", 0.5)
    assert found["refunds_1_alone_own"].ratio == 0.5
    assert (found["refunds_1_p50"].value, found["refunds_1_p99"].value) == (1, 3)


def test_the_api_log_is_measured_in_turns_and_its_cost_is_below_one() -> None:
    steps = plan_steps(Options(6, 10_000, frozenset({Part.API_LOG})))
    sides = [step.side for step in steps if step.part is Part.API_LOG]
    assert sides == 2 * [LOGGED, UNLOGGED, UNLOGGED, LOGGED]
    logged = Side([90, 110], [], 200, 0.03, 0.05, 0.02)
    alone = Side([125, 125], [], 250, 0.025, 0.05, 0.025)
    found = {measure.name: measure for measure in compare_logs({LOGGED: logged, UNLOGGED: alone})}
    assert found["refunds_32_with_log"] == Measure("refunds_32_with_log", 100, "refunds/s", 0.8)
    everything = found["refunds_32_with_log_cpu_all"]
    assert (everything.value, everything.ratio) == (pytest.approx(500), pytest.approx(0.8))


def test_the_rate_of_pgbench_leaves_the_warm_up_out() -> None:
    lines = [
        "pgbench (18.6)",
        "progress: 1.0 s, 10.0 tps, lat 1.0 ms stddev 0.1, 0 failed",
        "progress: 2.0 s, 100.0 tps, lat 1.0 ms stddev 0.1, 0 failed",
        "progress: 4.0 s, 400.0 tps, lat 1.0 ms stddev 0.1, 0 failed",
    ]
    assert steady_rate(lines) == pytest.approx(300)
    with pytest.raises(BenchFailed):
        steady_rate(lines[:2])


def test_a_request_keeps_its_length_when_the_order_is_put_in() -> None:
    head, _, body = request_of(Part.REFUNDS, "sk_test_1").partition("\r\n\r\n")
    assert f"Content-Length: {len(body)}" in head
    assert len(ORDER_GAP) == len(str(FIRST_ORDER))
    assert request_of(Part.ORDERS, "sk_test_1").count(ORDER_GAP) == 1


@pytest.mark.parametrize(
    ("received", "size"),
    [
        (b"HTTP/1.1 201 Created\r\nContent-Len", 0),
        (b"HTTP/1.1 201 Created\r\nContent-Length: 12\r\n\r\n{", 56),
        (b"HTTP/1.1 204 No Content\r\n\r\n", 27),
    ],
)
def test_the_size_of_an_answer_is_known_from_its_head(received: bytes, size: int) -> None:
    assert answer_size(received) == size


def test_ids_are_replaced_wherever_they_stand_and_nothing_else_is() -> None:
    old = str(uuid.UUID(int=7))
    values: list[Any] = [f'{{"id":"ful_{old}","order":"{ORDER}"}}', [old], 5, None, "4" * 16]
    ids = {old: "new", ORDER: "500000000000"}
    replaced = [join_ids(split_ids(value), ids) for value in values]
    assert replaced == ['{"id":"ful_new","order":"500000000000"}', ["new"], 5, None, "4" * 16]


def test_a_script_draws_what_differs_and_passes_the_rest() -> None:
    sent = [
        Sent("SELECT version FROM orders WHERE account_id = $1 AND id = $2",
             (TENANT.account_id, ORDER)),
        Sent("WRITE $1 $2 $3 $4 $5 $6", (
            [ORDER, None], VERSION, [EVENT_SEQUENCE + 1], [datetime.now(UTC)],
            [f"re_{uuid.uuid4()}", "text"], [str(uuid.uuid4())],
        )),
    ]  # fmt: skip
    script = to_script("draw\n", sent, TENANT, ORDER)
    assert script.text == (
        "draw\n"
        "SELECT version FROM orders WHERE account_id = :constant_1 AND id = :order_id\n\\gset\n"
        "WRITE ARRAY[:order_id, NULL] :version ARRAY[:event_sequence + 1] ARRAY[now()]"
        " ARRAY['re_' || gen_random_uuid(), :constant_2] ARRAY[gen_random_uuid()::text];\n"
    )
    assert script.variables == {"constant_1": TENANT.account_id, "constant_2": "text"}


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (True, "true"),
        (5, "5"),
        ([], "{}"),
        ([1, None], '{"1",NULL}'),
        (["{1,2}", 'a "b" \\'], '{"{1,2}","a \\"b\\" \\\\"}'),
    ],
)
def test_values_are_written_as_postgresql_reads_them(value: object, text: str) -> None:
    assert to_text(value) == text


def test_growth_asks_for_every_list_with_every_filter() -> None:
    asked = dict(list_requests())
    for operation in documented_operations(Settings()):
        if operation.paged and "{" not in operation.path:
            assert operation.path in asked.values()
            for each in operation.filters:
                begin = f"{operation.path}?{each.name}"
                assert any(re.match(re.escape(begin) + r"[=\[]", path) for path in asked.values())


def test_growth_compares_the_large_tables_with_the_small_ones() -> None:
    small = Size(10, [100, 300], [1000, 3000], 10_000, 2.0, {"a": 2.0, "b": 4.0})
    large = Size(90, [100, 100], [6000], 10_000, 4.0, {"a": 3.0, "b": 8.0})
    assert [measure.line() for measure in compare_sizes(small, large)] == [
        "refunds_32 100 refunds/s 0.500",
        "refunds_32_p99 6.00 ms 0.500",
        "refunds_32_cpu_postgres 400 us/request 0.500",
        "list_a 3.00 ms 1.500",
        "list_b 8.00 ms 2.000",
        "lists 2.00 lists -",
        "lists_over_1.5 1.00 lists -",
    ]
