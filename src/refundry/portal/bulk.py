"""Bulk refunds: a file or pasted lines, the check, the confirmation, and how far the run is."""

import asyncio
from collections.abc import AsyncIterator, Awaitable
from dataclasses import dataclass

from refundry.access.rights import Right
from refundry.bulk import commands, store
from refundry.bulk.commands import BulkRefused, Moment
from refundry.bulk.reading import COLUMNS, MOST_BYTES, MOST_LINES, TEMPLATE, BadSheet
from refundry.bulk.results import RESULTS, result_rows
from refundry.bulk.store import Line, Run, Tally, lines_are_deleted
from refundry.bulk.verdicts import LineState, totals_text
from refundry.errors import NotFound
from refundry.http.answer import Answer
from refundry.portal.csv_export import csv_file, csv_lines
from refundry.portal.forms import whole
from refundry.portal.lists import page_of
from refundry.portal.pages import Page, Streamed, Visit
from refundry.portal.rendering import environment

# The file, or the same pasted with every special character encoded; the rest of the form is small.
_MOST_BYTES = MOST_BYTES * 3
_LINES_SHOWN = 100
_LOOK_SECONDS = 1.0
_MOST_SECONDS = 3600
_TONES = {
    LineState.READY: "info",
    LineState.DUPLICATE: "warn",
    LineState.REFUSED: "bad",
    LineState.MADE: "ok",
    LineState.FAILED: "bad",
}
_LABELS = {state: text.capitalize() for state, text in RESULTS.items()} | {
    LineState.READY: "Ready",
    LineState.DUPLICATE: "Duplicate?",
}
_STATES = {
    "checked": "Not confirmed",
    "running": "Running",
    "stopped": "Stopped",
    "finished": "Finished",
}
_RUN_TONES = {"checked": "warn", "running": "info", "stopped": "warn", "finished": "ok"}


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a run is. due: lines that were or are to be made; done: what became of them."""

    run: Run
    tallies: dict[LineState, Tally]

    @property
    def due(self) -> int:
        """Lines that were confirmed."""
        return self.done + self.tallies[LineState.READY].count

    @property
    def done(self) -> int:
        """Lines that were made or refused at their turn."""
        return self.tallies[LineState.MADE].count + self.tallies[LineState.FAILED].count

    @property
    def is_deleted(self) -> bool:
        """Whether the lines are not kept any more: a run has at least one."""
        return lines_are_deleted(self.run, self.tallies)

    @property
    def total(self) -> str:
        """What the ready lines come to."""
        return totals_text(self.tallies[LineState.READY].totals)

    @property
    def refunded(self) -> str:
        """What was made so far."""
        return totals_text(self.tallies[LineState.MADE].totals)


async def list_runs(visit: Visit, *, error: str = "") -> Answer:
    """The form for a file, and the runs before."""
    ids, pages = await page_of(visit, "bulk_runs", [])
    return visit.show(
        "bulk_runs.html",
        status=400 if error else 200,
        error=error,
        runs=await store.find_runs(visit.database, visit.tenant, ids),
        pages=pages,
        states=_STATES,
        tones=_RUN_TONES,
        columns=COLUMNS,
        most_lines=MOST_LINES,
        most_megabytes=MOST_BYTES // 1_000_000,
        pasted=visit.form.text("pasted", MOST_BYTES),
    )


async def get_template(_visit: Visit) -> Streamed:
    """A file to begin with."""
    return csv_file("bulk-refunds", _template())


async def _template() -> AsyncIterator[bytes]:
    yield TEMPLATE.encode()


async def post_file(visit: Visit) -> Answer:
    """Check a file and keep it to be confirmed. Nothing is refunded."""
    upload = visit.form.file("file")
    pasted = visit.form.text("pasted", MOST_BYTES + 1)
    if (upload is None) == (not pasted):
        return await list_runs(visit, error="Choose a file or paste its lines, one of the two.")
    name, content = (
        (upload.name, upload.content) if upload is not None else ("pasted lines", pasted.encode())
    )
    try:
        checked = await commands.check_file(
            visit.database, visit.tenant, name, content, visit.now,
            with_duplicates=visit.form.ticked("with_duplicates"),
        )  # fmt: skip
    except BadSheet as bad:
        return await list_runs(visit, error=str(bad))
    run_id = await commands.save_run(
        visit.database, visit.tenant, visit.user.actor, checked, _moment(visit)
    )
    run = await store.find_run(visit.database, visit.tenant, run_id)
    confirmed = run is not None and run.state != "checked"
    return visit.go(f"/dashboard/bulk/{run_id}", done="bulk-known" if confirmed else "")


def _moment(visit: Visit) -> Moment:
    return Moment(visit.now, visit.real_now)


async def _load(visit: Visit) -> Progress:
    run = await store.find_run(visit.database, visit.tenant, visit.path["id"])
    if run is None:
        raise NotFound("Bulk run", visit.path["id"])
    return Progress(run, await store.tallies_of(visit.database, run))


async def show_run(visit: Visit, *, error: str = "", typed: str = "") -> Answer:
    """A run with its figures and its lines, a hundred at a time."""
    progress = await _load(visit)
    wanted = visit.query.one("state") or ""
    states = [wanted] if wanted in set(LineState) else []
    above = whole(visit.query.one("above") or "0") or 0
    lines = await store.lines_of(
        visit.database, progress.run, states=states, above=above, limit=_LINES_SHOWN + 1
    )
    shown = lines[:_LINES_SHOWN]
    return visit.show(
        "bulk_run.html",
        status=400 if error else 200,
        error=error,
        typed=typed,
        progress=progress,
        run=progress.run,
        state=_STATES[progress.run.state],
        tone=_RUN_TONES[progress.run.state],
        lines=shown,
        named={line.number: _named(progress.run, line) for line in shown},
        labels=_LABELS,
        tones=_TONES,
        LineState=LineState,
        wanted=states[0] if states else "",
        next_above=shown[-1].number if len(lines) > _LINES_SHOWN else 0,
        above=above,
    )


def _named(run: Run, line: Line) -> str:
    """The order as the file names it."""
    cells = dict(zip(run.head, line.cells, strict=False))
    return cells.get("order_id") or cells.get("upstream_id") or ""


async def _change(visit: Visit, work: Awaitable[None], done: str) -> Answer:
    try:
        await work
    except BulkRefused as refused:
        return await show_run(visit, error=str(refused), typed=visit.form.text("total"))
    visit.services.wake()
    return visit.go(f"/dashboard/bulk/{visit.path['id']}", done=done)


async def post_check(visit: Visit) -> Answer:
    """Check the lines again, with or without those that look like duplicates."""
    with_duplicates = visit.form.text("with_duplicates") == "true"
    work = commands.recheck_run(
        visit.database, visit.tenant, visit.path["id"], _moment(visit),
        with_duplicates=with_duplicates,
    )  # fmt: skip
    return await _change(visit, work, "")


async def post_start(visit: Visit) -> Answer:
    """Let a run go when its total was typed."""
    total = visit.form.text("total")
    work = commands.start_run(
        visit.database, visit.tenant, visit.path["id"], visit.user.actor, total, _moment(visit)
    )
    return await _change(visit, work, "bulk-started")


async def post_stop(visit: Visit) -> Answer:
    """Stop a run."""
    work = commands.stop_run(
        visit.database, visit.tenant, visit.path["id"], visit.user.actor, _moment(visit)
    )
    return await _change(visit, work, "bulk-stopped")


async def post_resume(visit: Visit) -> Answer:
    """Let a stopped run go on."""
    work = commands.resume_run(
        visit.database, visit.tenant, visit.path["id"], visit.user.actor, _moment(visit)
    )
    return await _change(visit, work, "bulk-started")


async def post_discard(visit: Visit) -> Answer:
    """Forget a file that was not confirmed."""
    try:
        await commands.discard_run(
            visit.database, visit.tenant, visit.path["id"], visit.user.actor, _moment(visit)
        )
    except BulkRefused as refused:
        return await show_run(visit, error=str(refused))
    return visit.go("/dashboard/bulk", done="bulk-discarded")


async def get_result(visit: Visit) -> Streamed:
    """The lines and what became of each, as a file."""
    progress = await _load(visit)
    if progress.is_deleted:
        raise NotFound("Result", progress.run.id)
    return csv_file(f"{progress.run.id}-result", _result(visit, progress.run))


async def _result(visit: Visit, run: Run) -> AsyncIterator[bytes]:
    async for rows in result_rows(visit.database, run):
        yield csv_lines(rows)


async def follow_run(visit: Visit) -> Streamed:
    """How far a run is, whenever that changes, as server-sent events, until it ends."""
    await _load(visit)
    return Streamed(_news(visit))


async def _news(visit: Visit) -> AsyncIterator[bytes]:
    template = environment().get_template("bulk_progress.html")
    shown = ""
    for _ in range(int(_MOST_SECONDS / _LOOK_SECONDS)):
        progress = await _load(visit)
        state = _STATES[progress.run.state]
        text = template.render(
            progress=progress, run=progress.run, state=state, tone=_RUN_TONES[progress.run.state],
            LineState=LineState, csrf_field=visit.csrf_field,
        )  # fmt: skip
        if text != shown:
            lines = "".join(f"data: {line}\n" for line in text.splitlines())
            yield f"event: part\n{lines}\n".encode()
            shown = text
        if progress.run.state != "running":
            break
        await asyncio.sleep(_LOOK_SECONDS)
    yield b"event: end\ndata: end\n\n"


PAGES = (
    Page("GET", "/bulk", list_runs, Right.CREATE_REFUND),
    Page("POST", "/bulk", post_file, Right.CREATE_REFUND, most_bytes=_MOST_BYTES),
    Page("GET", "/bulk/template.csv", get_template, Right.CREATE_REFUND),
    Page("GET", "/bulk/{id}", show_run, Right.CREATE_REFUND),
    Page("POST", "/bulk/{id}/check", post_check, Right.CREATE_REFUND),
    Page("POST", "/bulk/{id}/start", post_start, Right.CREATE_REFUND),
    Page("POST", "/bulk/{id}/stop", post_stop, Right.CREATE_REFUND),
    Page("POST", "/bulk/{id}/resume", post_resume, Right.CREATE_REFUND),
    Page("POST", "/bulk/{id}/discard", post_discard, Right.CREATE_REFUND),
    Page("GET", "/bulk/{id}/result.csv", get_result, Right.CREATE_REFUND),
    Page("GET", "/bulk/{id}/news", follow_run, Right.CREATE_REFUND),
)
