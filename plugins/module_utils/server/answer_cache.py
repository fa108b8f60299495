# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Answers in fewer bytes: what was heard of one database need not travel again from another one.

Nine tenths of what pg_dump is told are rows that initdb has made: built-in types, comments on them, what depends on
what. They are the same in every database of a version. And every answer describes its columns anew, and tells each
value's length. So a question that was answered before, by whichever server, is asked in another form: for a digest of
initdb's rows, and for the others as one text. Where rows with that very digest are known, they are these. They come in
the order in which they were heard, which is that of the question as far as it asks for one.
"""

from __future__ import annotations

import dataclasses
import hashlib
import itertools
import os
import pathlib
import re
import typing as t
import zlib

import msgspec
from psycopg import pq, sql

from .batches import Rows
from .inquiry import Inquiry
from .results import Answer

#: The smallest OID of a user's object (FirstNormalObjectId in transam.h), and the columns by which lists tell OIDs.
_FIRST_OID: t.Final = 16384
_NUMBERS: t.Final = (b"oid", b"objid", b"objoid")
#: What VACUUM and ANALYZE write of a table, which no definition is made of; of the system's own, nobody asks.
_NO_DEFINITION: t.Final = frozenset(
    b"relpages reltuples relallvisible relallfrozen relfrozenxid relminmxid tfrozenxid tminmxid".split()
)
#: What can be asked within another question, and is not about one object alone, as thousands may be; and which objects
#: it names, which its columns do not depend on.
_QUERY: t.Final = re.compile(rb"\s*(SELECT|WITH)\b(?!.*'\d+').*\bFROM\b", re.IGNORECASE | re.DOTALL)
_OBJECTS: t.Final = re.compile(rb"'\{[\d,]*\}'")
#: A function takes no more arguments (docs: max_function_args), and one is the separator.
_MOST_COLUMNS: t.Final = 99

#: They end a value and a row, and stand for NULL. Values that hold them are noticed: all three are counted.
_VALUE, _ROW, _NULL = b"\x1f", b"\x1e", b"\x1d"

# The rows of a question keep its order within another one.
_CONDENSED: t.Final = rb"""
SELECT encode(sha256(textsend(concat(
           count(*) FILTER (WHERE initial), ' ', sum(nulls) FILTER (WHERE initial), ' ',
           string_agg(said, E'\x1e' ORDER BY said COLLATE "C") FILTER (WHERE initial)))), 'hex'),
       count(*) FILTER (WHERE NOT initial), sum(nulls) FILTER (WHERE NOT initial),
       string_agg(concat(place, E'\x1f', said), E'\x1e' ORDER BY place) FILTER (WHERE NOT initial)
FROM (
    SELECT place, initial, %(nulls)s, %(said)s
    FROM (SELECT row_number() OVER (), %(initial)s, asked.* FROM (
%(question)s
    ) asked) placed(place, initial, %(columns)s)
) told(place, initial, nulls, said)"""


_DIGEST: t.Final = sql.SQL("""
SELECT encode(sha256(textsend(string_agg(asked::text, E'\\n' ORDER BY place))), 'hex')
FROM (SELECT asked, row_number() OVER () FROM ({}) asked) numbered(asked, place)
""")


@dataclasses.dataclass(frozen=True)
class _Shape:
    """What the answers to a question have in common, whichever objects it names."""

    description: bytes
    names: tuple[bytes, ...]
    types: tuple[int, ...]

    @property
    def number(self) -> int | None:
        """The column by which an object's number is told, if the question is for a list of objects."""
        return next((self.names.index(name) for name in _NUMBERS if name in self.names), None)

    @property
    def kept(self) -> list[int]:
        """The columns whose values count in a row of initdb's."""
        return [column for column, name in enumerate(self.names) if name not in _NO_DEFINITION]

    def condense(self, question: bytes) -> bytes:
        """Return the question for the digest of initdb's rows, and for the others.

        The session's search_path must be empty.
        """
        columns = [b"c%d" % column for column in range(len(self.names))]
        nulls, said = b"num_nulls(%s)" % b", ".join(columns), _say(columns)
        if kept := [columns[column] for column in self.kept] if len(self.kept) < len(columns) else []:
            nulls = b"CASE WHEN initial THEN num_nulls(%s) ELSE %s END" % (b", ".join(kept), nulls)
            said = b"CASE WHEN initial THEN %s ELSE %s END" % (_say(kept), said)
        return _CONDENSED % {
            b"question": question.rstrip(b"; \n"),
            b"initial": b"false" if self.number is None else b'"%s" < %d' % (self.names[self.number], _FIRST_OID),
            b"columns": b", ".join(columns),
            b"nulls": nulls,
            b"said": said,
        }


def _say(columns: t.Iterable[bytes]) -> bytes:
    values = (rb"CASE WHEN %s IS NULL THEN E'\x1d' ELSE concat(%s) END" % (column, column) for column in columns)
    return rb"concat_ws(E'\x1f', %s)" % b", ".join(values)


_Row = list[bytes | None]


class AnswerCache:
    """What was heard of databases so far; it harms nobody, since a digest tells whether it is true of another one."""

    def __init__(self) -> None:
        """Begin with nothing."""
        self._shapes: dict[bytes, _Shape] = {}
        #: of a list, initdb's rows by their digest
        self._rows: dict[tuple[bytes, bytes], list[_Row]] = {}
        #: what was asked for its own sake, by its digest and the question
        self._answers: dict[str, Rows] = {}

    def note(self, major: int, question: bytes, answer: Answer) -> None:
        """Take an answer to a question as it came from a server of that major version."""
        names = answer.names
        fits = 0 < len(names) == len(set(names)) <= _MOST_COLUMNS and not any(b'"' in name for name in names)
        if not fits or not _QUERY.match(question):
            return
        key = _shape_of(major, question)
        shape = self._shapes[key] = _Shape(answer.description, names, answer.types)
        number = shape.number
        if number is not None:
            initial = [[*row] for row in answer.rows if int(row[number] or _FIRST_OID) < _FIRST_OID]
            kept = shape.kept
            self._rows[key, _digest([[row[column] for column in kept] for row in initial])] = initial

    def condense(self, major: int, question: bytes) -> bytes:
        """Return what to ask instead of a question; the question itself where nothing is known of it."""
        shape = self._shapes.get(_shape_of(major, question))
        return shape.condense(question) if shape else question

    def expand(self, major: int, question: bytes, result: pq.abc.PGresult) -> Answer | None:
        """Return the question's own answer; None where it holds rows of initdb's that are not known."""
        key = _shape_of(major, question)
        shape = self._shapes[key]
        digest, count, nulls, told = (result.get_value(0, column) for column in range(4))
        others = _split(told or b"", int(count or 0), int(nulls or 0), len(shape.names))
        initial = [] if digest == _NOTHING else self._rows.get((key, digest or b""))
        if initial is None or others is None:
            return None
        left = iter(initial)
        rows: list[_Row] = []
        for place, *values in others:
            rows += itertools.islice(left, int(place or 0) - 1 - len(rows))
            rows.append(values)
        rows += left
        return Answer(shape.description, shape.names, shape.types, rows, b"SELECT %d" % len(rows))

    def ask(self, question: sql.Composable) -> Inquiry[Rows]:
        """Ask what other databases were asked, too: for a digest of the rows first, and for them if it is not known."""
        (((digest,),),) = yield [_DIGEST.format(question)]
        key = f"{digest} {question.as_string()}"
        if key not in self._answers:
            (self._answers[key],) = yield [question]
        return self._answers[key]

    def keep(self, path: pathlib.Path) -> None:
        """Write what is known to a file, for another process."""
        known = msgspec.msgpack.encode(([*self._shapes.items()], [*self._rows.items()], [*self._answers.items()]))
        with open(path, "wb", opener=lambda name, flags: os.open(name, flags, 0o600)) as stream:
            stream.write(zlib.compress(known, 1))

    def recall(self, path: pathlib.Path) -> None:
        """Take what another process has kept, if it has."""
        if path.exists():
            shapes, rows, answers = msgspec.msgpack.decode(zlib.decompress(path.read_bytes()), type=_Kept)
            self._shapes.update(shapes)
            self._rows.update(rows)
            self._answers.update(answers)


_Kept = tuple[
    list[tuple[bytes, _Shape]],
    list[tuple[tuple[bytes, bytes], list[_Row]]],
    list[tuple[str, list[tuple[t.Any, ...]]]],
]

#: By this process, and by those before it of the same run.
CACHE: t.Final = AnswerCache()


def _shape_of(major: int, question: bytes) -> bytes:
    return b"%d %s" % (major, _OBJECTS.sub(b"'{}'", question))


def _digest(rows: t.Sequence[t.Sequence[bytes | None]]) -> bytes:
    """Return what the server makes of the same rows."""
    nulls = sum(row.count(None) for row in rows)
    said = sorted(_VALUE.join(_NULL if value is None else value for value in row) for row in rows)
    counted = b"%d %s " % (len(rows), b"%d" % nulls if rows else b"")
    return hashlib.sha256(counted + _ROW.join(said)).hexdigest().encode()


_NOTHING: t.Final = _digest([])


def _split(told: bytes, count: int, nulls: int, columns: int) -> list[list[bytes | None]] | None:
    """Return the rows of a text, each after its place; None where a value holds what stands between values."""
    if not count:
        return []
    if (told.count(_ROW), told.count(_VALUE), told.count(_NULL)) != (count - 1, count * columns, nulls):
        return None
    return [[None if value == _NULL else value for value in row.split(_VALUE)] for row in told.split(_ROW)]
