"""`refundry user`: beside a running service and without one."""

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.command import Done, complaint, refundry, run_sql, said
from tests.support.service import Service, environment

LINK = r"https://refunds\.shop\.example/dashboard/password/[0-9a-f]{64}"
ENV = {"REFUNDRY_PUBLIC_URL": "https://refunds.shop.example"}


@pytest.fixture(scope="module")
def service() -> Iterator[Service]:
    """The API alone, with an account of its own."""
    with Service("api", ENV) as service:
        done = run(service, "init", "--account", "Shop", "--admin", "ana@shop.example")
        assert re.search(LINK, said(done))
        yield service


def run(service: Service, *arguments: str, text: str | None = None) -> Done:
    """A command on the service's data, with its settings. text: its standard input."""
    own = {name: v for name, v in service.environment.items() if name.startswith("REFUNDRY_")}
    return subprocess.run(
        [sys.executable, "-m", "refundry", *arguments, "--data-dir", str(service.data_dir)],
        env=environment(own), input=text, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip


def listed(service: Service) -> dict[str, list[str]]:
    """What `user list` says, by address."""
    rows = [line.split("\t") for line in said(run(service, "user", "list")).splitlines()]
    return {row[0]: row[1:] for row in rows}


def test_a_user_without_a_password_gets_a_link(service: Service) -> None:
    done = run(service, "user", "create", "bo@shop.example", "--role", "customer_service",
               "--name", "Bo Berg", "--permission-set", "refunds")  # fmt: skip
    assert re.fullmatch(LINK, said(done))
    row = listed(service)["bo@shop.example"]
    assert row == ["Bo Berg", "Customer service", "Staged", "refunds", "never"]


def test_a_user_with_a_password_can_sign_in_and_nothing_tells_the_password(
    service: Service,
) -> None:
    phrase = "correct horse battery"
    done = run(service, "user", "create", "cy@shop.example", "--role", "developer",
               "--password-stdin", text=f"{phrase}\n")  # fmt: skip
    assert said(done) == "cy@shop.example can sign in."
    assert listed(service)["cy@shop.example"] == ["cy", "Developer", "Active", "-", "never"]
    (row,) = run_sql(service.data_dir, "SELECT u::text FROM users u WHERE email LIKE 'cy%'")
    assert "$argon2id$" in row[0]
    assert phrase not in row[0]


def test_what_is_refused_is_said_in_words(service: Service) -> None:
    create = ("user", "create")
    short = run(service, *create, "x@shop.example", "--role", "developer", "--password-stdin",
                text="short\n")  # fmt: skip
    assert complaint(short) == "Error: The password must have at least 12 characters."
    taken = run(service, *create, "ANA@shop.example", "--role", "developer")
    assert complaint(taken) == "Error: A user with this email address exists already."
    wrong = run(service, *create, "nobody", "--role", "developer")
    assert complaint(wrong) == "Error: This is not an email address."
    last = run(service, "user", "suspend", "ana@shop.example")
    assert "last administrator" in complaint(last)
    nobody = run(service, "user", "link", "eve@shop.example")
    assert complaint(nobody) == "Error: User eve@shop.example not found"
    elsewhere = run(service, *create, "x@shop.example", "--role", "developer", "--account", "None")
    assert complaint(elsewhere) == "Error: Account None not found"
    assert "x@shop.example" not in listed(service)


def test_a_link_and_a_suspension_are_written_down_as_the_command_lines(service: Service) -> None:
    said(run(service, "user", "create", "di@shop.example", "--role", "finance_manager"))
    assert re.fullmatch(LINK, said(run(service, "user", "link", "di@shop.example")))
    done = run(service, "user", "suspend", "DI@shop.example")
    assert said(done) == "DI@shop.example is suspended."
    assert listed(service)["di@shop.example"][2] == "Suspended"
    log = run_sql(
        service.data_dir,
        "SELECT actor_name, action FROM audit_log a JOIN users u ON u.id = a.object_id"
        " WHERE u.email = 'di@shop.example' ORDER BY seq",
    )
    assert [tuple(row) for row in log] == [
        ("command line", "user.created"),
        ("command line", "user.link_made"),
        ("command line", "user.suspended"),
    ]


def test_the_commands_work_without_a_service(tmp_path: Path) -> None:
    """The first one makes the sandbox, as `key create` does."""
    done = refundry("user", "create", "ana@shop.example", "--role", "administrator",
                    data_dir=tmp_path, env=ENV)  # fmt: skip
    assert re.fullmatch(LINK, said(done))
    shown = said(refundry("user", "list", data_dir=tmp_path))
    assert shown == "ana@shop.example\tana\tAdministrator\tStaged\t-\tnever"
