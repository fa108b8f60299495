# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Foreign keys that cannot stay while rows are loaded: dropped, and added again exactly as they were."""

from __future__ import annotations

import contextlib
import dataclasses
import typing as t

import psycopg
from psycopg import sql

from ..catalog.foreign_keys import Link
from ..endpoint import Session
from ..errors import MigrationError, describe
from .triggers import ENABLE

# A key of a partitioned table has copies on the partitions, each with triggers of its own. They come back under other
# names; the tables on both sides and the trigger's function tell them apart.
_TRIGGERS: t.Final = """
WITH RECURSIVE family AS (
    SELECT k.oid, k.conrelid, k.confrelid FROM pg_constraint k
    WHERE k.conrelid = format('%%I.%%I', %s::text, %s::text)::regclass AND k.conname = %s AND k.contype = 'f'
    UNION ALL
    SELECT k.oid, k.conrelid, k.confrelid FROM pg_constraint k JOIN family ON k.conparentid = family.oid
)
SELECT family.conrelid, family.confrelid, g.tgrelid, g.tgfoid, n.nspname, c.relname, g.tgname, g.tgenabled::text
FROM family JOIN pg_trigger g ON g.tgconstraint = family.oid
JOIN pg_class c ON c.oid = g.tgrelid JOIN pg_namespace n ON n.oid = c.relnamespace
ORDER BY n.nspname, c.relname, g.tgname
"""

_COMMENT: t.Final = """
SELECT obj_description(oid, 'pg_constraint') FROM pg_constraint
WHERE conrelid = format('%%I.%%I', %s::text, %s::text)::regclass AND conname = %s AND contype = 'f'
"""


@dataclasses.dataclass(frozen=True)
class _Dropped:
    link: Link
    definition: str
    comment: str | None
    #: of the triggers that are not simply enabled, the state by what tells them apart
    states: dict[tuple[int, ...], str]


@contextlib.contextmanager
def without_keys(session: Session, links: t.Iterable[Link], not_valid: t.Container[str] = ()) -> t.Iterator[None]:
    """Drop foreign keys for as long as the block lasts; then the server validates those that were valid.

    :param not_valid: keys that come back without a look at their rows, as ``fk constraint <table> <name>``
    :raises MigrationError: naming the key that the server refuses, or whose rows break it
    """
    dropped = [_drop(session, link, not_valid) for link in links]
    yield
    for key in dropped:
        _add(session, key)


def _drop(session: Session, link: Link, not_valid: t.Container[str]) -> _Dropped:
    key, place = link.key, (*link.referring, link.key.name)
    comment = session.execute(_COMMENT, place).fetchone()
    assert comment
    states = {tuple(row[:4]): row[-1] for row in session.execute(_TRIGGERS, place).fetchall() if row[-1] != "O"}
    if states and session.info.parameter_status("is_superuser") != "on":
        raise MigrationError(
            f"{key} must be dropped and added again, and some of its triggers are disabled: only a superuser may bring "
            "them back into that state. Use a superuser as target_user, or ALTER TABLE ... ENABLE TRIGGER ALL."
        )
    definition = key.definition
    if str(key) in not_valid and key.validated:
        definition += " NOT VALID"
    statement = sql.SQL("ALTER TABLE {} DROP CONSTRAINT {}")
    _alter(session, f"drop {key}", statement.format(sql.Identifier(*link.referring), sql.Identifier(key.name)))
    return _Dropped(link, definition, comment[0], states)


def _add(session: Session, dropped: _Dropped) -> None:
    link, key = dropped.link, dropped.link.key
    table, name = sql.Identifier(*link.referring), sql.Identifier(key.name)
    statement = sql.SQL("ALTER TABLE {} ADD CONSTRAINT {} {}").format(table, name, sql.SQL(dropped.definition))
    _alter(session, f"add {key} again", statement)
    if dropped.comment is not None:
        comment = sql.SQL("COMMENT ON CONSTRAINT {} ON {} IS {}").format(name, table, dropped.comment)
        _alter(session, f"comment on {key}", comment)
    if not dropped.states:
        return
    for *identity, schema, relation, trigger, _ in session.execute(_TRIGGERS, (*link.referring, key.name)).fetchall():
        if state := dropped.states.get(tuple(identity)):
            statement = sql.SQL("ALTER TABLE ONLY {} ").format(sql.Identifier(schema, relation))
            statement += ENABLE[state].format(sql.Identifier(trigger))
            _alter(session, f"put the triggers of {key} into the state they were in", statement)


def _alter(session: Session, what: str, statement: sql.Composed) -> None:
    try:
        session.execute(statement)
    except psycopg.Error as error:
        raise MigrationError(f"Cannot {what}: {describe(error)}") from None
