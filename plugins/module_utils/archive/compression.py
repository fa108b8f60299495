# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How the rows of an archive lie on the disk: as they are, or packed; of either kind, what is there is summed up.

The sum is of what lies there, so that whoever checks an archive need not unpack it.
"""

from __future__ import annotations

import contextlib
import hashlib
import sys
import typing as t

from ..errors import MigrationError

try:
    if sys.version_info >= (3, 14):
        from compression import zstd
    else:
        from backports import zstd
except ImportError:
    HAS_ZSTD = False
else:
    HAS_ZSTD = True

#: As pg_dump names its methods (``--compress``).
Compression: t.TypeAlias = t.Literal["none", "zstd"]
#: What a file's name ends in.
SUFFIXES: t.Final[dict[Compression, str]] = {"none": "", "zstd": ".zst"}

_READ_BYTES: t.Final = 1 << 20


def require_library(compression: Compression) -> None:
    """Make sure that files of a kind can be written and read here.

    :raises MigrationError: when the library is not installed
    """
    if compression == "zstd" and not HAS_ZSTD:
        raise MigrationError(
            "What zstd has packed takes the Python package backports.zstd, which is not installed here. Install it: "
            "pip install backports.zstd"
        )


class DamagedError(Exception):
    """What is there cannot be unpacked."""


class SummedFile:
    """A file that is summed up while it is written, or read, from its beginning to its end."""

    def __init__(self, stream: t.BinaryIO) -> None:
        """Begin.

        :param stream: closed by who has opened it
        """
        self.size = 0
        self._stream = stream
        self._digest = hashlib.sha256()

    @property
    def sha256(self) -> str:
        """Of what has been written or read so far."""
        return self._digest.hexdigest()

    def write(self, data: bytes) -> None:
        """Write all of it."""
        self._stream.write(data)
        self._note(data)

    def read(self, size: int) -> bytes:
        """Return what comes next; nothing at the end."""
        data = self._stream.read(size)
        self._note(data)
        return data

    def _note(self, data: bytes) -> None:
        self.size += len(data)
        self._digest.update(data)


@contextlib.contextmanager
def packing(file: SummedFile, compression: Compression) -> t.Iterator[t.Callable[[bytes], object]]:
    """Give what writes to the file; all of it is there when the block has ended."""
    if compression == "none":
        yield file.write
        return
    require_library(compression)
    # With a checksum, as the program zstd has it.
    compressor = zstd.ZstdCompressor(options={zstd.CompressionParameter.checksum_flag: 1})
    yield lambda data: file.write(compressor.compress(data))
    file.write(compressor.flush())


def unpack(file: SummedFile, compression: Compression) -> t.Iterator[bytes]:
    """Yield what was written, in pieces of a megabyte at the most, however much better it was packed.

    :raises DamagedError: when it is something else
    """
    if compression == "none":
        while chunk := file.read(_READ_BYTES):
            yield chunk
        return
    require_library(compression)
    decompressor = zstd.ZstdDecompressor()
    try:
        while not decompressor.eof:
            packed = file.read(_READ_BYTES) if decompressor.needs_input else b""
            if decompressor.needs_input and not packed:
                raise DamagedError("it ends in the middle")
            if chunk := decompressor.decompress(packed, _READ_BYTES):
                yield chunk
    except zstd.ZstdError as error:
        raise DamagedError(str(error)) from None
    if decompressor.unused_data or file.read(1):
        raise DamagedError("something follows its end")
