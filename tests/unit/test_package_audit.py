"""`make audit` passes only where every installed package was looked at and none is vulnerable.

pip-audit itself is played by a program that prints what it would.
"""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from tools.audit_packages import OPTIONS, installed, normal

from tests.support.service import ROOT

SCRIPT = ROOT / "tools" / "audit_packages.py"
PACKAGES = sorted(installed() - {"refundry", "refundry-sync"})
Report = dict[str, Any]


def clean(name: str) -> Report:
    return {"name": name, "version": "1.0", "vulns": []}


def skipped(name: str) -> Report:
    return {"name": name, "skip_reason": f"Dependency not found and could not be audited: {name}"}


def vulnerable(name: str) -> Report:
    return clean(name) | {"vulns": [{"id": "PYSEC-2026-1", "fix_versions": ["1.1"]}]}


OURS = {"name": "refundry", "skip_reason": "distribution marked as editable"}


def audit(folder: Path, code: int, printed: str, complaint: str = "") -> tuple[int, str, str]:
    """Run the script with a pip-audit that prints this and ends with `code`."""
    stub = folder / "pip_audit_stub.py"
    stub.write_text(
        "import sys\n"
        f"assert sys.argv[1:] == {list(OPTIONS)!r}\n"
        f"print({printed!r})\nprint({complaint!r}, file=sys.stderr)\nsys.exit({code})\n"
    )
    done = subprocess.run(
        [sys.executable, str(SCRIPT), sys.executable, str(stub)],
        capture_output=True,
        text=True,
        timeout=60,
        env=dict(os.environ),
        check=False,
    )
    return done.returncode, done.stdout.strip(), done.stderr.strip()


def report(*dependencies: Report) -> str:
    return json.dumps({"dependencies": dependencies, "fixes": []})


def test_all_of_them_clean_is_clean(tmp_path: Path) -> None:
    printed = report(OURS, *map(clean, PACKAGES))
    assert audit(tmp_path, 0, printed) == (
        0,
        f"{len(PACKAGES)} packages checked, no known vulnerability.",
        "",
    )


def test_a_vulnerable_one_is_named(tmp_path: Path) -> None:
    first, *others = PACKAGES
    printed = report(vulnerable(first), *map(clean, others))
    assert audit(tmp_path, 1, printed) == (1, "", f"{first} 1.0: PYSEC-2026-1")


def test_a_vulnerable_one_is_named_whatever_pip_audit_ends_with(tmp_path: Path) -> None:
    first, second, *others = PACKAGES
    printed = report(vulnerable(first), skipped(second), *map(clean, others))
    code, out, said = audit(tmp_path, 0, printed)
    assert (code, out) == (1, "")
    assert said == f"{first} 1.0: PYSEC-2026-1\nnot checked: {second}"


def test_a_service_out_of_reach_is_not_checked(tmp_path: Path) -> None:
    unreachable = "ERROR:pip_audit._cli:Could not connect to the vulnerability service"
    code, out, said = audit(tmp_path, 1, "", unreachable)
    assert (code, out) == (2, "")
    assert said == f"not checked: pip-audit gave no report (1): {unreachable}"


@pytest.mark.parametrize("printed", ["[]", "{}", "null", '{"dependencies": [1]}', "No known"])
def test_a_report_of_another_form_is_not_checked(tmp_path: Path, printed: str) -> None:
    code, out, said = audit(tmp_path, 0, printed)
    assert (code, out) == (2, "")
    assert said == "not checked: pip-audit gave no report (0): it said nothing"


def test_every_package_skipped_is_not_checked(tmp_path: Path) -> None:
    """As where a mirror serves the packages and does not know the questions."""
    code, out, said = audit(tmp_path, 0, report(OURS, *map(skipped, PACKAGES)))
    assert (code, out) == (2, "")
    assert said.startswith(f"not checked: {len(PACKAGES)} packages: {PACKAGES[0]}, ")
    assert "could not be audited" in said


@pytest.mark.parametrize("last", [[], [skipped(PACKAGES[-1])]], ids=["left out", "skipped"])
def test_one_package_not_looked_at_is_not_checked(tmp_path: Path, last: list[Report]) -> None:
    code, out, said = audit(tmp_path, 0, report(*map(clean, PACKAGES[:-1]), *last))
    assert (code, out) == (2, "")
    assert said.startswith(f"not checked: 1 packages: {PACKAGES[-1]}")


def test_an_empty_report_is_not_checked(tmp_path: Path) -> None:
    code, _, said = audit(tmp_path, 0, report())
    assert code == 2
    assert said.startswith(f"not checked: {len(PACKAGES)} packages: ")


def test_without_pip_audit_nothing_is_checked(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, str(SCRIPT), str(tmp_path / "absent")],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("not checked: pip-audit did not end")


def test_names_are_compared_as_packages_are() -> None:
    assert normal("Foo_.-Bar") == "foo-bar"
    assert {"pytest-asyncio", "refundry"} <= installed()
