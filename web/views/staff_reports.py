"""What people reported, for the staff who take the tasks that came of it."""

from typing import Literal

from bloxtr8.store import database
from web import pages
from web.call import Call
from web.fields import Answer, Id, Time
from web.limits import RateClass
from web.requests import Page
from web.routes import Reply, Route, Who


class ReportList(Page):
    """`subject_id`: of the listing, person or offer, as a task of kind REPORT names it."""

    subject_id: Id | None = None
    status: Literal["OPEN", "HANDLED", "DISMISSED"] | None = None


class StaffReport(Answer):
    """`handled_by`: who closed the task."""

    id: str
    reporter_id: str
    subject: str
    subject_id: str
    reason: str
    text: str | None
    status: str
    handled_by: str | None
    at: Time


class StaffReports(Answer):
    items: list[StaffReport]
    next_cursor: str | None


async def list_reports(call: Call) -> Reply:
    """Reports, the newest first."""
    query: ReportList = call.query
    rows = await database.fetch(
        "SELECT * FROM reports WHERE ($1::uuid IS NULL OR subject_id = $1)"
        " AND ($2::text IS NULL OR status = $2)"
        " AND ($3::timestamptz IS NULL OR (created_at, id) < ($3, $4::uuid))"
        " ORDER BY created_at DESC, id DESC LIMIT $5",
        query.subject_id,
        query.status,
        *pages.moment_position(call),
        query.limit + 1,
    )
    shown, cursor = pages.cut(call, rows, pages.by_moment("created_at"))
    items = [
        StaffReport(
            id=str(row["id"]),
            reporter_id=str(row["reporter_id"]),
            subject=row["subject_type"],
            subject_id=str(row["subject_id"]),
            reason=row["reason"],
            text=row["text"],
            status=row["status"],
            handled_by=str(row["handled_by"]) if row["handled_by"] else None,
            at=row["created_at"],
        )
        for row in shown
    ]
    page = StaffReports(items=items, next_cursor=cursor)
    return Reply(page, headers=pages.link(call, cursor))


ROUTES = (
    Route(
        "GET",
        "/api/v1/staff/reports",
        list_reports,
        Who.SUPPORT,
        "What people reported",
        RateClass.STAFF,
        query=ReportList,
        answer=StaffReports,
    ),
)
