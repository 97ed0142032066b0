"""The command line: every command by its exit code, what it prints, and what it leaves behind."""

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import refundry as package
from tests.support.command import Done, complaint, refundry, refundry_inside, run_sql, said
from tests.support.fixtures import (
    ask,
    charges,
    fulfil,
    get_order,
    get_refund,
    given_captured,
    order_body,
    paid_by,
    refund,
    source,
)
from tests.support.http import Api, Doc, expect, money
from tests.support.processes import eventually
from tests.support.service import Account, Service, environment

KEY = r"[0-9a-f]{32}"
LINK = r"http://127\.0\.0\.1:8080/dashboard/password/[0-9a-f]{64}"
PREFIXES = {"secret": "sk", "public": "pk", "restricted": "rk"}
URL_FORM = "database_url is not of the form postgresql://user:password@host:port/database"


@pytest.fixture(scope="module")
def made() -> Iterator[Service]:
    """The API alone: nothing is done in the background."""
    with Service("api") as service:
        yield service


@pytest.fixture
def service(made: Service) -> Service:
    """The service, running; a test may end it."""
    if not made.running:
        made.start()
    return made


def run(service: Service, *arguments: str) -> Done:
    """A command on the service's data, with its settings."""
    own = {name: v for name, v in service.environment.items() if name.startswith("REFUNDRY_")}
    return refundry(*arguments, data_dir=service.data_dir, env=own)


def status(service: Service, key: str) -> int:
    return service.api(key).get("/orders").status_code


def test_version_is_printed_alone() -> None:
    assert said(refundry("version")) == package.__version__


def test_help_names_every_command() -> None:
    text = said(refundry("--help"))
    for name in ("serve", "api", "worker", "migrate", "work", "init", "key", "audit", "operation",
                 "user", "config", "version"):  # fmt: skip
        assert re.search(rf"^  {name} ", text, re.MULTILINE), name


def config(folder: Path, *arguments: str, **variables: str) -> dict[str, str]:
    """What `refundry config` says is in force."""
    done = refundry("config", *arguments, env=variables, folder=folder)
    return dict(line.split(" = ", 1) for line in said(done).splitlines())


def test_an_option_beats_a_variable_beats_the_file_beats_the_default(tmp_path: Path) -> None:
    assert config(tmp_path)["data_dir"] == "refundry-data"
    (tmp_path / "refundry.toml").write_text('port = 1\npool_size = 3\ndata_dir = "from-file"\n')
    assert (config(tmp_path)["port"], config(tmp_path)["data_dir"]) == ("1", "from-file")
    shown = config(tmp_path, REFUNDRY_PORT="2", REFUNDRY_DATA_DIR="from-variable")
    assert (shown["port"], shown["pool_size"]) == ("2", "3")
    assert shown["data_dir"] == "from-variable"
    shown = config(tmp_path, "--data-dir", "from-option", REFUNDRY_DATA_DIR="from-variable")
    assert shown["data_dir"] == "from-option"


def test_a_named_file_stands_in_for_the_one_of_the_folder(tmp_path: Path) -> None:
    (tmp_path / "refundry.toml").write_text("port = 1\n")
    (tmp_path / "other.toml").write_text("pool_size = 7\n")
    shown = config(tmp_path, REFUNDRY_CONFIG="other.toml")
    assert (shown["port"], shown["pool_size"]) == ("8080", "7")


def test_config_masks_every_secret(tmp_path: Path) -> None:
    names = (
        "ENCRYPTION_KEY",
        "SANDBOX_SECRET",
        "PROCESSOR_SECRET",
        "TEST_PROCESSOR_SECRET",
    )
    variables = {f"REFUNDRY_{name}": "hush" for name in names}
    shown = config(tmp_path, **variables)
    assert "hush" not in str(shown)
    assert {shown[name.lower()] for name in names} == {"********"}


@pytest.mark.parametrize(
    ("url", "wanted"),
    [
        ("postgresql://ana:hush@db:5432/refundry", "postgresql://ana:********@db:5432/refundry"),
        ("postgresql://ana:hu@sh@db/refundry", "postgresql://ana:********@db/refundry"),
        ("postgresql://ana@db/refundry", "postgresql://ana@db/refundry"),
        ("postgresql://db/r?user=ana&password=hush", "postgresql://db/r?user=ana&password=********"),
        ("postgresql://a:hush@db/r?sslpassword=hush", "postgresql://a:********@db/r?sslpassword=********"),
    ],
)  # fmt: skip
def test_config_masks_the_password_of_the_database(tmp_path: Path, url: str, wanted: str) -> None:
    assert config(tmp_path, "--database-url", url)["database_url"] == wanted


@pytest.mark.parametrize(
    ("variables", "message"),
    [
        ({"PORT": "http"}, "port: Expected `int`, got `str`"),
        ({"PORT": "99999"}, "port: Expected `int` <= 65535"),
        ({"PORT": "-1"}, "port: Expected `int` >= 0"),
        ({"PROCESSES": "0"}, "processes: Expected `int` >= 1"),
        ({"POOL_SIZE": "0"}, "pool_size: Expected `int` >= 1"),
        ({"RATE_LIMIT_TEST": "-5"}, "rate_limit_test: Expected `int` >= 0"),
        ({"SANDBOX_DELAY": "nan"}, "sandbox_delay: Expected `float` >= 0.0"),
        ({"SANDBOX_DELAY": "1e30"}, "sandbox_delay: Expected `float` <= 31536000.0"),
        ({"PROCESSOR_TIMEOUT": "0"}, "processor_timeout: Expected `float` > 0.0"),
        ({"LOG_LEVEL": "loud"}, "log_level: Invalid enum value 'loud'"),
        ({"TEST_CLOCK": "perhaps"}, "test_clock: Expected `bool`, got `str`"),
        ({"PROCESSOR": "http"}, "processor = http needs processor_url and processor_secret"),
        ({"DATABASE_URL": "mysql://ana:hush@db/refundry"}, URL_FORM),
        ({"DATABASE_URL": "postgresql://ana:hush@db:none/refundry"}, URL_FORM),
        ({"DATABASE_URL": "refundry"}, URL_FORM),
        ({"CONFIG": "no.toml"}, "no.toml: [Errno 2] No such file or directory: 'no.toml'"),
    ],
)
def test_a_setting_that_cannot_be_used_is_named(
    tmp_path: Path, variables: dict[str, str], message: str
) -> None:
    env = {f"REFUNDRY_{name}": value for name, value in variables.items()}
    done = refundry_inside("config", env=env, folder=tmp_path)
    assert complaint(done) == f"Error: {message}"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("prot = 8080\n", "refundry.toml: unknown setting prot"),
        ('port = "http"\n', "port: Expected `int`, got `str`"),
        ("port 8080\n", "refundry.toml: Expected '=' after a key"),
    ],
)
def test_a_mistake_in_the_file_is_named(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "refundry.toml").write_text(text)
    assert message in complaint(refundry_inside("config", folder=tmp_path))


@pytest.mark.parametrize(
    "line",
    [
        "nonsense",
        "serve --nonsense",
        "serve --port http",
        "work",
        "init --account A",
        "key create",
        "key create --mode tset",
        "key create --mode test --kind private",
        "key create --mode test --kind restricted",
        "key create --mode test --kind restricted --permission refunds",
        "key create --mode test --kind restricted --permission refunds=none",
        "key create --mode test --kind restricted --permission refunds=all",
        "key create --mode test --kind restricted --permission rebates=read",
        "key create --mode test --kind public --permission refunds=read",
        "key create --mode test --old-key 2h",
        "operation settle some-id",
        "operation settle some-id complete",
        "operation settle some-id paid --note n",
    ],
)
def test_a_line_that_makes_no_sense_ends_with_2_before_anything_is_done(
    tmp_path: Path, line: str
) -> None:
    done = refundry_inside(*line.split(), folder=tmp_path)
    assert said(done, 2) == ""
    assert "\nError: " in done.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://refundry:hush@127.0.0.1:1/refundry",
        "postgresql://refundry:hush@127.0.0.1:1,127.0.0.1:2/refundry",
        "postgresql://refundry:hush@/refundry?host=/nowhere",
    ],
)
@pytest.mark.parametrize("line", ["audit", "migrate", "key create --mode test"])
def test_a_database_that_cannot_be_reached_is_said(url: str, line: str) -> None:
    done = refundry(*line.split(), "--database-url", url)
    assert complaint(done).startswith("Error: the database cannot be reached: ")
    assert "hush" not in done.stderr


def test_a_database_that_lets_us_not_in_is_said(service: Service) -> None:
    socket = service.data_dir / "postgresql"
    url = f"postgresql://refundry:{{}}@/{{}}?host={socket}&port=5432"
    password = (service.data_dir / "password").read_text().strip()
    wrong = complaint(refundry("audit", "--database-url", url.format("guessed", "refundry")))
    assert wrong == (
        'Error: the database cannot be reached: password authentication failed for user "refundry"'
    )
    absent = complaint(refundry("audit", "--database-url", url.format(password, "nowhere")))
    assert absent == 'Error: the database cannot be reached: database "nowhere" does not exist'
    right = refundry("migrate", "--database-url", url.format(password, "refundry"))
    # Another folder has another encryption key, which does not fit this database.
    assert "REFUNDRY_ENCRYPTION_KEY is not the key" in complaint(right)


def test_a_database_without_our_tables_asks_to_be_migrated(service: Service) -> None:
    run_sql(service.data_dir, "CREATE DATABASE empty")
    password = (service.data_dir / "password").read_text().strip()
    socket = service.data_dir / "postgresql"
    url = f"postgresql://refundry:{password}@/empty?host={socket}&port=5432"
    assert "refundry migrate" in complaint(refundry("audit", "--database-url", url))
    done = refundry("migrate", "--database-url", url, data_dir=service.data_dir)
    assert said(done) == "The schema is up to date."
    done = refundry("audit", "--database-url", url, data_dir=service.data_dir)
    assert said(done) == "0 orders audited, 0 do not add up."


def test_migrate_makes_the_schema_once(tmp_path: Path) -> None:
    first = refundry("migrate", data_dir=tmp_path)
    assert said(first) == "The schema is up to date."
    assert "migrating: 0001_initial.sql" in first.stderr
    second = refundry("migrate", data_dir=tmp_path)
    assert (said(second), second.stderr) == ("The schema is up to date.", "")


def test_a_schema_of_another_version_is_refused(service: Service) -> None:
    first = "WHERE name = '0001_initial.sql'"
    ((before,),) = run_sql(service.data_dir, f"SELECT checksum FROM schema_migrations {first}")
    change = f"UPDATE schema_migrations SET checksum = $1 {first}"
    run_sql(service.data_dir, change, "of another text")
    try:
        refused = complaint(run(service, "migrate"))
        assert "migration 0001_initial.sql was applied with another text" in refused
    finally:
        run_sql(service.data_dir, change, before)


def opened_keys(done: Done) -> dict[str, str]:
    """The lines that `refundry init` prints."""
    return dict(re.split(" {2,}", line) for line in said(done).splitlines())


def test_init_prints_four_keys_that_work_at_once(service: Service) -> None:
    done = run(service, "init", "--account", "Corner Shop", "--admin", "ana@example.com")
    keys = opened_keys(done)
    assert keys.pop("account") == "Corner Shop"
    assert re.fullmatch(LINK, keys.pop("link"))
    forms = {name: re.sub(rf"{KEY}$", "…", key) for name, key in keys.items()}
    assert forms == {
        "secret test": "sk_test_…",
        "public test": "pk_test_…",
        "secret live": "sk_live_…",
        "public live": "pk_live_…",
    }
    assert {name: status(service, key) for name, key in keys.items()} == {
        "secret test": 200,
        "public test": 403,
        "secret live": 200,
        "public live": 403,
    }
    made = run_sql(service.data_dir, "SELECT email, role, status FROM users")
    assert [tuple(row) for row in made] == [("ana@example.com", "administrator", "staged")]


def test_init_with_a_name_that_is_taken_fails_and_changes_nothing(service: Service) -> None:
    line = ("init", "--account", "Twice", "--admin")
    keys = opened_keys(run(service, *line, "ada@example.com"))
    refused = run(service, *line, "bea@example.com")
    assert complaint(refused) == "Error: an account named Twice exists already"
    assert refused.stdout == ""
    assert status(service, keys["secret test"]) == 200
    assert run_sql(service.data_dir, "SELECT 1 FROM users WHERE email LIKE 'bea%'") == []


@pytest.mark.parametrize("mode", ["test", "live"])
@pytest.mark.parametrize(
    ("kind", "options", "answers"),
    [
        ("secret", [], (200, 200)),
        ("public", [], (403, 403)),
        ("restricted", ["--permission", "orders=read"], (200, 403)),
        ("restricted", ["--permission", "refunds=Read/Write"], (403, 200)),
        ("restricted", ["--permission", "orders=write"], (403, 403)),
    ],
)
def test_a_key_of_every_kind_is_printed_alone_and_works_at_once(
    service: Service, mode: str, kind: str, options: list[str], answers: tuple[int, int]
) -> None:
    """answers: to reading orders, and refunds."""
    done = run(service, "key", "create", "--mode", mode, "--kind", kind, *options)
    key = said(done)
    assert re.fullmatch(rf"{PREFIXES[kind]}_{mode}_{KEY}", key)
    assert done.stdout == f"{key}\n"
    api = service.api(key)
    found = api.get("/orders").status_code, api.get("/refunds").status_code
    assert found == answers


def test_the_first_key_of_a_fresh_directory_belongs_to_the_sandbox(tmp_path: Path) -> None:
    done = refundry("key", "create", "--mode", "test", data_dir=tmp_path)
    key = said(done)
    assert re.fullmatch(rf"sk_test_{KEY}", key)
    assert done.stdout == f"{key}\n"
    again = said(refundry("audit", data_dir=tmp_path))
    assert again == "6 orders audited, 0 do not add up."


def test_a_key_of_an_unknown_account_fails(service: Service) -> None:
    refused = run(service, "key", "create", "--mode", "test", "--account", "Nobody's")
    assert complaint(refused) == "Error: Account Nobody's not found"


def test_a_replaced_key_stays_valid_for_a_day_unless_it_is_blocked(service: Service) -> None:
    keys = opened_keys(run(service, "init", "--account", "Turning", "--admin", "a@example.com"))
    first, other = keys["secret test"], keys["secret live"]

    def turn(*options: str) -> str:
        line = ("key", "create", "--mode", "test", "--account", "Turning", *options)
        return said(run(service, *line))

    second = turn()
    assert [status(service, key) for key in (first, second)] == [200, 200]
    third = turn("--old-key", "now")
    # What was replaced before keeps its own time: only the key that is replaced now is blocked.
    assert [status(service, key) for key in (first, second, third)] == [200, 401, 200]
    assert status(service, other) == 200
    lives = run_sql(
        service.data_dir,
        "SELECT expires_at - now() AS left FROM api_keys k JOIN accounts a ON a.id = k.account_id"
        " WHERE a.name = 'Turning' AND expires_at > now()",
    )
    ((left,),) = lives
    assert 23.9 < left.total_seconds() / 3600 <= 24


def test_keys_made_while_the_service_is_down_work_when_it_is_up(
    service: Service, account: Account
) -> None:
    ((name,),) = run_sql(
        service.data_dir, "SELECT name FROM accounts WHERE id = $1", account.account_id
    )
    service.stop()
    key = said(run(service, "key", "create", "--mode", "test", "--account", name))
    blocked = said(run(service, "key", "create", "--mode", "live", "--account", name,
                       "--old-key", "now"))  # fmt: skip
    service.start()
    assert [status(service, each) for each in (key, account.secret_test)] == [200, 200]
    assert [status(service, each) for each in (blocked, account.secret_live)] == [200, 401]


def test_drain_pays_what_is_due_beside_the_running_service(service: Service, api: Api) -> None:
    asked = refund(api, given_captured(api, "A"), amount="5.00")
    done = said(run(service, "work", "--drain"))
    assert re.fullmatch(r"[1-9]\d* steps of work done; none is due\.", done)
    assert get_refund(api, asked)["state"] == "succeeded"
    assert said(run(service, "work", "--drain")) == "0 steps of work done; none is due."


def test_drain_pays_what_is_due_without_a_service(service: Service, api: Api) -> None:
    asked = refund(api, given_captured(api, "A"), amount="5.00")
    service.stop()
    assert said(run(service, "work", "--drain")).endswith("none is due.")
    service.start()
    assert get_refund(api, asked)["state"] == "succeeded"


def test_a_worker_of_its_own_does_the_work_of_the_api(service: Service, api: Api) -> None:
    command = [sys.executable, "-m", "refundry", "worker", "--data-dir", str(service.data_dir)]
    log = service.data_dir / "worker.log"
    with log.open("wb") as output:
        worker = subprocess.Popen(
            command, env=service.environment, stdout=output, stderr=subprocess.STDOUT
        )
    try:
        asked = refund(api, given_captured(api, "A"), amount="5.00")
        assert eventually(lambda: get_refund(api, asked)["state"] == "succeeded")
        assert eventually(lambda: api.get("/readyz").status_code == 200)
    finally:
        worker.terminate()
        assert worker.wait(30) == 0
    assert "worker_stopped" in log.read_text()


def test_audit_is_content_with_what_the_api_wrote(service: Service, api: Api) -> None:
    given_captured(api, "C")
    assert said(run(service, "audit")).endswith(" orders audited, 0 do not add up.")


@pytest.mark.parametrize(
    ("table", "cell", "figure"),
    [
        ("order_lines", "held[1]", "line 0 product held"),
        ("order_lines", "refunded[2]", "line 0 tax refunded"),
        ("orders", "refunded_minor", "refunded"),
    ],
)
def test_audit_names_the_order_that_does_not_add_up(
    service: Service, api: Api, table: str, cell: str, figure: str
) -> None:
    """One minor unit too much, written past the code."""
    order, other = given_captured(api, "A"), given_captured(api, "A")
    column = "id" if table == "orders" else "order_id"
    change = f"UPDATE {table} SET {cell} = {cell} {{}} 1 WHERE {column} = $1"
    run_sql(service.data_dir, change.format("+"), order["id"])
    try:
        done = run(service, "audit")
        found = said(done, 1)
        assert f"order {order['id']} (test, account " in found
        assert f"{figure} is kept as 1 minor units, the journal says 0" in found
        assert other["id"] not in found
        assert done.stderr.strip().endswith(" orders audited, 1 do not add up.")
    finally:
        run_sql(service.data_dir, change.format("-"), order["id"])
    said(run(service, "audit"))


def given_live_capture(service: Service, account: Account) -> tuple[Api, Doc]:
    """A live order, fulfilled; its capture waits for a person."""
    live = service.api(account.secret_live)
    body = order_body("A", payment=paid_by(source("payPal", 27.01)))
    order = expect(live.post("/orders", body), 201)
    fulfil(live, order, 2)
    said(run(service, "work", "--drain"))
    return live, get_order(live, order)


def open_operations(service: Service, order: Doc) -> list[list[str]]:
    rows = [line.split("\t") for line in said(run(service, "operation", "list")).splitlines()]
    return [row for row in rows if f"order {order['id']}" in row]


def settled(service: Service, operation_id: str, *outcome: str) -> str:
    return said(
        run(service, "operation", "settle", operation_id, *outcome, "--note", "Ana, by phone")
    )


def test_a_person_settles_what_no_processor_does(service: Service, account: Account) -> None:
    """The default of live mode: captures and refunds wait for `refundry operation settle`."""
    live, order = given_live_capture(service, account)
    (row,) = open_operations(service, order)
    assert row[1:] == ["live", "capture", "27.01 USD", f"order {order['id']}", "waiting"]
    assert settled(service, row[0], "complete") == "booked."
    assert get_order(live, order)["capturedAmount"] == money("27.01")

    paid = expect(ask(live, order, amount="5.00"), 201)
    failed = expect(ask(live, order, amount="2.00"), 201)
    said(run(service, "work", "--drain"))
    first, second = open_operations(service, order)
    assert [row[2:4] for row in (first, second)] == [["refund", "5.0 USD"], ["refund", "2.0 USD"]]
    assert settled(service, first[0], "complete") == "booked."
    assert settled(service, second[0], "failed", "--reason", "account_closed") == "booked."
    assert get_refund(live, paid)["state"] == "succeeded"
    ended = get_refund(live, failed)
    assert (ended["state"], ended["failureReason"]) == ("failed", "account_closed")
    assert get_order(live, order)["availableToRefundAmount"] == money("22.01")
    assert open_operations(service, order) == []

    again = settled(service, first[0], "complete")
    assert again == "it had ended already; nothing was changed."
    rows = run_sql(service.data_dir, "SELECT note FROM charge_operations WHERE id = $1", first[0])
    assert rows[0]["note"] == "Ana, by phone\nAna, by phone"
    assert get_refund(live, paid)["refundedAmount"] == money("5.0")
    assert len(charges(live, order)["payPal"]["refunds"]) == 2
    said(run(service, "audit"))


def test_an_unknown_operation_cannot_be_settled(service: Service) -> None:
    refused = run(service, "operation", "settle", "no-such-id", "complete", "--note", "n")
    assert complaint(refused) == "Error: Operation no-such-id not found"


def test_a_failure_reason_that_is_not_ours_is_refused(service: Service) -> None:
    refused = run(service, "operation", "settle", "any", "failed", "--reason", "bored",
                  "--note", "n")  # fmt: skip
    assert "bored" in complaint(refused, 2)


def test_commands_take_their_settings_from_variables(service: Service) -> None:
    variables = {**environment({}), "REFUNDRY_DATA_DIR": str(service.data_dir)}
    done = refundry("audit", env=variables, folder=service.data_dir.parent)
    assert said(done).endswith("0 do not add up.")
