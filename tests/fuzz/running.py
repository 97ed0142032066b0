"""Runs schemathesis against a service of its own, and looks at what it left behind."""

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.fuzz.hooks import SECRET
from tests.support.command import refundry, run_sql
from tests.support.fixtures import given_captured, settle
from tests.support.processes import children
from tests.support.service import ROOT, Service, environment

HERE = Path(__file__).parent
_LOOK_SECONDS = 2.0
_COUNTED = re.compile(r"(\d+) generated")


@dataclass(frozen=True)
class Round:
    """One run of schemathesis. examples: for each operation, and chains of requests.

    phases: of examples, coverage, fuzzing and stateful.
    """

    seed: int
    examples: int
    phases: str


@dataclass(frozen=True)
class Outcome:
    """What a round came to. cases: as schemathesis counts them."""

    cases: int
    passed: bool
    report: str


class Fuzz:
    """A service under test with an account that has orders to work on."""

    def __init__(self, service: Service, folder: Path) -> None:
        self._service = service
        self._folder = folder
        self.account = service.open_account()
        self._api = service.api(self.account.secret_test)
        # What the start has said is not the requests' doing.
        self._began = self._read = service.log_size()
        self._postgresql_log = service.data_dir / "postgresql.log"
        self._postgresql_began = self._postgresql_log.stat().st_size
        self.answers: dict[int, int] = {}
        for fixture in ("A", "B", "G"):
            given_captured(self._api, fixture)

    def run(self, one: Round, progress: Callable[[int], None]) -> Outcome:
        """Live through a round. progress: is told how many requests were answered so far."""
        report = self._folder / f"report-{one.seed}.txt"
        with report.open("wb") as output:
            process = subprocess.Popen(
                self._command(one), cwd=self._folder, env=self._environment(),
                stdout=output, stderr=subprocess.STDOUT,
            )  # fmt: skip
            try:
                while process.poll() is None:
                    time.sleep(_LOOK_SECONDS)
                    self._count()
                    progress(sum(self.answers.values()))
            finally:
                process.kill()
                process.wait()
        text = report.read_text(errors="replace")
        counted = _COUNTED.search(text)
        return Outcome(int(counted[1]) if counted else 0, process.returncode == 0, text)

    def complaints(self) -> list[str]:
        """What is wrong after the rounds: with the books, or in a log."""
        settle(self._api)
        found: list[str] = []
        audited = refundry("audit", data_dir=self._service.data_dir)
        if audited.returncode != 0:
            found.append(f"audit: {audited.stdout}{audited.stderr}")
        found += [
            line for line in self._service.log_since(self._began).split("\n")[:-1] if _is_bad(line)
        ]
        with self._postgresql_log.open("rb") as file:
            file.seek(self._postgresql_began)
            log = file.read().decode(errors="replace")
        found += [line for line in log.splitlines() if _is_fault(line)]
        return found

    def chains(self) -> dict[str, int]:
        """How many objects of each kind the requests have made."""
        kinds = ("orders", "fulfillments", "refunds", "returns", "disputes", "webhooks")
        return {
            kind: run_sql(
                self._service.data_dir,
                f"SELECT count(*) AS number FROM {kind} WHERE account_id = $1",
                self.account.account_id,
            )[0]["number"]
            for kind in kinds
        }

    def _command(self, one: Round) -> list[str]:
        return [
            str(Path(sys.executable).with_name("schemathesis")),
            "--no-color",
            "--config-file", str(HERE / "schemathesis.toml"),
            "run", f"http://127.0.0.1:{self._service.port}/openapi.json",
            "--header", f"Authorization:Bearer {self.account.secret_test}",
            "--checks", "all",
            "--phases", one.phases,
            "--max-examples", str(one.examples),
            "--continue-on-failure",
            "--suppress-health-check", "all",
            "--generation-database", "none",
            "--seed", str(one.seed),
        ]  # fmt: skip

    def _environment(self) -> dict[str, str]:
        own = {
            "SCHEMATHESIS_HOOKS": "tests.fuzz.hooks",
            SECRET: self._service.sandbox_secret,
            "PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")]),
        }
        return environment({}) | own

    def _count(self) -> None:
        """Count the answers in what the log has new."""
        said = self._service.log_since(self._read)
        whole = said[: said.rfind("\n") + 1]
        self._read += len(whole.encode())
        # Not splitlines: a text of the clients may hold what that takes for the end of a line.
        for line in whole.split("\n"):
            if '"event":"request"' in line:
                status = int(json.loads(line)["status"])
                self.answers[status] = self.answers.get(status, 0) + 1


@contextmanager
def fuzzing(folder: Path) -> Generator[Fuzz]:
    """A whole service, worker included, for as long as it is under test."""
    with Service("serve") as service:
        assert children(service.pid, "worker")
        yield Fuzz(service, folder)


def _is_bad(line: str) -> bool:
    """Whether a line of the log tells of a fault, or is none of ours."""
    try:
        event = json.loads(line)
    except ValueError:
        return True
    return event["level"] in ("error", "critical") or event.get("status", 0) >= 500


def _is_fault(line: str) -> bool:
    """Whether PostgreSQL reports what must not be: an id that is taken is found by writing it."""
    if "ERROR" not in line:
        return "PANIC" in line or "FATAL" in line
    return not re.search(r"duplicate key .* \"(charges|order_lines|sources)_\w*_key\"", line)
