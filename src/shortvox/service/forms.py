"""Multipart forms, read into memory as they arrive. No file name or type is looked at, and nothing touches a disk."""

from __future__ import annotations

from dataclasses import dataclass, field

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from shortvox.service.limits import Refused

MOST_FIELDS = 20
LONGEST_FIELD = 2**14  # bytes
LONGEST_HEAD = 2**12  # bytes of the headers of one part
_KIND = b"multipart/form-data"


@dataclass(slots=True)
class _Part:
    head: dict[bytes, bytes] = field(default_factory=dict)
    header: bytearray = field(default_factory=bytearray)
    value: bytearray = field(default_factory=bytearray)
    name: str = ""
    is_upload: bool = False
    content: bytearray = field(default_factory=bytearray)


class FormReader:
    """`feed` chunks of a body, then `close`. Raises Refused (400, or 415 for another type) for what is no form."""

    def __init__(self, content_type: str, most_uploads: int) -> None:
        kind, options = parse_options_header(content_type)
        if kind != _KIND:
            raise Refused(415, "expected a body of type multipart/form-data")
        boundary = options.get(b"boundary", b"")
        if not 1 <= len(boundary) <= 200:
            raise _broken("without a boundary")
        self.uploads: dict[str, list[bytes]] = {}
        self.fields: dict[str, str] = {}
        self._most, self._count = most_uploads, 0
        self._part = _Part()
        self._ended = False
        self._parser = MultipartParser(
            boundary,
            {
                "on_part_begin": self._begin,
                "on_part_data": self._data,
                "on_part_end": self._keep,
                "on_header_field": self._header,
                "on_header_value": self._value,
                "on_header_end": self._header_end,
                "on_headers_finished": self._head_end,
                "on_end": self._end,
            },
        )

    def feed(self, chunk: bytes) -> None:
        try:
            self._parser.write(chunk)
        except FormParserError:
            raise _broken("it cannot be read") from None

    def close(self) -> None:
        if not self._ended:
            raise _broken("it breaks off before its end")

    def _begin(self) -> None:
        self._part = _Part()

    def _header(self, data: bytes, start: int, end: int) -> None:
        _extend(self._part.header, data[start:end], LONGEST_HEAD, "the head of a part")

    def _value(self, data: bytes, start: int, end: int) -> None:
        _extend(self._part.value, data[start:end], LONGEST_HEAD, "the head of a part")

    def _header_end(self) -> None:
        part = self._part
        if len(part.head) == MOST_FIELDS:
            raise _broken("a part has too many headers")
        part.head[bytes(part.header).lower()] = bytes(part.value)
        part.header, part.value = bytearray(), bytearray()

    def _head_end(self) -> None:
        part = self._part
        kind, options = parse_options_header(part.head.get(b"content-disposition"))
        if kind != b"form-data" or b"name" not in options:
            raise _broken("a part has no name")
        part.name = _text(options[b"name"])
        part.is_upload = b"filename" in options
        if part.is_upload:
            self._count += 1
            if self._count > self._most:
                raise _broken(f"more than {self._most} recordings")

    def _data(self, data: bytes, start: int, end: int) -> None:
        part = self._part
        if part.is_upload:
            part.content += data[start:end]
        else:
            _extend(part.content, data[start:end], LONGEST_FIELD, f"field '{part.name[:100]}'")

    def _keep(self) -> None:
        part = self._part
        if part.is_upload:
            self.uploads.setdefault(part.name, []).append(bytes(part.content))
        elif part.name in self.fields:
            raise _broken(f"field '{part.name[:100]}' is there twice")
        elif len(self.fields) == MOST_FIELDS:
            raise _broken(f"more than {MOST_FIELDS} fields")
        else:
            self.fields[part.name] = _text(bytes(part.content))
        self._part = _Part()

    def _end(self) -> None:
        self._ended = True


def _extend(content: bytearray, data: bytes, most: int, what: str) -> None:
    if len(content) + len(data) > most:
        raise _broken(f"{what} is longer than {most} bytes")
    content += data


def _text(content: bytes) -> str:
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError:
        raise _broken("a name or a field is not UTF-8") from None


def _broken(what: str) -> Refused:
    return Refused(400, f"the form cannot be used: {what}")
