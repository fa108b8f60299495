# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Archives that are packed: all that holds of an archive holds of these."""

from __future__ import annotations

import dataclasses
import typing as t
from pathlib import Path

import pytest
from ansible_collections.pgconvoy.migrate.plugins.module_utils.archive.folder import check_archive, read_archive
from ansible_collections.pgconvoy.migrate.plugins.module_utils.archive.manifest import FILE_NAME, encode
from ansible_collections.pgconvoy.migrate.plugins.module_utils.archive.writer import write_archive
from ansible_collections.pgconvoy.migrate.plugins.module_utils.errors import MigrationError

from tests import oracle
from tests.case import Case, new_case
from tests.migration import Migration, prepare
from tests.servers import Servers

SCRIPT: t.Final = """
    create table fact(id int primary key, day date, price numeric, what text);
    insert into fact select g, date '2026-01-01' + g % 365, g / 7.0, 'position ' || g from generate_series(1, 40000) g;
    create table broken(v text); insert into broken values (E'\\t\\n\\\\.'), (null), (''), ('\\N');
    create table wide(v text); create table void(id int);
    create materialized view total as select count(*) from fact;
    select lo_from_bytea(4711, decode(repeat('00ff0a5c', 300000), 'hex')), lo_create(4712);
"""


@pytest.fixture(scope="module")
def case(servers: Servers) -> t.Iterator[Case]:
    with new_case(servers.source("15"), servers.target("18"), SCRIPT) as new:
        yield new


def packed(case: Case, archive: Path) -> Migration:
    migration = prepare(case.source, case.name, case.target, case.name, archive)
    migration.compression = "zstd"
    migration.preflight()
    return migration


def weight(archive: Path) -> int:
    """Return the bytes of all files of rows, and of large objects."""
    manifest = read_archive(archive).manifest
    sizes = [file.size for file in manifest.files if file != manifest.schema]
    assert sum(sizes) == sum(path.stat().st_size for path in archive.glob("*.copy*"))
    return sum(sizes)


def test_arrives(case: Case, tmp_path: Path) -> None:
    """Nobody who reads it is told which kind it is; where it is its own undo, too, it is smaller by half at least."""
    migration = packed(case, tmp_path / "packed")
    manifest = migration.dump()
    assert {path.name for path in migration.archive.iterdir()} == {
        *(FILE_NAME, "schema.dump", "large_objects.copy.zst", "rows-000001.copy.zst", "rows-000002.copy.zst"),
    }
    assert check_archive(migration.archive).manifest == manifest
    plain = tmp_path / "plain"
    write_archive(migration.source, migration._tools(), plain, 2)
    assert weight(migration.archive) < weight(plain) / 2

    migration.restore_schema()
    assert migration.restore_data() == {("public", "broken"): 4, ("public", "fact"): 40000}
    assert migration.verify().equal
    migration.switch()
    oracle.assert_equal(case.source, case.name, case.target, case.name)

    # Each holds what the other does, so that neither makes the other needless, nor a third.
    for folder in (plain, migration.archive):
        earlier = check_archive(folder)
        other = dataclasses.replace(migration, archive=tmp_path / f"not-{folder.name}")
        again = write_archive(other.source, other._tools(), other.archive, 1, earlier=earlier, compression="zstd")
        assert again is earlier
        assert not other.archive.exists()

    backups = {}
    for compression in ("none", "zstd"):
        in_place = dataclasses.replace(migration, archive=tmp_path / compression, compression=compression)
        in_place.dump()
        received, verdict = in_place.replace()
        assert (sum(received.values()), verdict.equal) == (40004, True)
        backups[compression] = weight(in_place.archive.with_name(f"{compression}-backup"))
    assert backups["zstd"] < backups["none"] / 2


def damage(archive: Path) -> None:
    path = archive / "rows-000002.copy.zst"
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def exchange(archive: Path) -> None:
    """Give other rows of the same number, whole by themselves."""
    manifest = read_archive(archive).manifest
    other = archive.with_name("other")
    (archive / "rows-000002.copy.zst").write_bytes((other / "rows-000002.copy.zst").read_bytes())
    assert manifest


def lie(archive: Path) -> None:
    manifest = read_archive(archive).manifest
    tables = [dataclasses.replace(table, rows=table.rows + 1) for table in manifest.tables]
    (archive / FILE_NAME).write_bytes(encode(dataclasses.replace(manifest, tables=tuple(tables))))


@pytest.mark.parametrize(
    ("spoil", "told"),
    [
        (damage, r"rows-000002\.copy\.zst was altered \(.*\)\. Dump again"),
        (exchange, r"rows-000002\.copy\.zst was altered\. Dump again"),
        (lie, "rows were sent, but the target received"),
    ],
)
def test_spoilt(case: Case, tmp_path: Path, spoil: t.Callable[[Path], None], told: str) -> None:
    """What is no longer what was written is told beforehand and, where it came to be so later, by one message."""
    before = oracle.databases(case.target)
    migration = packed(case, tmp_path / "packed")
    migration.dump()
    migration.restore_schema()
    case.run("update fact set price = price + 1")
    dataclasses.replace(migration, archive=tmp_path / "other").dump()
    spoil(migration.archive)
    with pytest.raises(MigrationError, match=told) as failure:
        migration.restore_data()
    assert "\n" not in str(failure.value)
    assert oracle.databases(case.target) == before
    if spoil is not lie:
        with pytest.raises(MigrationError, match=r"is not as it was written: rows-000002\.copy\.zst was altered"):
            check_archive(migration.archive)
