# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a source knows of NOT NULL. Before 18, which columns of a table are so, and before 17, whether a domain is.

Later servers have a constraint of it. It has a name, and may be a table's own although it is inherited, too. A target
that was not made from the source may have it otherwise in this, and no source can say how it should be.
"""

from __future__ import annotations

import dataclasses
import re
import typing as t

from ..archive.schema import Entry

#: The majors from which on it is a constraint.
_DOMAINS: t.Final = 17
_TABLES: t.Final = 18

# Searched in what pg_dump writes without what is quoted (`_mask`): for tables a column or a constraint a line, and a
# comma ends no other line (dumpTableSchema in pg_dump.c).
_QUOTED: t.Final = re.compile(rb"'[^']*'|\"[^\"]*\"")
_NAME: t.Final = re.compile(rb"(?<= )CONSTRAINT \w+ (?=NOT NULL\b)")
_HEAD: t.Final = re.compile(rb"CREATE [A-Z ]*TABLE (?P<name>\w+\.\w+)[^(]* \(\n")
_PARENTS: t.Final = re.compile(rb"\n\)\nINHERITS \((?P<names>[\w., ]+)\)")
_OF_TABLE: t.Final = re.compile(rb"(?P<said>    NOT NULL (?P<column>\w+))")
_OF_COLUMN: t.Final = re.compile(rb"    (?P<column>\w+) .*?(?<! IS)(?P<said> NOT NULL)(?! NO INHERIT)", re.DOTALL)


def as_known_to(major: int, entries: t.Iterable[Entry]) -> list[Entry]:
    """Return entries that say no more of NOT NULL than a source of this major can.

    :param entries: in the order of the archive, in which heirs come after their parents
    """
    if major >= _TABLES:
        return [*entries]
    inherited: dict[bytes, set[bytes]] = {}
    known = []
    for entry in entries:
        said = entry.statements
        if entry.kind == "DOMAIN" and major < _DOMAINS:
            said = _without_names(said)
        elif entry.kind in ("TABLE", "FOREIGN TABLE"):
            said = _without_inherited(_without_names(said), inherited)
        known.append(entry if said == entry.statements else dataclasses.replace(entry, statements=said))
    return known


def _mask(said: bytes) -> bytes:
    """Return a definition in which all that is quoted is as long, and a word."""
    return _QUOTED.sub(lambda quoted: b"_" * len(quoted[0]), said)


def _without_names(said: bytes) -> bytes:
    for name in reversed([*_NAME.finditer(_mask(said))]):
        said = said[: name.start()] + said[name.end() :]
    return said


def _without_inherited(said: bytes, columns: dict[bytes, set[bytes]]) -> bytes:
    """Return a table's definition without what its parents have as well.

    :param columns: which columns of the tables before are NOT NULL, by the tables' names; this one's are added
    """
    masked = _mask(said)
    head = _HEAD.match(masked)
    if not head:
        return said
    end = masked.index(b"\n)", head.end() - 1)
    parents = _PARENTS.match(masked, end)
    own = columns[said[slice(*head.span("name"))]] = set()
    if parents:
        for name in re.finditer(rb"[\w.]+", parents["names"]):
            start = parents.start("names")
            own |= columns.get(said[start + name.start() : start + name.end()], set())
    lines, start = [], head.end()
    for line in masked[start:end].split(b",\n"):
        text = said[start : start + len(line)]
        start += len(line) + len(b",\n")
        if found := _OF_TABLE.fullmatch(line) or _OF_COLUMN.match(line):
            column = text[slice(*found.span("column"))]
            if parents and column in own:
                text = text[: found.start("said")] + text[found.end("said") :]
            own.add(column)
        if text:
            lines.append(text)
    # Between the brackets of a table without columns is one line break.
    return said[: head.end()] + b",\n".join(lines) + said[end if lines else end + 1 :]
