"""The scenario files themselves."""

from dataclasses import fields

from tests.contract.connectors.scenario import read_scenarios
from tests.contract.connectors.stand import Traits


def test_names_are_unique_and_traits_exist() -> None:
    scenarios = read_scenarios()
    names = [scenario.name for scenario in scenarios]
    assert len(names) == len(set(names))
    traits = {field.name for field in fields(Traits)}
    for scenario in scenarios:
        assert {*scenario.needs, *scenario.lacks} <= traits, scenario.name


def test_every_scenario_says_its_claim_and_ends_with_something_seen() -> None:
    for scenario in read_scenarios():
        assert scenario.claim
        assert type(scenario.steps[-1]).__name__ not in {"Plan", "Wait", "Finish"}, scenario.name
