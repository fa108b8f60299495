# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Files of an archive that are packed: what goes in comes out, in small pieces, or it is told that it does not."""

from __future__ import annotations

import hashlib
import io
import typing as t

import pytest
from ansible_collections.pgconvoy.migrate.plugins.module_utils.archive import compression as engine
from ansible_collections.pgconvoy.migrate.plugins.module_utils.archive.compression import (
    Compression,
    DamagedError,
    SummedFile,
    packing,
    unpack,
)
from ansible_collections.pgconvoy.migrate.plugins.module_utils.errors import MigrationError
from ansible_collections.pgconvoy.migrate.plugins.module_utils.preflight.checks.compression import check_compression
from ansible_collections.pgconvoy.migrate.plugins.module_utils.preflight.transfer import Transfer
from hypothesis import given
from hypothesis import strategies as st

KINDS: t.Final[tuple[Compression, ...]] = ("none", "zstd")


def pack(chunks: t.Iterable[bytes], compression: Compression = "zstd") -> tuple[bytes, SummedFile]:
    stream = io.BytesIO()
    file = SummedFile(stream)
    with packing(file, compression) as write:
        for chunk in chunks:
            write(chunk)
    return stream.getvalue(), file


def unpacked(content: bytes, compression: Compression = "zstd") -> tuple[bytes, SummedFile]:
    file = SummedFile(io.BytesIO(content))
    return b"".join(unpack(file, compression)), file


@pytest.mark.parametrize("compression", KINDS)
@given(chunks=st.lists(st.binary(max_size=300)))
def test_what_goes_in_comes_out(compression: Compression, chunks: list[bytes]) -> None:
    """The sums on both ways are those of what lies there."""
    content, written = pack(chunks, compression)
    result, read = unpacked(content, compression)
    assert result == b"".join(chunks)
    for file in (written, read):
        assert (file.size, file.sha256) == (len(content), hashlib.sha256(content).hexdigest())


def test_memory_is_flat() -> None:
    """What has been packed ten thousand times smaller comes in pieces all the same."""
    megabyte = b"0\n" * (1 << 19)
    content, _ = pack(megabyte for _ in range(200))
    assert len(content) < 100_000
    assert {len(piece) for piece in unpack(SummedFile(io.BytesIO(content)), "zstd")} == {1 << 20}


CONTENT: t.Final = pack([b"".join(b"%d\t%d\n" % (n, n * n) for n in range(20_000))])[0]


@pytest.mark.parametrize(
    "content",
    [
        CONTENT[:-1],
        CONTENT[: len(CONTENT) // 2],
        CONTENT[:1000] + bytes(50) + CONTENT[1050:],
        b"1\t1\n" + CONTENT,
        CONTENT + b"1\t1\n",
        b"1\t1\n",
    ],
    ids=["end", "half", "middle", "before", "after", "never packed"],
)
def test_damaged(content: bytes) -> None:
    with pytest.raises(DamagedError):
        unpacked(content)


def test_without_the_library(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is missed only by who packs, and by who reads what was packed; beforehand."""
    monkeypatch.setattr(engine, "HAS_ZSTD", False)
    assert unpacked(pack([b"1\n"], "none")[0], "none")[0] == b"1\n"
    assert check_compression("none", None) == []
    (finding,) = check_compression("zstd", None)
    assert (finding.severity, finding.code) == ("error", "compression-library")
    with pytest.raises(MigrationError, match=r"pip install backports\.zstd"):
        pack([b"1\n"])


def test_nothing_to_pack() -> None:
    """Who asks for it and gets no archive is told so."""
    assert check_compression("none", Transfer("stream", "")) == []
    assert check_compression("zstd", Transfer("archive", "")) == []
    (finding,) = check_compression("zstd", Transfer("stream", ""))
    assert (finding.severity, finding.code) == ("notice", "not-packed")
