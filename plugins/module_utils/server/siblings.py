# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What pg_dump asks about one object it will ask about others of its kind: which they are, its own lists tell."""

from __future__ import annotations

import collections
import itertools
import re
import typing as t

from .results import Answer

#: A question about one object.
_ABOUT: t.Final = re.compile(rb"([^']*')(\d+)('[^']*)")
#: About how many others the first question is asked, how many times more the next one, and how many there may be.
_FEWEST, _MORE, _MOST = 8, 4, 512
#: The smallest OID of a user's object (FirstNormalObjectId in transam.h), and that of the type "char".
_FIRST_OID, _CHAR = 16384, 18


class Siblings:
    """Objects by the lists that have been answered."""

    def __init__(self) -> None:
        """Begin with no list."""
        self._kinds: dict[bytes, tuple[bytes | None, ...]] = {}
        self._of_kind: dict[tuple[bytes | None, ...], list[bytes]] = collections.defaultdict(list)
        self._sizes: dict[bytes, int] = collections.defaultdict(lambda: _FEWEST)

    def note(self, answer: Answer) -> None:
        """Take an answer; if it is a list of objects, those are alike whose letters (relkind, typtype) are the same."""
        columns = {name: column for column, name in enumerate(answer.names)}
        if {b"tableoid", b"oid"} <= columns.keys():
            letters = [columns[b"tableoid"], *(c for c in columns.values() if answer.types[c] == _CHAR)]
            for row in answer.rows:
                oid = row[columns[b"oid"]] or b"0"
                if int(oid) >= _FIRST_OID and oid not in self._kinds:
                    kind = self._kinds[oid] = tuple(row[column] for column in letters)
                    self._of_kind[kind].append(oid)

    def questions(self, question: bytes, known: t.Callable[[bytes], bool]) -> list[bytes]:
        """Return what is likely to be asked next: the same about others that are alike, unless that is known."""
        about = _ABOUT.fullmatch(question)
        if about is None or about[2] not in self._kinds:
            return []
        likely = (about[1] + oid + about[3] for oid in self._of_kind[self._kinds[about[2]]] if oid != about[2])
        size = self._sizes[about[1]]
        self._sizes[about[1]] = min(size * _MORE, _MOST)
        return list(itertools.islice((one for one in likely if not known(one)), size))
