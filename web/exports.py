"""Exports and the audit log as requests and answers."""

from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field

from web.fields import Answer, Id, Moment, Time
from web.requests import Page, StaffAction


class AuditExport(StaffAction):
    """At most 400 days; `to` is not included."""

    since: Moment = Field(alias="from")
    until: Moment = Field(alias="to")
    format: Literal["jsonl", "csv"] = "jsonl"


class AuditList(Page):
    actor: Id | None = None
    subject: Annotated[str, Field(min_length=1, max_length=64)] | None = None
    action: Annotated[str, Field(pattern=r"^[a-z_]{1,30}(\.[a-z_.]{1,40})?$")] | None = None
    escrow_id: Id | None = None
    since: Moment | None = Field(None, alias="from")
    until: Moment | None = Field(None, alias="to")


class AuditRow(Answer):
    """`seq` and `hash`: its link in the chain, null while it is not sealed."""

    id: str
    seq: int | None
    hash: str | None
    at: Time
    actor_type: str
    actor_id: str | None
    channel: str
    action: str
    subject_type: str
    subject_id: str
    escrow_id: str | None
    reason: str | None
    data: dict[str, Any]
    ip: str | None
    user_agent: str | None
    trace_id: str


class AuditPage(Answer):
    items: list[AuditRow]
    next_cursor: str | None


class AuditVerdict(Answer):
    ok: bool
    checked: int
    head: str
    first_bad_seq: int | None
    why: str
    unsealed: int


class ExportOut(Answer):
    """`url`: of the file, for 60 s; `chain_head`: hash of the last row in it."""

    location: ClassVar = "/api/v1/staff/audit/exports/{id}"

    id: str
    status: str
    since: Time = Field(serialization_alias="from")
    until: Time = Field(serialization_alias="to")
    format: str
    rows: int | None
    size: int | None
    sha256: str | None
    chain_head: str | None
    url: str | None
    deleted_at: Time | None
    submitted_at: Time
    finished_at: Time | None
