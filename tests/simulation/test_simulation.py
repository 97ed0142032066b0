"""Worlds from seeds: nothing is wrong in them, they replay exactly, and faults are found."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from refundry.settings import Settings
from tests.simulation.__main__ import server_ready, simulate
from tests.simulation.faults import FAULTS
from tests.simulation.server import Server

ROOT = Path(__file__).parents[2]
# In how many worlds each fault must be found; a few of them need luck.
_WITHIN = 60
_FEW, _MANY = 16, 1000
Ready = tuple[Server, Settings]


@pytest.fixture(scope="module")
def ready() -> Iterator[Ready]:
    with server_ready() as ready:
        yield ready


def test_nothing_is_wrong_in_a_few_worlds(ready: Ready) -> None:
    """A failure names its seed and how to replay it."""
    deaths = sum(simulate(*ready, seed).deaths for seed in range(1, _FEW + 1))
    assert deaths > _FEW, "too few processes died for this to show anything"


@pytest.mark.check
def test_nothing_is_wrong_in_a_thousand_worlds(ready: Ready) -> None:
    for seed in range(_FEW + 1, _MANY + 1):
        simulate(*ready, seed)


def test_a_seed_gives_the_same_world_in_every_process(ready: Ready) -> None:
    """Also where sets of texts have another order, and after other worlds on the same server."""
    simulate(*ready, 5)
    here = simulate(*ready, 4)
    assert simulate(*ready, 4) == here
    command = [sys.executable, "-m", "tests.simulation", "--seed", "4", "--quiet"]
    environment = {**os.environ, "PYTHONHASHSEED": "4711"}
    elsewhere = subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, check=True
    )
    assert str(here) in elsewhere.stdout


def found_at(ready: Ready, name: str) -> tuple[int, str]:
    """The first seed that finds a fault, and what it says."""
    for seed in range(1, _WITHIN + 1):
        try:
            simulate(*ready, seed, FAULTS[name])
        except Exception as error:
            return seed, f"{error} {error.__notes__}"
    raise AssertionError(f"{name} was not found in {_WITHIN} worlds")


def test_a_failure_says_how_to_replay_it(ready: Ready) -> None:
    seed, told = found_at(ready, "fresh-keys")
    assert f"python -m tests.simulation --seed {seed}" in told
    assert "--fault fresh-keys" in told
    assert found_at(ready, "fresh-keys") == (seed, told)


@pytest.mark.check
@pytest.mark.parametrize("name", FAULTS)
def test_every_fault_is_found(ready: Ready, name: str) -> None:
    found_at(ready, name)
