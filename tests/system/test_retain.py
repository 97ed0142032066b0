"""`refundry retain`, beside a running service."""

import signal
import subprocess
import sys
from collections.abc import Iterator

import pytest

from tests.support.command import Done, refundry, run_sql, said
from tests.support.processes import eventually
from tests.support.service import Service

GIVEN = """
INSERT INTO events (account_id, live, id, created_at, type, order_id, order_sequence, object)
SELECT (SELECT id FROM accounts LIMIT 1), false, 'old-' || n,
       now() - interval '400 days' + n * interval '1 millisecond', 'refund.created',
       'old-order', n, '{}'
  FROM generate_series(1, $1::integer) AS n
"""
COUNT = "SELECT count(*) AS n FROM events WHERE order_id = 'old-order'"


@pytest.fixture(scope="module")
def service() -> Iterator[Service]:
    with Service("api") as service:
        said(refundry("key", "create", "--mode", "test", data_dir=service.data_dir,
                      env=settings_of(service)))  # fmt: skip
        yield service


def settings_of(service: Service) -> dict[str, str]:
    return {name: v for name, v in service.environment.items() if name.startswith("REFUNDRY_")}


def run(service: Service, *arguments: str, **settings: str) -> Done:
    env = settings_of(service) | settings
    return refundry("retain", *arguments, data_dir=service.data_dir, env=env)


def old_events(service: Service) -> int:
    return run_sql(service.data_dir, COUNT)[0]["n"]


def test_a_dry_run_counts_and_a_run_deletes_and_says_so(service: Service) -> None:
    run_sql(service.data_dir, GIVEN, 2500)
    assert "events: 2500 older than 365 days would go" in said(run(service, "--dry-run"))
    assert old_events(service) == 2500
    assert "events: 2500 deleted" in said(run(service)).splitlines()
    assert old_events(service) == 0
    assert "events: 0 deleted" in said(run(service)).splitlines()


def test_a_longer_time_keeps_more_and_a_time_that_is_too_short_is_refused(
    service: Service,
) -> None:
    run_sql(service.data_dir, GIVEN, 10)
    assert "events: 0 deleted" in said(run(service, REFUNDRY_RETAIN_EVENTS="500"))
    assert "retain_events" in run(service, REFUNDRY_RETAIN_EVENTS="89").stderr
    assert old_events(service) == 10
    assert "events: 10 deleted" in said(run(service, REFUNDRY_RETAIN_EVENTS="90"))


def test_it_can_be_stopped_and_run_again(service: Service) -> None:
    run_sql(service.data_dir, GIVEN, 100_000)
    process = subprocess.Popen(
        [sys.executable, "-m", "refundry", "retain", "--data-dir", str(service.data_dir)],
        env=service.environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert eventually(lambda: old_events(service) < 100_000)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=30)
    assert process.returncode == 1
    assert "Traceback" not in err
    assert err.rstrip().endswith("stopped; run it again for the rest.")
    rest = old_events(service)
    assert rest > 0
    assert f"events: {100_000 - rest} deleted" in out.splitlines()
    assert f"events: {rest} deleted" in said(run(service)).splitlines()
    assert old_events(service) == 0
