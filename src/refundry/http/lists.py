"""The list envelope."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from refundry.db.listing import list_ids
from refundry.http.answer import Answer
from refundry.http.call import Call
from refundry.http.document import to_json
from refundry.http.query import Filter, bad_cursor, read_filters, read_page


async def list_answer(
    call: Call,
    table: str,
    filters: Sequence[Filter],
    load: Callable[[list[str]], Awaitable[list[Any]]],
    *,
    most: int = 100,
) -> Answer:
    """One page of a table: filtered, newest first. load: the views for ids, in their order.

    most: how many objects a page may hold.
    """
    page = read_page(call.query, most=most)
    conditions = read_filters(call.query, filters)
    found = await list_ids(call.database, call.tenant, table, conditions, page)
    if found is None:
        raise bad_cursor(page)
    ids, more = found
    data = await load(ids) if ids else []
    return Answer(200, to_json({"hasMore": more, "data": data}))
