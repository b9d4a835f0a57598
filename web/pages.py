"""Lists in pages: a total order, a limit, and a cursor to the next one."""

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any, TypeVar
from uuid import UUID

from web import cursors
from web.call import Call
from web.requests import Page

Item = TypeVar("Item")


def filters_of(call: Call) -> dict[str, Any]:
    """Return what a cursor is tied to: the path and every filter, but not the page itself."""
    query: Page = call.query
    chosen = query.model_dump(mode="json", exclude={"limit", "cursor"})
    return {"path": call.request.path, **chosen}


def position(call: Call) -> list[str] | None:
    """Return where the page starts; raises BadCursor."""
    query: Page = call.query
    if query.cursor is None:
        return None
    return cursors.read(call.deps.tokens.keys, query.cursor, filters_of(call), call.now)


def moment_position(call: Call) -> tuple[datetime | None, UUID | None]:
    """Return the position of a list that is ordered by a time and an id."""
    at = position(call)
    return (datetime.fromisoformat(at[0]), UUID(at[1])) if at else (None, None)


def number_position(call: Call) -> int | None:
    """Return the position of a list that is ordered by a number."""
    at = position(call)
    return int(at[0]) if at else None


def cut(
    call: Call, rows: Sequence[Item], place: Callable[[Item], list[str]]
) -> tuple[Sequence[Item], str | None]:
    """Return at most `limit` of `rows`, which holds one more if there is one, and the cursor.

    `place` gives the sort key and id of a row.
    """
    query: Page = call.query
    shown = rows[: query.limit]
    if len(rows) <= query.limit:
        return shown, None
    keys = call.deps.tokens.keys
    return shown, cursors.make(keys, place(shown[-1]), filters_of(call), call.now)


def by_moment(column: str) -> Callable[[dict[str, Any]], list[str]]:
    """Return the place of rows that are ordered by `column` and `id`."""
    return lambda row: [row[column].isoformat(), str(row["id"])]


def link(call: Call, cursor: str | None) -> dict[str, str] | None:
    """Return the Link header to the next page."""
    if cursor is None:
        return None
    url = call.request.rel_url.update_query(cursor=cursor)
    return {"Link": f'<{url}>; rel="next"'}
