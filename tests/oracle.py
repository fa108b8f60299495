# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A judge of copies that shares no code with the engine: the corpus' fingerprint, and pg_dump's words."""

from __future__ import annotations

import dataclasses
import difflib
import re
import secrets
import subprocess
import typing as t

from ansible_collections.pgconvoy.migrate.plugins.module_utils.lab.programs import wheel_bindir
from psycopg import sql

from tests import corpus
from tests.servers import PostgresServer


@dataclasses.dataclass(frozen=True)
class Picture:
    """Everything about a database that a faithful copy has in common with it, as lines."""

    data: tuple[str, ...]
    schema: tuple[str, ...]


def assert_equal(
    source: PostgresServer, source_db: str, target: PostgresServer, target_db: str, *, merge: t.Collection[str] = ()
) -> None:
    """Fail the test with every line in which the target's database is not a faithful copy of the source's."""
    found = differences(expected(source, source_db, target, merge=merge), picture(target, target_db, merge=merge))
    assert not found, "\n".join(found)


def picture(server: PostgresServer, dbname: str, *, merge: t.Collection[str] = ()) -> Picture:
    """Return a database as it is.

    :param merge: partitions whose rows may be spread otherwise in a copy, as ``schema.name``: only their sum is told
    """
    return Picture(_data(server, dbname, merge), schema(server, dbname))


def expected(
    source: PostgresServer, source_db: str, target: PostgresServer, *, merge: t.Collection[str] = ()
) -> Picture:
    """Return what a faithful copy of the source looks like on that target.

    Definitions come back with other words after one restore (an IN list grows casts, inherited columns change places),
    so the source's schema is restored once on the target's server, by pg_dump and psql, and read from there.
    """
    return Picture(_data(source, source_db, merge), expected_schema(source, source_db, target))


def expected_schema(source: PostgresServer, source_db: str, target: PostgresServer) -> tuple[str, ...]:
    """Return the schema alone of `expected`."""
    scratch = f"oracle_{secrets.token_hex(4)}"
    with source.connect() as connection:
        row = connection.execute(
            "SELECT pg_encoding_to_char(encoding), datcollate, datctype FROM pg_database WHERE datname = %s",
            (source_db,),
        ).fetchone()
    assert row is not None
    target.create_database(
        scratch, template="template0", **dict(zip(("encoding", "lc_collate", "lc_ctype"), row, strict=True))
    )
    try:
        if scalar(source, source_db, "SELECT count(*) FROM pg_namespace WHERE nspname = 'public'") == 0:
            with target.connect(scratch) as connection:
                connection.execute("DROP SCHEMA public")
        _restore(target, scratch, _dump_schema(source, source_db))
        return schema(target, scratch)
    finally:
        target.drop_database(scratch)


def schema(server: PostgresServer, dbname: str) -> tuple[str, ...]:
    """Return the schema alone of `picture`."""
    return _entries(_dump_schema(server, dbname))


def differences(wanted: Picture, found: Picture) -> list[str]:
    """Return the lines that only one of both has, marked - and +."""
    return [
        line
        for ours, theirs in ((wanted.data, found.data), (wanted.schema, found.schema))
        for line in difflib.unified_diff(ours, theirs, "expected", "found", lineterm="", n=0)
    ]


_FINGERPRINT: t.Final = re.compile(r"tab (?P<name>.*) rows=(?P<rows>\d+) sum=(?P<sum>-?\d+) sum2=(?P<sum2>-?\d+)")


def _data(server: PostgresServer, dbname: str, merge: t.Collection[str]) -> tuple[str, ...]:
    # Owners and grants are not carried, those of large objects neither.
    lines = [
        re.sub(r"^(lo \d+) owner=.* acl=.* (md5=\w+)$", r"\1 \2", line)
        for line in corpus.fingerprint(server, _conninfo(dbname) + " client_encoding=UTF8")
    ]
    merged = [found for line in lines if (found := _FINGERPRINT.fullmatch(line)) and found["name"] in merge]
    assert len(merged) == len(merge)
    kept = [line for line in lines if line not in {found[0] for found in merged}]
    # The checksums are sums: those of the partitions add up to the tree's.
    sums = {key: sum(int(found[key]) for found in merged) for key in ("rows", "sum", "sum2")}
    return (*kept, *_comments_of_large_objects(server, dbname), *([f"merged {sums}"] if merge else []))


def _comments_of_large_objects(server: PostgresServer, dbname: str) -> list[str]:
    with server.connect(dbname) as connection:
        return [
            f"lo {oid} comment={comment}"
            for oid, comment in connection.execute(
                "SELECT objoid, description FROM pg_description WHERE classoid = 'pg_largeobject'::regclass ORDER BY 1"
            ).fetchall()
        ]


def _environment(server: PostgresServer) -> dict[str, str]:
    # pg_dump pins all but the time zone, which a database may set and in which it writes constants; and it fails on
    # bytes of a SQL_ASCII database when it is told an encoding.
    environment = server.environment() | {"PGTZ": "UTC"}
    environment.pop("PGCLIENTENCODING", None)
    return environment


def whole(server: PostgresServer, dbname: str, *options: str) -> bytes:
    """Return all of a database in the words of pg_dump: to see whether it has been touched."""
    return _pg_dump(server, dbname, *options)


def _dump_schema(server: PostgresServer, dbname: str) -> bytes:
    left_behind = ("--no-owner", "--no-privileges", "--no-tablespaces", "--no-subscriptions")
    return _pg_dump(server, dbname, "--schema-only", *left_behind)


_ONLY_ATTVER: t.Final = re.compile(
    rb"^ALTER (FOREIGN )?TABLE ONLY ((?!;\n).)*? SET \(pg_attver=\d+\);\n", re.DOTALL | re.MULTILINE
)


def _pg_dump(server: PostgresServer, dbname: str, *options: str) -> bytes:
    """Return what the newest pg_dump writes, whatever the server."""
    done = subprocess.run(
        [str(wheel_bindir() / "pg_dump"), "--restrict-key=oracle", f"--dbname={_conninfo(dbname)}", *options],
        env=_environment(server),
        capture_output=True,
        check=False,
    )
    assert not done.returncode, done.stderr
    assert not done.stderr, done.stderr
    # What a server of 15.20 keeps among a column's options is its own.
    return re.sub(rb" SET \(pg_attver=\d+, ", b" SET (", _ONLY_ATTVER.sub(b"", done.stdout))


def _restore(server: PostgresServer, dbname: str, script: bytes) -> None:
    if int(server.major) < 17:
        # A server of 16 or older does not know this setting of pg_dump's.
        script = script.replace(b"\nSET transaction_timeout = 0;\n", b"\n", 1)
    done = subprocess.run(
        [str(wheel_bindir() / "psql"), "-X", "-q", "-v", "ON_ERROR_STOP=1", f"--dbname={_conninfo(dbname)}"],
        env=_environment(server),
        input=script,
        capture_output=True,
        check=False,
    )
    assert not done.returncode, done.stderr


def _conninfo(dbname: str) -> str:
    """Return a connection string: a name with a = in it would be taken for one."""
    return "dbname='{}'".format(dbname.replace("\\", "\\\\").replace("'", "\\'"))


def _entries(script: bytes) -> tuple[str, ...]:
    """Return the objects' statements, sorted: their order may depend on OIDs."""
    text = script.decode(errors="surrogateescape")
    _, _, body = text.partition("\n-- Dumped by pg_dump version ")
    _, _, body = body.partition("\n\n")
    return tuple(sorted(entry.strip() for entry in body.split("\n--\n-- Name: ")))


def databases(server: PostgresServer) -> dict[str, tuple[t.Any, ...]]:
    """Return the server's databases with all of their own properties, but their identifiers and a run's note.

    Words are in the encoding of each: what is not ASCII is told in octal.
    """
    query = """
        SELECT datname, pg_get_userbyid(datdba), pg_encoding_to_char(encoding), datcollate, datctype, datconnlimit,
               datallowconn, datistemplate, ARRAY(SELECT a::text FROM unnest(datacl) a ORDER BY 1),
               encode(textsend(shobj_description(d.oid, 'pg_database')), 'escape'),
               ARRAY(SELECT coalesce(r.rolname || ': ', '') || encode(textsend(c), 'escape')
                     FROM pg_db_role_setting s LEFT JOIN pg_roles r ON r.oid = s.setrole, unnest(s.setconfig) c
                     WHERE s.setdatabase = d.oid AND c NOT LIKE 'pgconvoy.unchanged=%' ORDER BY 1)
        FROM pg_database d ORDER BY 1
    """
    with server.connect() as connection:
        return {name: tuple(properties) for name, *properties in connection.execute(query).fetchall()}


def scalar(server: PostgresServer, dbname: str, query: t.LiteralString) -> t.Any:
    """Return the one value of a query."""
    with server.connect(dbname) as connection:
        row = connection.execute(sql.SQL(query)).fetchone()
    assert row is not None
    return row[0]
