"""Fuzz until so many cases are through: `python -m tests.fuzz --cases 20000 --seed 7`."""

import sys
import tempfile
import time
from pathlib import Path

import click

from tests.fuzz.running import Fuzz, Outcome, Round, fuzzing

ALL = "examples,coverage,fuzzing,stateful"
# Examples and coverage are the same for every seed; chains are what more rounds are for.
MORE = "stateful"
MORE_EXAMPLES = 5


@click.command()
@click.option("--cases", default=20_000, show_default=True, help="How many there must be.")
@click.option("--seed", type=int, help="Of the first round; a new one unless given.")
@click.option("--examples", default=40, show_default=True, help="For each operation.")
def main(cases: int, seed: int | None, examples: int) -> None:
    """Send generated requests, alone and in chains, and check every answer."""
    seed = time.time_ns() % 1_000_000 if seed is None else seed
    again = f"python -m tests.fuzz --cases {cases} --seed {seed} --examples {examples}"
    click.echo(f"again: {again}")
    with (
        tempfile.TemporaryDirectory(prefix="refundry-fuzz-") as folder,
        fuzzing(Path(folder)) as fuzz,
    ):
        outcomes = rounds(fuzz, cases, seed, examples)
        complaints = fuzz.complaints()
        made = fuzz.chains()
    total = sum(outcome.cases for outcome in outcomes)
    failed = [outcome for outcome in outcomes if not outcome.passed]
    for outcome in failed:
        click.echo(outcome.report[-20_000:])
    for complaint in complaints[:50]:
        click.echo(complaint)
    answers = ", ".join(f"{count} x {status}" for status, count in sorted(fuzz.answers.items()))
    click.echo(f"answers: {answers}")
    click.echo(f"made: {', '.join(f'{count} {kind}' for kind, count in made.items())}")
    good = not failed and not complaints and total >= cases
    click.echo(f"{'passed' if good else 'FAILED'}: {total} cases of {cases}; again: {again}")
    sys.exit(0 if good else 1)


def rounds(fuzz: Fuzz, cases: int, seed: int, examples: int) -> list[Outcome]:
    """Rounds with one seed after the other, until there are enough cases or one has failed."""
    started = time.monotonic()
    found: list[Outcome] = []
    while sum(outcome.cases for outcome in found) < cases:
        one = Round(seed, examples, ALL)
        if found:
            one = Round(seed + len(found), examples * MORE_EXAMPLES, MORE)
        outcome = fuzz.run(one, lambda answered: _show(answered, cases, started))
        found.append(outcome)
        if not outcome.passed or not outcome.cases:
            break
    if sys.stderr.isatty():
        click.echo(err=True)
    return found


def _show(answered: int, cases: int, started: float) -> None:
    """A progress line: rewritten on a terminal, else one a look."""
    seconds = int(time.monotonic() - started)
    text = f"{answered:,} answers, {cases:,} cases wanted, {seconds // 60}:{seconds % 60:02d}"
    if sys.stderr.isatty():
        click.echo(f"\r{text}", nl=False, err=True)
    elif seconds % 30 < 2:
        click.echo(text, err=True)


if __name__ == "__main__":
    main()
