"""What a file is, judged by its bytes: names and types that a sender gives say nothing."""

import codecs
import hashlib
import re
import tempfile
from dataclasses import dataclass
from typing import IO

from bloxtr8.errors import BodyTooLarge, EvidenceRejected

FILE_BYTES_MAX = 25 * 1024 * 1024
_IN_MEMORY_BYTES = 1024 * 1024
_HEAD_BYTES = 16
_MP4_BRANDS = frozenset(
    {b"isom", b"iso2", b"iso4", b"iso5", b"iso6", b"mp41", b"mp42", b"avc1", b"M4V ", b"dash"}
)
# Text that a browser would run, under whatever name it is opened later.
_BEFORE_TEXT = codecs.BOM_UTF8 + b" \t\r\n"
_MARKUP = (b"<!doctype", b"<html", b"<svg", b"<?xml", b"<script")
_CONTROLS = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")
EXTENSIONS = {
    "image/png": "png",
    "image/jpeg": "jpg",
    "image/webp": "webp",
    "video/mp4": "mp4",
    "application/pdf": "pdf",
    "text/plain": "txt",
}


@dataclass(frozen=True, slots=True)
class Upload:
    """A file that has been read whole; `file` stands at its beginning, its owner closes it."""

    file: IO[bytes]
    content_type: str
    size_bytes: int
    sha256: str


class Intake:
    """Takes a file in pieces, in memory or (from 1 MiB) in a temporary file."""

    def __init__(self) -> None:
        self._file = tempfile.SpooledTemporaryFile(max_size=_IN_MEMORY_BYTES)  # noqa: SIM115
        self._hash = hashlib.sha256()
        self._size = 0
        self._head = b""
        self._text: _Text | None = _Text()

    def take(self, piece: bytes) -> None:
        """Add a piece; raises BodyTooLarge as soon as the file has more than 25 MiB."""
        self._size += len(piece)
        if self._size > FILE_BYTES_MAX:
            raise BodyTooLarge(f"A file may have {FILE_BYTES_MAX} bytes.")
        self._head += piece[: _HEAD_BYTES - len(self._head)]
        self._hash.update(piece)
        self._file.write(piece)
        if self._text is not None and not self._text.goes_on(piece):
            self._text = None

    def finish(self) -> Upload:
        """Return the file; raises EvidenceRejected for what is no kind of evidence."""
        content_type = type_of(self._head)
        plain = not self._head.lstrip(_BEFORE_TEXT).lower().startswith(_MARKUP)
        if content_type is None and plain and self._text is not None and self._text.ends():
            content_type = "text/plain"
        if content_type is None or not self._size:
            raise EvidenceRejected
        self._file.seek(0)
        return Upload(self._file, content_type, self._size, self._hash.hexdigest())

    def close(self) -> None:
        self._file.close()


def type_of(head: bytes) -> str | None:
    """Return the type of a file that begins with `head` (16 bytes); None for text and others."""
    if head.startswith(b"\x89PNG\r\n\x1a\n") and head[12:16] == b"IHDR":
        return "image/png"
    if head.startswith(b"\xff\xd8\xff"):
        return "image/jpeg"
    if head.startswith(b"RIFF") and head[8:12] == b"WEBP":
        return "image/webp"
    if head[4:8] == b"ftyp" and head[8:12] in _MP4_BRANDS:
        return "video/mp4"
    if head.startswith((b"%PDF-1.", b"%PDF-2.")):
        return "application/pdf"
    return None


class _Text:
    """Whether pieces are UTF-8 text without control characters."""

    def __init__(self) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")()

    def goes_on(self, piece: bytes) -> bool:
        try:
            text = self._decoder.decode(piece)
        except UnicodeDecodeError:
            return False
        return _CONTROLS.search(text) is None

    def ends(self) -> bool:
        try:
            self._decoder.decode(b"", final=True)
        except UnicodeDecodeError:
            return False
        return True
