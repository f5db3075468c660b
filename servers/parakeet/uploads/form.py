"""multipart/form-data as it comes (RFC 7578): one file, handed on in portions, and a few short fields. No I/O."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from servers.common.errors import BadInput

FIELD_BYTES: Final = 64_000
FIELDS: Final = 64


def read_boundary(content_type: str) -> bytes:
    """Of the header of a form; BadInput where it names none."""
    _, options = parse_options_header(content_type)
    boundary = options.get(b"boundary", b"")
    if not boundary:
        raise BadInput("the form's type names no boundary", field="Content-Type", limit="multipart/form-data; boundary")
    return boundary


class Form:
    """Feed it with `write`; portions of the part called `file` go to `sink`, the others become `fields`."""

    def __init__(self, boundary: bytes, *, file: str, sink: Callable[[bytes], None]) -> None:
        """Raises BadInput where the boundary cannot be one."""
        self.fields: list[tuple[str, str]] = []
        self._file, self._sink = file, sink
        self._files = 0
        self._ended = False
        self._header, self._value, self._disposition = b"", b"", b""
        self._name = ""
        self._text = bytearray()
        try:
            self._parser = MultipartParser(
                boundary,
                {
                    "on_part_begin": self._begin_part,
                    "on_header_field": self._add_header,
                    "on_header_value": self._add_value,
                    "on_header_end": self._end_header,
                    "on_headers_finished": self._name_part,
                    "on_part_data": self._add_data,
                    "on_part_end": self._end_part,
                    "on_end": self._end,
                },
            )
        except FormParserError as error:
            raise BadInput(str(error), field="Content-Type") from None

    def write(self, portion: bytes) -> None:
        """Raises BadInput for what is no form, and for a file in another field as soon as that begins."""
        if self._ended:  # what comes behind the last boundary means nothing
            return
        try:
            self._parser.write(portion)
        except FormParserError as error:
            raise BadInput(f"the form is damaged: {error}", field="body") from None

    def check_complete(self) -> None:
        """Raises BadInput where the form is cut off or held no file."""
        if not self._ended:
            raise BadInput("the form ends before its last boundary", field="body")
        if not self._files:
            named = ", ".join(dict(self.fields)) or "nothing"
            raise BadInput(f"the form has no field '{self._file}'; it has {named}", field=self._file, limit="one file")

    def _begin_part(self) -> None:
        self._disposition, self._text = b"", bytearray()

    def _add_header(self, data: bytes, start: int, end: int) -> None:
        self._header += data[start:end]

    def _add_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]

    def _end_header(self) -> None:
        if self._header.lower() == b"content-disposition":
            self._disposition = self._value
        self._header = self._value = b""

    def _name_part(self) -> None:
        _, options = parse_options_header(self._disposition)
        if b"name" not in options:
            raise BadInput("a part of the form has no name", field="Content-Disposition")
        self._name = options[b"name"].decode("utf-8", "replace")
        if self._name == self._file:
            self._files += 1
            if self._files > 1:
                raise BadInput("one file at a time", field=self._file, limit=1)
        elif b"filename" in options:
            raise BadInput(
                f"the file came in the field '{self._name[:80]}'", field=self._name[:80], limit=f"'{self._file}'"
            )
        elif len(self.fields) >= FIELDS:
            raise BadInput("the form has too many fields", field="body", limit=FIELDS)

    def _add_data(self, data: bytes, start: int, end: int) -> None:
        if self._name == self._file:
            self._sink(data[start:end])
            return
        self._text += data[start:end]
        if len(self._text) > FIELD_BYTES:
            raise BadInput("the field is too long", field=self._name[:80], limit=FIELD_BYTES)

    def _end_part(self) -> None:
        if self._name != self._file:
            self.fields.append((self._name, self._text.decode("utf-8", "replace")))

    def _end(self) -> None:
        self._ended = True
