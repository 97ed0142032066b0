"""Has pip-audit look for known vulnerabilities of every installed package, and believes no silence.

pip-audit asks a service outside. Where that is out of reach, or does not know a package, this says
"not checked" and ends with 2; a vulnerability ends it with 1. Only "none found, in each and every
package that is installed" ends with 0.
"""

import importlib.metadata
import json
import re
import subprocess
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

# Ours, installed from the tree, which no service knows.
OURS = frozenset({"refundry", "refundry-sync"})
PIP_AUDIT = (sys.executable, "-m", "pip_audit")
OPTIONS = ("--local", "--skip-editable", "--progress-spinner=off", "--format=json")
PATIENCE_SECONDS = 900.0

CLEAN, VULNERABLE, NOT_CHECKED = 0, 1, 2


@dataclass(frozen=True, slots=True)
class Verdict:
    """How it ends. code: the exit code; lines: what to say."""

    code: int
    lines: list[str]


def main(command: Sequence[str]) -> int:
    """Audit this environment. command: what to run for pip-audit."""
    verdict = audit(command, installed())
    for line in verdict.lines:
        print(line, file=sys.stderr if verdict.code else sys.stdout)
    return verdict.code


def audit(command: Sequence[str], packages: Iterable[str]) -> Verdict:
    """packages: the names of those that must have been looked at."""
    try:
        done = subprocess.run(  # nosec B603 # noqa: S603 - the developer's own program, no shell
            [*command, *OPTIONS],
            capture_output=True,
            text=True,
            timeout=PATIENCE_SECONDS,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return _not_checked(f"pip-audit did not end: {error}")
    try:
        found: list[dict[str, Any]] = json.loads(done.stdout)["dependencies"]
        return judge(found, packages)
    except (ValueError, KeyError, TypeError):
        told = done.stderr.strip().splitlines() or ["it said nothing"]
        return _not_checked(f"pip-audit gave no report ({done.returncode}): {told[-1]}")


def judge(found: Sequence[dict[str, Any]], packages: Iterable[str]) -> Verdict:
    """found: pip-audit's dependencies, each with a name and either `vulns` or `skip_reason`."""
    checked = {normal(each["name"]) for each in found if "vulns" in each}
    unchecked = sorted({normal(name) for name in packages} - checked - OURS)
    vulnerable = [
        f"{each['name']} {each['version']}: {one['id']}"
        for each in found
        for one in each.get("vulns", ())
    ]
    if vulnerable:
        also = [f"not checked: {', '.join(unchecked)}"] if unchecked else []
        return Verdict(VULNERABLE, [*vulnerable, *also])
    if unchecked:
        reasons = {each["skip_reason"] for each in found if each.get("skip_reason")}
        why = f" ({min(reasons)})" if reasons else ""
        return _not_checked(f"{len(unchecked)} packages: {', '.join(unchecked)}{why}")
    if not checked:
        return _not_checked("there was nothing to check")
    return Verdict(CLEAN, [f"{len(checked)} packages checked, no known vulnerability."])


def installed() -> set[str]:
    """The names of all that is installed where this runs."""
    return {normal(each.name) for each in importlib.metadata.distributions()}


def normal(name: str) -> str:
    """The form in which names are compared (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name).lower()


def _not_checked(why: str) -> Verdict:
    return Verdict(NOT_CHECKED, [f"not checked: {why}"])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:] or PIP_AUDIT))
