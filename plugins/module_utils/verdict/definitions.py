# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether objects are defined alike on both sides, by pg_dump's words. Nothing here asks a database."""

from __future__ import annotations

import collections
import dataclasses
import difflib
import re
import typing as t

from ..archive.schema import Entry, parts_of
from ..catalog.selection import Selection
from ..redaction import hide_values
from .findings import Difference


@dataclasses.dataclass(frozen=True)
class TypeVerdict:
    """The numbers of objects of a type; ``equal`` speaks of their definitions."""

    type: str
    source: int
    target: int
    equal: bool


def compare_schemas(
    source: t.Iterable[Entry],
    target: t.Iterable[Entry],
    selection: Selection | None = None,
    *,
    reworded: t.Iterable[Entry] | None = None,
) -> tuple[tuple[TypeVerdict, ...], tuple[Difference, ...]]:
    """Compare the definitions of all objects, as pg_dump words them; ``source`` is what must be.

    :param selection: tables which, with all that is part of them, are compared alone
    :param reworded: ``source`` in other words: what is not defined in its own must be in these
    """
    ours, theirs = definitions_of(source, selection), definitions_of(target, selection)
    if reworded is not None:
        same = {key: said for key, said in ours.items() if said == theirs.get(key)}
        ours = definitions_of(reworded, selection) | same
    our_kinds = collections.Counter(kind for kind, _ in ours)
    their_kinds = collections.Counter(kind for kind, _ in theirs)
    differing = sorted(key for key in ours.keys() | theirs.keys() if ours.get(key) != theirs.get(key))
    differing_kinds = {kind for kind, _ in differing}
    return (
        tuple(
            TypeVerdict(kind.lower(), our_kinds[kind], their_kinds[kind], kind not in differing_kinds)
            for kind in sorted(our_kinds.keys() | their_kinds.keys())
        ),
        tuple(
            Difference(str(Entry(kind, name, b"")), _explain(ours.get((kind, name)), theirs.get((kind, name))))
            for kind, name in differing
        ),
    )


def same_objects(source: t.Iterable[Entry], target: t.Iterable[Entry], selection: Selection | None = None) -> bool:
    """Whether the same objects are on both sides, however they are defined."""
    return definitions_of(source, selection).keys() == definitions_of(target, selection).keys()


# pg_restore says it where it changes, behind the object before, whatever that is (_selectTableAccessMethod in
# pg_backup_archiver.c).
_ACCESS_METHOD: t.Final = re.compile(rb"\s*^SET default_table_access_method = (?P<method>.*);\Z", re.MULTILINE)

#: All that pg_dump says of a schema public that another role owns (dumpNamespace in pg_dump.c); owners do not count.
_NO_DEFINITION: t.Final = b"-- *not* creating schema, since initdb creates it"


def definitions_of(
    entries: t.Iterable[Entry], selection: Selection | None = None
) -> dict[tuple[str, str], list[bytes]]:
    """Return what is compared, the definitions by kind and name; several objects may have one name.

    :param entries: in the order of the archive
    """
    entries = list(entries)
    wanted = {entry.number for entry in (entries if selection is None else parts_of(entries, selection.labels))}
    definitions = collections.defaultdict(list)
    method = b"heap"
    for entry in entries:
        said = _ACCESS_METHOD.search(entry.statements)
        statements = entry.statements[: said.start()] if said else entry.statements
        if entry.kind in ("TABLE", "MATERIALIZED VIEW") and method != b"heap":
            statements += b"\nUSING " + method
        if entry.number in wanted and not statements.startswith(_NO_DEFINITION):
            definitions[entry.kind, entry.name].append(statements)
        method = said["method"] if said else method
    return {key: sorted(statements) for key, statements in definitions.items()}


def _explain(source: list[bytes] | None, target: list[bytes] | None) -> str:
    if target is None:
        return "missing on the target"
    if source is None:
        return "only on the target"
    ours, theirs = (hide_values(b"\n".join(s).decode(errors="replace")).splitlines() for s in (source, target))
    if ours == theirs:
        return "defined otherwise on the target, in a value that is not shown"
    changes = [line for line in difflib.unified_diff(ours, theirs, lineterm="", n=0) if line[:3] not in ("---", "+++")]
    lines = [line for line in changes if not line.startswith("@@")]
    return "defined otherwise on the target (- source, + target):\n" + "\n".join(f"    {line}" for line in lines)
