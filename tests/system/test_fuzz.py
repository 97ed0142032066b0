"""A fuzz run of the OpenAPI document: no 5xx, and every answer as documented."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.fixtures import given_captured
from tests.support.http import Api
from tests.support.service import Account, Service

EXAMPLES = int(os.environ.get("REFUNDRY_FUZZ_EXAMPLES", "100"))
AT_LEAST = 2000


@pytest.mark.check
def test_no_generated_request_gets_an_undocumented_answer(
    service: Service, account: Account, api: Api, tmp_path: Path
) -> None:
    for fixture in ("A", "B", "G"):
        given_captured(api, fixture)
    run = subprocess.run(
        [
            str(Path(sys.executable).with_name("schemathesis")),
            "--no-color",
            "--config-file", str(Path(__file__).with_name("schemathesis.toml")),
            "run", f"http://127.0.0.1:{service.port}/openapi.json",
            "--header", f"Authorization:Bearer {account.secret_test}",
            "--checks", "all",
            "--max-examples", str(EXAMPLES),
            "--continue-on-failure",
            "--suppress-health-check", "all",
            "--seed", "1",
        ],
        cwd=tmp_path, capture_output=True, text=True, check=False,
    )  # fmt: skip
    report = run.stdout + run.stderr
    assert run.returncode == 0, report[-20_000:]
    cases = re.search(r"(\d+) generated", report)
    assert cases, report[-2000:]
    assert int(cases[1]) >= AT_LEAST
