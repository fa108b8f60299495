# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""In which form COPY writes the rows of a table.

The text form can be read by any server, and by people; it is what an archive holds. The binary form takes both servers
about half the time, where it means the same to both (`Relation.portable`), and a row in it may be longer.
"""

from __future__ import annotations

import typing as t

from ..server.endpoint import Session
from .relations import Relation
from .selection import Name
from .wide_rows import is_wide

#: How COPY writes rows.
Format = t.Literal["text", "binary"]


def choose_formats(
    session: Session, relations: t.Iterable[Relation], encoding: str, *, streamed: bool
) -> dict[Name, Format]:
    """Return in which form the rows of tables are copied.

    :param encoding: the database's. Binary, texts are converted to the client's, which is not lossless from any but
        this one: COPY's ENCODING says nothing of them (textsend in varlena.c)
    :param streamed: whether nobody but the target is to read them
    """
    preferred = streamed and encoding == "UTF8"
    return {
        relation.full_name: "binary" if relation.portable and (preferred or is_wide(session, relation)) else "text"
        for relation in relations
    }
