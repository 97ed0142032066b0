"""What the fault runs measure, shown at the end of the session."""

from collections.abc import Iterator

import pytest

from tests.faults.postgres import Node
from tests.support.service import Processor

FIGURES = pytest.StashKey[list[str]]()


def pytest_configure(config: pytest.Config) -> None:
    config.stash[FIGURES] = []


class Figures:
    """Takes lines for the end of the session."""

    def __init__(self, lines: list[str]) -> None:
        self._lines = lines

    def recovered(self, fault: str, seconds: list[float], more: str = "") -> None:
        """seconds: from the end of each fault to the first refund that was accepted again."""
        each = " ".join(f"{second:.2f}" for second in sorted(seconds))
        self._lines.append(f"{fault}: refunds again after {each} s{more and ', '}{more}")

    def saw(self, fault: str, what: str) -> None:
        self._lines.append(f"{fault}: {what}")


@pytest.fixture
def figures(request: pytest.FixtureRequest) -> Figures:
    return Figures(request.config.stash[FIGURES])


@pytest.fixture
def node() -> Iterator[Node]:
    """An external PostgreSQL."""
    with Node("alone") as node:
        node.make()
        yield node


@pytest.fixture
def processor() -> Iterator[Processor]:
    """The counting processor; it is not under test, so no fault touches it."""
    with Processor() as processor:
        yield processor


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    lines = config.stash[FIGURES]
    if lines:
        terminalreporter.section("fault runs")
        for line in lines:
            terminalreporter.write_line(line)
