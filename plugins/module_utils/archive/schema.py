# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The schema's file: written by pg_dump, read back by pg_restore as statements that we send ourselves.

No script goes through psql on the target, so that no meta-command hidden in a name can run; and pg_restore's own SETs,
which an older server may not know, are left out: the session's settings are ours.
"""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import os
import pathlib
import re
import subprocess
import typing as t

from ..catalog.snapshot import LOCK_PATIENCE, Snapshot, tell_lockers
from ..errors import MigrationError
from ..server.client_tools import ClientTools
from ..server.endpoint import tool_environment

Section = t.Literal["pre-data", "post-data"]

# Owners, grants, tablespaces and subscriptions are bound to the place; preflight says so where there are any.
_LEFT_BEHIND: t.Final = ("--no-owner", "--no-privileges", "--no-tablespaces", "--no-subscriptions")


@dataclasses.dataclass(frozen=True)
class Entry:
    """One object's statements, as pg_restore prints them."""

    kind: str
    name: str
    statements: bytes
    #: the entry's number in the archive, and those of the entries that it depends on
    number: int = dataclasses.field(default=0, compare=False)
    needs: frozenset[int] = dataclasses.field(default=frozenset(), compare=False)
    #: where the object is in the catalogs of the database that was dumped: its catalog's OID and its own; zeros for
    #: what has no address, as comments
    address: tuple[int, int] = dataclasses.field(default=(0, 0), compare=False)

    def __str__(self) -> str:
        return f"{self.kind.lower()} {self.name}"


def dump_schema(snapshot: Snapshot, tools: ClientTools, path: pathlib.Path) -> None:
    """Write the schema as the snapshot sees it.

    :raises MigrationError: with all that pg_dump says, also when it only warns: nothing it says is ignored
    """
    command = [
        tools.program("pg_dump"),
        "--format=custom",
        "--schema-only",
        "--no-password",
        # It locks every table, whichever are selected.
        f"--lock-wait-timeout={LOCK_PATIENCE}",
        # The one in which the statements will be sent; pg_dump's own choice is the database's.
        "--encoding",
        snapshot.session.info.parameter_status("client_encoding") or "",
        *_LEFT_BEHIND,
    ]
    # Before, it writes to nowhere: it is only found out what it will ask.
    with snapshot.entrance([*command, "--file", os.devnull]) as server:
        outcome = subprocess.run(
            [*command, "--file", str(path)],
            env=tool_environment(server),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            umask=0o077,
            check=False,
        )
        # Before the session is given back: there may be no connection any more.
        if outcome.returncode or outcome.stderr:
            said = _said(outcome)
            if "LOCK TABLE" in said and "timeout" in said:
                said += f"\nThese keep readers out:{tell_lockers(snapshot.endpoint)}"
            raise MigrationError(f"pg_dump of the {snapshot.endpoint} failed: {said}")


def read_section(tools: ClientTools, path: pathlib.Path, section: Section) -> list[Entry]:
    """Return the section's entries in the order in which they must be created.

    :raises MigrationError: when pg_restore fails or its script is not what its own list announces
    """
    pre_data, post_data = _read(tools, path)
    return [*(pre_data if section == "pre-data" else post_data)]


def read_schema(tools: ClientTools, path: pathlib.Path) -> list[Entry]:
    """Return all entries of a schema's file, likewise."""
    pre_data, post_data = _read(tools, path)
    return [*pre_data, *post_data]


def _read(tools: ClientTools, path: pathlib.Path) -> tuple[list[Entry], list[Entry]]:
    return _read_once(tools, path, hashlib.sha256(path.read_bytes()).digest())


# A stage has two of them at a time, the source's and the target's, and several uses for each.
@functools.lru_cache(maxsize=2)
def _read_once(tools: ClientTools, path: pathlib.Path, _digest: bytes) -> tuple[list[Entry], list[Entry]]:
    """Return the entries of both sections."""
    listed = _pg_restore(tools, ["--list", "--section=pre-data", "--section=post-data", *_LEFT_BEHIND, str(path)])
    announced = [int(identifier) for identifier in re.findall(rb"^(\d+); \d+ \d+ ", listed, re.MULTILINE)]
    pre_data, post_data = (
        _pg_restore(tools, ["--verbose", "--file=-", f"--section={section}", *_LEFT_BEHIND, str(path)])
        for section in ("pre-data", "post-data")
    )
    before = len(_HEADER.findall(pre_data))
    return _with_servers(split_script(pre_data, announced[:before])), split_script(post_data, announced[before:])


# A verbose script heads each entry with its number in the archive's table of contents (pg_backup_archiver.c:
# _printTocEntry); line breaks in names are blanks there. A type is in capitals, a name may be anything.
_HEADER: t.Final = re.compile(
    rb"^--\n-- TOC entry (?P<id>\d+) \(class (?P<class>\d+) OID (?P<oid>\d+)\)\n"
    rb"(?:-- Dependencies: (?P<needs>[\d ]+)\n)?"
    rb"-- Name: (?P<name>.*); Type: (?P<kind>[A-Z ]+); Schema: (?P<schema>.*); Owner: .*\n(?:-- Data Pos: \d+\n)?--\n",
    re.MULTILINE,
)
_END: t.Final = re.compile(rb"\n(?:-- Completed on .*\n\n)?--\n-- PostgreSQL database dump complete\n--\n")


def split_script(script: bytes, announced: t.Sequence[int]) -> list[Entry]:
    """Split a verbose pg_restore script into its entries.

    :param announced: the entries' numbers in order; a function's body that imitates a header cannot pass for one
    """
    headers = list(_HEADER.finditer(script))
    if [int(header["id"]) for header in headers] != list(announced):
        raise MigrationError(
            "pg_restore's script does not match its own list of entries: some object's definition contains text that "
            "looks like pg_restore's own comments (-- TOC entry ...). Remove that text from the object."
        )
    ends = [header.start() for header in headers[1:]]
    closing = list(_END.finditer(script, headers[-1].end() if headers else 0))
    if not closing:
        raise MigrationError("pg_restore's script ends in the middle")
    preamble = script[: headers[0].start() if headers else 0]
    # As the session spells names: those of a SQL_ASCII database as LATIN1 (endpoint.py).
    encoding = "latin-1" if b"\nSET client_encoding = 'LATIN1';\n" in preamble else "utf-8"
    return [
        Entry(
            kind=header["kind"].decode(),
            name=_qualified(header).decode(encoding, errors="replace"),
            statements=script[header.end() : end].strip(),
            number=int(header["id"]),
            needs=frozenset(map(int, (header["needs"] or b"").split())),
            address=(int(header["class"]), int(header["oid"])),
        )
        for header, end in zip(headers, [*ends, closing[-1].start()], strict=bool(headers))
    ]


def _with_servers(entries: list[Entry]) -> list[Entry]:
    """Return the entries; a user mapping needs its server, though pg_dump does not say so (its dumpUserMappings)."""
    servers = {entry.name: entry.number for entry in entries if entry.kind == "SERVER"}
    return [
        dataclasses.replace(entry, needs=entry.needs | {servers[name]})
        if entry.kind == "USER MAPPING" and (name := entry.name.rpartition(" SERVER ")[2]) in servers
        else entry
        for entry in entries
    ]


#: What is part of a table and bears the table's name before its own.
_NAMED_AFTER_TABLE: t.Final = frozenset(
    {"CHECK CONSTRAINT", "CONSTRAINT", "DEFAULT", "FK CONSTRAINT", "POLICY", "RULE", "TRIGGER"}
)
#: What is part of the table that it depends on. A sequence that depends on a table is owned by a column of it.
_PART: t.Final = frozenset(
    {
        *("COMMENT", "INDEX", "INDEX ATTACH", "ROW SECURITY", "SECURITY LABEL", "SEQUENCE", "SEQUENCE OWNED BY"),
        *("STATISTICS", "TABLE ATTACH"),
    }
)


def parts_of(entries: t.Iterable[Entry], tables: t.Container[str]) -> list[Entry]:
    """Return the entries of the named tables and of all that is part of them: indexes, constraints, triggers and so on.

    :param entries: in the order of the archive, in which what an entry depends on comes before it
    :param tables: as ``schema.table``
    """
    parts: dict[int, Entry] = {}
    for entry in entries:
        needed = [parts[number] for number in entry.needs & parts.keys()]
        if (
            (entry.kind == "TABLE" and entry.name in tables)
            or (entry.kind in _PART and needed)
            or (entry.kind in _NAMED_AFTER_TABLE and any(entry.name.startswith(f"{part.name} ") for part in needed))
        ):
            parts[entry.number] = entry
    return list(parts.values())


def _qualified(header: re.Match[bytes]) -> bytes:
    return header["name"] if header["schema"] == b"-" else header["schema"] + b"." + header["name"]


def _pg_restore(tools: ClientTools, arguments: list[str]) -> bytes:
    outcome = subprocess.run(
        [tools.program("pg_restore"), *arguments], stdin=subprocess.DEVNULL, capture_output=True, check=False
    )
    if outcome.returncode:
        raise MigrationError(f"pg_restore cannot read the archived schema: {_said(outcome)}")
    return outcome.stdout


def _said(outcome: subprocess.CompletedProcess[bytes]) -> str:
    status = outcome.returncode
    ended = f"was killed by signal {-status}" if status < 0 else f"ended with status {status}"
    return outcome.stderr.decode(errors="replace").strip() or f"it {ended} and said nothing"
