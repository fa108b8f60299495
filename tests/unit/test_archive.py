# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""An archive's folder: whole or absent, private, and believed only as far as its files agree."""

from __future__ import annotations

import json
import os
import stat
import typing as t
from pathlib import Path

import msgspec
import pytest
from ansible_collections.pgconvoy.migrate.plugins.module_utils.archive.archive import Archive
from ansible_collections.pgconvoy.migrate.plugins.module_utils.archive.folder import (
    check_archive,
    create_private,
    describe_file,
    new_folder,
)
from ansible_collections.pgconvoy.migrate.plugins.module_utils.archive.manifest import (
    FILE_NAME,
    FORMAT,
    ArchivedRows,
    Manifest,
    decode,
    encode,
)
from ansible_collections.pgconvoy.migrate.plugins.module_utils.catalog.checksums import ALGORITHM
from ansible_collections.pgconvoy.migrate.plugins.module_utils.catalog.content import Content, Measured
from ansible_collections.pgconvoy.migrate.plugins.module_utils.catalog.database import DatabaseProperties, Locale
from ansible_collections.pgconvoy.migrate.plugins.module_utils.catalog.relations import Relation
from ansible_collections.pgconvoy.migrate.plugins.module_utils.catalog.requirements import Requirements
from ansible_collections.pgconvoy.migrate.plugins.module_utils.errors import MigrationError
from ansible_collections.pgconvoy.migrate.plugins.module_utils.rows.chunks import pour


def test_unfinished_ones_of_the_dead_alone_are_removed(tmp_path: Path) -> None:
    """Whoever is still writing keeps what it has written; the next to write alone removes the rest."""
    (tmp_path / ".killed.partial").mkdir()
    with new_folder(tmp_path / "first") as first:
        assert [path.name for path in tmp_path.iterdir()] == [".first.partial"]
        (tmp_path / ".killed.partial").mkdir()
        with new_folder(tmp_path / "second"):
            assert first.is_dir()
    with new_folder(tmp_path / "third"):
        pass
    assert {path.name for path in tmp_path.iterdir()} == {"first", "second", "third"}


def write(path: Path, content: bytes) -> None:
    with create_private(path) as stream:
        stream.write(content)


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    """Give an archive of one table."""
    with new_folder(tmp_path / "archive") as partial:
        write(partial / "schema.dump", b"schema")
        write(partial / "rows-000001.copy", b"1\n2\n")
        manifest = Manifest(
            format=FORMAT,
            taken_at="2026-01-01T00:00:00+00:00",
            tools_version="18.6",
            database=DatabaseProperties(
                "app", 180006, Locale("UTF8", "libc", "C", "C", None, None), (), None, 1, "", True
            ),
            requirements=Requirements((), (), ()),
            content=Content(ALGORITHM, (Measured(Relation("public", "t", "table"), None),), (), (), ()),
            answers={},
            refresh_order=(),
            schema=describe_file(partial / "schema.dump"),
            tables=(ArchivedRows("public", "t", 2, describe_file(partial / "rows-000001.copy")),),
            large_objects=None,
            large_object_pieces=0,
        )
        write(partial / FILE_NAME, encode(manifest))
    return tmp_path / "archive"


def test_whole(archive: Path) -> None:
    manifest = check_archive(archive).manifest
    assert manifest.tables[0].rows == 2
    assert decode(encode(manifest), "here") == manifest
    modes = {stat.S_IMODE(path.stat().st_mode) for path in archive.iterdir()}
    assert modes == {0o600}
    assert stat.S_IMODE(archive.stat().st_mode) == 0o700


def test_rows_are_summed_once(archive: Path) -> None:
    """Who loads them does it; what can be seen without reading them is seen before."""
    rows = archive / "rows-000001.copy"
    rows.write_bytes(b"1\n3\n")
    manifest = check_archive(archive, loaded=True).manifest
    with Archive(archive, manifest).open() as reader, pytest.raises(MigrationError, match="copy was altered"):
        pour(reader.read(manifest.tables[0]), bytes)
    rows.write_bytes(b"1\n2\n3\n")
    with pytest.raises(MigrationError, match=r"rows-000001\.copy was altered"):
        check_archive(archive, loaded=True)
    rows.write_bytes(b"1\n2\n")
    (archive / "schema.dump").write_bytes(b"SCHEMA")
    with pytest.raises(MigrationError, match=r"schema\.dump was altered"):
        check_archive(archive, loaded=True)


def test_what_earlier_versions_told_besides(archive: Path) -> None:
    """Format 1 once held what a rehearsal of the schema tells now."""
    manifest = check_archive(archive).manifest
    older = msgspec.json.decode(encode(manifest))
    older["requirements"] |= {
        "superuser": [{"what": "leakproof", "object": "function f()"}],
        "libraries": [],
        "lz4": [],
    }
    assert decode(msgspec.json.encode(older), "here") == manifest


def test_absent_when_the_dump_fails(tmp_path: Path) -> None:
    def dump() -> None:
        with new_folder(tmp_path / "archive") as partial:
            write(partial / "schema.dump", b"schema")
            raise MigrationError("no")

    with pytest.raises(MigrationError, match="no"):
        dump()
    assert list(tmp_path.iterdir()) == []


def test_no_space(tmp_path: Path) -> None:
    def dump() -> None:
        with new_folder(tmp_path / "archive"):
            raise OSError(28, os.strerror(28))

    with pytest.raises(MigrationError, match=r"Cannot write the archive .*No space left.*bytes are free.*archive_root"):
        dump()
    assert list(tmp_path.iterdir()) == []


def test_place_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with (
        pytest.raises(MigrationError, match=r"Cannot make the archive .*Check archive_root"),
        new_folder(tmp_path / "file" / "archive"),
    ):
        pass


def alter(path: Path) -> None:
    (path / "rows-000001.copy").write_bytes(b"1\n3\n")


def lose(path: Path) -> None:
    (path / "schema.dump").unlink()


def add(path: Path) -> None:
    (path / "notes.txt").write_text("")


def link(path: Path) -> None:
    (path / "rows-000001.copy").rename(path.parent / "elsewhere")
    (path / "rows-000001.copy").symlink_to(path.parent / "elsewhere")


def link_manifest(path: Path) -> None:
    (path / FILE_NAME).rename(path.parent / "elsewhere")
    (path / FILE_NAME).symlink_to(path.parent / "elsewhere")


def make_pipe(path: Path) -> None:
    (path / "schema.dump").unlink()
    os.mkfifo(path / "schema.dump")


def make_folder(path: Path) -> None:
    (path / "rows").mkdir()


def rename_table(path: Path) -> None:
    manifest = json.loads((path / FILE_NAME).read_bytes())
    manifest["tables"][0]["name"] = "unknown"
    (path / FILE_NAME).write_text(json.dumps(manifest))


def lose_manifest(path: Path) -> None:
    (path / FILE_NAME).unlink()


def cut_manifest(path: Path) -> None:
    manifest = path / FILE_NAME
    manifest.write_bytes(manifest.read_bytes()[:-20])


def replace_in_manifest(old: str, new: str) -> t.Callable[[Path], None]:
    def replace(path: Path) -> None:
        manifest = path / FILE_NAME
        text = manifest.read_text()
        assert old in text
        manifest.write_text(text.replace(old, new))

    return replace


@pytest.mark.parametrize(
    ("damage", "told"),
    [
        (alter, "rows-000001.copy was altered. Dump again.$"),
        (lose, "schema.dump is missing"),
        (add, "notes.txt does not belong to it. Remove what does not belong to it.$"),
        (link, "rows-000001.copy is not a regular file"),
        (link_manifest, "Cannot read the archive's manifest .*Too many levels of symbolic links"),
        (make_pipe, "schema.dump is not a regular file"),
        (make_folder, "rows does not belong to it"),
        (replace_in_manifest('"name": "rows-000001.copy"', '"name": "schema.dump"'), "contradicts itself"),
        (rename_table, "contradicts itself"),
        (lose_manifest, "Cannot read the archive's manifest .*No such file"),
        (cut_manifest, "is not a manifest that this version can read"),
        (replace_in_manifest('"format": 1', '"format": 2'), "has format 2, this version reads 1"),
        (replace_in_manifest(f'"{ALGORITHM}"', '"older"'), "has checksums of the kind older"),
        (replace_in_manifest('"size": 4', '"size": 5'), "rows-000001.copy was altered"),
        (replace_in_manifest('"rows": 2', '"rows": "two"'), "Expected `int`"),
        (replace_in_manifest('"tables"', '"tafeln"'), "missing required field `tables`"),
    ],
)
def test_damaged(archive: Path, damage: t.Callable[[Path], None], told: str) -> None:
    damage(archive)
    with pytest.raises(MigrationError, match=told):
        check_archive(archive)


def test_all_faults_at_once(archive: Path) -> None:
    for damage in (alter, lose, add):
        damage(archive)
    with pytest.raises(
        MigrationError, match=r"notes.txt does.*schema.dump is missing.*rows-000001.copy was altered. Dump again.$"
    ):
        check_archive(archive)


@pytest.mark.parametrize(
    "name", ["../outside", "/etc/passwd", "a/b", "..", ".", "", ".hidden", "a\nb", "a\n", "\\\\host\\x"]
)
def test_names_that_lead_elsewhere(archive: Path, name: str) -> None:
    """A manifest cannot make a restore read a file outside of the archive."""
    manifest = json.loads((archive / FILE_NAME).read_bytes())
    manifest["tables"][0]["file"]["name"] = name
    with pytest.raises(MigrationError, match="Expected `str` matching regex"):
        decode(json.dumps(manifest).encode(), "manifest")
