"""Reading files that a client sends with the fields of a form, each within its bounds."""

import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import TypeVar

from aiohttp import BodyPartReader, web
from aiohttp.http_exceptions import HttpProcessingError
from pydantic import BaseModel

from bloxtr8.disputes.content import Intake, Upload
from bloxtr8.disputes.files import FILES_MAX, SIDE_BYTES_MAX
from bloxtr8.errors import (
    BodyTooLarge,
    MalformedJson,
    UnknownField,
    UnsupportedMediaType,
    ValidationFailed,
)
from web.body import validated

FILES_FIELD = "files"
_FIELD_BYTES_MAX = 8 * 1024
_FIELDS_MAX = 10
_CHUNK_BYTES = 64 * 1024

Model = TypeVar("Model", bound=BaseModel)


@dataclass(slots=True)
class _Form:
    fields: dict[str, str] = field(default_factory=dict)
    files: list[Upload] = field(default_factory=list)
    size_bytes: int = 0


@asynccontextmanager
async def read_files(
    request: web.Request, model: type[Model]
) -> AsyncIterator[tuple[Model, list[Upload]]]:
    """Yield the form's fields and its parts named `files`; they are closed afterwards.

    Raises UnsupportedMediaType, MalformedJson, BodyTooLarge, EvidenceRejected, UnknownField and
    ValidationFailed.
    """
    if request.content_type != "multipart/form-data":
        raise UnsupportedMediaType("Send multipart/form-data.")
    async with AsyncExitStack() as undo:
        form = await _read(request, undo)
        fields = validated(model, json.dumps(form.fields).encode())
        if not form.files:
            entry = {"field": "/files", "code": "missing", "message": "Send at least one file."}
            raise ValidationFailed(errors=[entry])
        yield fields, form.files


async def _read(request: web.Request, undo: AsyncExitStack) -> _Form:
    form = _Form()
    try:
        reader = await request.multipart()
        while (part := await reader.next()) is not None:
            if not isinstance(part, BodyPartReader):
                raise MalformedJson("A part of the form is a form itself.")
            if part.name == FILES_FIELD:
                await _take_file(form, part, undo)
            else:
                await _take_field(form, part)
    except (ValueError, AssertionError, HttpProcessingError, web.HTTPException) as error:
        raise MalformedJson("The form is malformed.") from error
    return form


async def _take_file(form: _Form, part: BodyPartReader, undo: AsyncExitStack) -> None:
    if len(form.files) >= FILES_MAX:
        raise BodyTooLarge(f"Send at most {FILES_MAX} files.")
    intake = Intake()
    undo.callback(intake.close)
    while piece := await part.read_chunk(_CHUNK_BYTES):
        form.size_bytes += len(piece)
        if form.size_bytes > SIDE_BYTES_MAX:
            raise BodyTooLarge(f"Files may have {SIDE_BYTES_MAX} bytes together.")
        intake.take(piece)
    form.files.append(intake.finish())


async def _take_field(form: _Form, part: BodyPartReader) -> None:
    name = part.name or ""
    if name in form.fields or len(form.fields) >= _FIELDS_MAX:
        entry = {"field": f"/{name[:60]}", "code": "repeated", "message": "Give it once."}
        raise UnknownField(errors=[entry])
    value = bytearray()
    while piece := await part.read_chunk(_CHUNK_BYTES):
        value += piece
        if len(value) > _FIELD_BYTES_MAX:
            raise BodyTooLarge(f"A field may have {_FIELD_BYTES_MAX} bytes.")
    form.fields[name] = value.decode()
