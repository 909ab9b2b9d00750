"""Opening files nobody should trust: zip, gzip and plain text, checksums, and limits on size.

Rule 1: nothing is unpacked to disk, and no more than a line is held in memory.
Rule 2: a file that turns out larger than it may be ends the reading with a message.
"""

import gzip
import hashlib
import io
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, cast

from model import DataError

CHUNK = 1 << 20


@dataclass(frozen=True, slots=True)
class Limits:
    """What a file may cost.

    Attributes:
        max_bytes: length of the text inside. max_ratio: that length over the file's, once a few
            megabytes were read; tables compress 4 to 12 times, a zip bomb a thousand.
        max_line: length of a line. max_errors: bad rows after which the import ends.
    """

    max_bytes: int = 64 << 30
    max_ratio: float = 200.0
    max_line: int = 1 << 16
    max_errors: int = 100


class Lines:
    """Lines of a text inside a file, with the share read so far.

    Attributes:
        number: of the line handed out last, from 1. name: of the text inside.
    """

    def __init__(
        self, stream: BinaryIO, raw: BinaryIO, name: str, size: int, limits: Limits
    ) -> None:
        self._stream, self._raw, self.name = stream, raw, name
        self._size, self._limits = max(1, size), limits
        self._read = 0
        self.number = 0

    @property
    def share(self) -> float:
        """Share of the file read, 0 to 1."""
        return min(1.0, self._raw.tell() / self._size)

    def __iter__(self) -> Iterator[str]:
        limits = self._limits
        try:
            while line := self._stream.readline(limits.max_line + 1):
                self.number += 1
                self._read += len(line)
                if len(line) > limits.max_line:
                    raise DataError(f"line {self.number} is longer than {limits.max_line} bytes")
                if self._read > limits.max_bytes:
                    raise DataError(f"{self.name} holds more than {limits.max_bytes} bytes")
                if self._read > 10 * CHUNK and self._read > limits.max_ratio * self._raw.tell():
                    raise DataError(f"{self.name} is packed more than {limits.max_ratio:g} times")
                yield line.decode("utf-8-sig" if self.number == 1 else "utf-8", "replace")
        except (zipfile.BadZipFile, zlib.error, EOFError, OSError, RuntimeError) as error:
            raise DataError(f"{self.name} cannot be read: {error}") from error


@contextmanager
def open_lines(path: Path, limits: Limits) -> Iterator[Lines]:
    """Open a text, or the only one inside a zip or gzip file.

    Raises:
        DataError: it cannot be opened, or holds not exactly one file.
    """
    try:
        raw = path.open("rb")
    except OSError as error:
        raise DataError(f"{path.name} cannot be opened: {error.strerror}") from error
    with raw:
        size = path.stat().st_size
        magic = raw.read(4)
        raw.seek(0)
        if magic.startswith(b"PK"):
            with _open_member(raw, path.name, limits) as (stream, name):
                yield Lines(stream, raw, name, size, limits)
        elif magic.startswith(b"\x1f\x8b"):
            with gzip.open(raw) as unpacked:
                stream = cast(BinaryIO, io.BufferedReader(cast(io.RawIOBase, unpacked)))
                yield Lines(stream, raw, path.name.removesuffix(".gz"), size, limits)
        else:
            yield Lines(raw, raw, path.name, size, limits)


@contextmanager
def _open_member(raw: BinaryIO, name: str, limits: Limits) -> Iterator[tuple[BinaryIO, str]]:
    try:
        archive = zipfile.ZipFile(raw)
    except (zipfile.BadZipFile, OSError, ValueError) as error:
        raise DataError(f"{name} is no readable zip file: {error}") from error
    with archive:
        members = [info for info in archive.infolist() if not info.is_dir()]
        if len(members) != 1:
            raise DataError(f"{name} must hold one file, was {len(members)}")
        (member,) = members
        if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise DataError(f"{name} must be stored or deflated: others may want any memory")
        if member.flag_bits & 1:
            raise DataError(f"{name} is encrypted")
        if member.file_size > limits.max_bytes:
            raise DataError(f"{member.filename} holds more than {limits.max_bytes} bytes")
        if member.file_size > max(CHUNK * 10, limits.max_ratio * member.compress_size):
            raise DataError(f"{member.filename} is packed more than {limits.max_ratio:g} times")
        try:
            stream = archive.open(member)
        except (zipfile.BadZipFile, NotImplementedError, OSError, RuntimeError) as error:
            raise DataError(f"{name} cannot be read: {error}") from error
        with stream:
            yield cast(BinaryIO, stream), Path(member.filename).name


def verify_checksum(path: Path) -> bool:
    """Check a file against `<name>.CHECKSUM` beside it; False when there is none.

    Raises:
        DataError: it differs, or the checksum file says nothing usable.
    """
    beside = path.with_name(f"{path.name}.CHECKSUM")
    if not beside.is_file():
        return False
    words = beside.read_text("utf-8", "replace")[:4096].split()
    want = words[0].lower() if words else ""
    if len(want) != 64 or set(want) - set("0123456789abcdef"):
        raise DataError(f"{beside.name} must begin with a SHA-256 sum, was {want[:70]!r}")
    with path.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if found != want:
        raise DataError(f"{path.name} is damaged: its SHA-256 must be {want}, was {found}")
    return True
