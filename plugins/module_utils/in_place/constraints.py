# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Constraints that cannot stay while rows are loaded: dropped, and added again exactly as they were."""

from __future__ import annotations

import contextlib
import dataclasses
import typing as t

from psycopg import sql

from ..catalog.foreign_keys import Link
from ..catalog.selection import Name
from ..errors import MigrationError
from ..schedule.progress import Step, doing
from ..server.endpoint import Session, use_search_path
from ..server.inquiry import Inquiry, answer
from .locks import execute, impatient
from .triggers import STATES


@dataclasses.dataclass(frozen=True)
class Constraint:
    """A constraint of a table or domain, and how to say it again."""

    kind: str
    owner: Name
    name: str
    definition: str
    comment: str | None

    def __str__(self) -> str:
        return f"{self.kind.lower()} {'.'.join(self.owner)}, constraint {self.name}"

    @property
    def place(self) -> sql.Composed:
        return sql.SQL(self.kind) + sql.SQL(" ") + sql.Identifier(*self.owner)


@contextlib.contextmanager
def without_constraints(
    session: Session,
    keys: t.Iterable[Link],
    checks: t.Collection[Constraint],
    tables: t.Collection[Name],
    search_path: str,
    not_valid: t.Container[str] = (),
) -> t.Iterator[None]:
    """Drop constraints for as long as the block lasts; then the server validates those that were valid.

    :param keys: the foreign keys to drop
    :param checks: what is NOT VALID for the tables that are loaded: rows that were there before may break it
    :param tables: these
    :param search_path: the one that serves the database
    :param not_valid: keys that come back without a look at their rows, as ``fk constraint <table> <name>``
    :raises MigrationError: naming the constraint that the server refuses, or whose rows break it
    """
    dropped: list[tuple[Constraint, dict[tuple[int, ...], str]]] = []
    keys = list(keys)
    if not keys and not checks:
        yield
        return
    with impatient(session):
        for link in keys:
            key = _describe_key(session, link)
            states = _read_states(session, key)
            if str(link.key) in not_valid and link.key.validated:
                key = dataclasses.replace(key, definition=f"{key.definition} NOT VALID")
            dropped.append((key, states))
            _drop(session, key)
        # A child's constraint that is also its parent's is its own alone when the parent's is dropped.
        while checks:
            for check in checks:
                dropped.append((check, {}))
                _drop(session, check)
            checks = answer(session, ask_not_valid(tables))
    yield
    use_search_path(session, search_path)
    for constraint, states in reversed(dropped):
        with doing(Step(str(constraint))):
            _add(session, constraint, states)
    use_search_path(session, "")


_DESCRIBE: t.Final = """
SELECT CASE WHEN k.contypid = 0 THEN 'TABLE' ELSE 'DOMAIN' END, n.nspname, coalesce(c.relname, y.typname),
       k.conname, pg_get_constraintdef(k.oid), obj_description(k.oid, 'pg_constraint')
FROM pg_constraint k
LEFT JOIN pg_class c ON c.oid = k.conrelid LEFT JOIN pg_type y ON y.oid = k.contypid
JOIN pg_namespace n ON n.oid = coalesce(c.relnamespace, y.typnamespace)
"""


_DESCRIBE_KEY: t.Final = f"{_DESCRIBE} WHERE n.nspname = %s AND c.relname = %s AND k.conname = %s AND k.contype = 'f'"


def _describe_key(session: Session, link: Link) -> Constraint:
    (found,) = map(_constraint, session.execute(_DESCRIBE_KEY, (*link.referring, link.key.name)))
    return found


# A child's constraint is dropped with its parent's, which may be that of a table that is not loaded. A domain may be
# that of a column, of an array's elements, of a field.
_NOT_VALID: t.Final = f"""
WITH RECURSIVE loaded(oid) AS (
    SELECT c.oid FROM unnest({{}}::text[], {{}}::text[]) wanted(schema, name)
    JOIN pg_namespace n ON n.nspname = wanted.schema
    JOIN pg_class c ON c.relnamespace = n.oid AND c.relname = wanted.name
    UNION
    SELECT i.inhparent FROM pg_inherits i JOIN loaded ON loaded.oid = i.inhrelid
), used(type) AS (
    SELECT a.atttypid FROM pg_attribute a JOIN loaded ON loaded.oid = a.attrelid WHERE a.attnum > 0
    UNION
    SELECT part.type FROM used JOIN pg_type y ON y.oid = used.type CROSS JOIN LATERAL (
        SELECT y.typbasetype UNION SELECT y.typelem
        UNION SELECT rngsubtype FROM pg_range WHERE rngtypid = y.oid OR rngmultitypid = y.oid
        UNION SELECT atttypid FROM pg_attribute WHERE attrelid = y.typrelid AND attnum > 0
    ) part(type)
)
{_DESCRIBE}
WHERE NOT k.convalidated AND k.contype IN ('c', 'n') AND k.coninhcount = 0
  AND (k.conrelid IN (SELECT oid FROM loaded) OR k.contypid IN (SELECT type FROM used WHERE type <> 0))
ORDER BY 2, 3, 4
"""


def ask_not_valid(tables: t.Collection[Name]) -> Inquiry[list[Constraint]]:
    """Ask for the checks that are NOT VALID for what is loaded into tables: theirs, their parents', their domains'."""
    (rows,) = yield [sql.SQL(_NOT_VALID).format([schema for schema, _ in tables], [name for _, name in tables])]
    return [_constraint(row) for row in rows]


def _constraint(row: tuple[t.Any, ...]) -> Constraint:
    kind, schema, owner, name, definition, comment = row
    return Constraint(kind, (schema, owner), name, definition, comment)


def _drop(session: Session, constraint: Constraint) -> None:
    statement = sql.SQL("ALTER {} DROP CONSTRAINT {}").format(constraint.place, sql.Identifier(constraint.name))
    execute(session, f"drop {constraint}", statement)


def _add(session: Session, constraint: Constraint, states: dict[tuple[int, ...], str]) -> None:
    name, definition = sql.Identifier(constraint.name), sql.SQL(constraint.definition)
    statement = sql.SQL("ALTER {} ADD CONSTRAINT {} {}").format(constraint.place, name, definition)
    execute(session, f"add {constraint} again", statement)
    if constraint.comment is not None:
        # Of a table's, it says no more than the table's name.
        place = sql.Identifier(*constraint.owner) if constraint.kind == "TABLE" else constraint.place
        statement = sql.SQL("COMMENT ON CONSTRAINT {} ON {} IS {}").format(name, place, constraint.comment)
        execute(session, f"comment on {constraint}", statement)
    if states:
        _set_states(session, constraint, states)


# A key of a partitioned table has copies on the partitions, each with triggers of its own. They come back under other
# names; the tables on both sides and the trigger's function tell them apart.
_KEY_TRIGGERS: t.Final = """
WITH RECURSIVE family AS (
    SELECT k.oid, k.conrelid, k.confrelid FROM pg_constraint k
    JOIN pg_class c ON c.oid = k.conrelid JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE n.nspname = %s AND c.relname = %s AND k.conname = %s AND k.contype = 'f'
    UNION ALL
    SELECT k.oid, k.conrelid, k.confrelid FROM pg_constraint k JOIN family ON k.conparentid = family.oid
)
SELECT family.conrelid, family.confrelid, g.tgrelid, g.tgfoid, n.nspname, c.relname, g.tgname, g.tgenabled::text
FROM family JOIN pg_trigger g ON g.tgconstraint = family.oid
JOIN pg_class c ON c.oid = g.tgrelid JOIN pg_namespace n ON n.oid = c.relnamespace
ORDER BY n.nspname, c.relname, g.tgname
"""


def _read_states(session: Session, key: Constraint) -> dict[tuple[int, ...], str]:
    """Return, for the key's triggers that are not simply enabled, the state by what tells them apart.

    :raises MigrationError: when there are any that the session's user could not bring back into their state
    """
    found = session.execute(_KEY_TRIGGERS, (*key.owner, key.name)).fetchall()
    states = {tuple(row[:4]): row[-1] for row in found if row[-1] != "O"}
    if states and session.info.parameter_status("is_superuser") != "on":
        raise MigrationError(
            f"{key} must be dropped and added again, and some of its triggers are disabled: only a superuser may bring "
            "them back into that state. Use a superuser as target_user, or ALTER TABLE ... ENABLE TRIGGER ALL."
        )
    return states


def _set_states(session: Session, key: Constraint, states: dict[tuple[int, ...], str]) -> None:
    for *identity, schema, table, trigger, _ in session.execute(_KEY_TRIGGERS, (*key.owner, key.name)).fetchall():
        if state := states.get(tuple(identity)):
            statement = sql.SQL("ALTER TABLE ONLY {} ").format(sql.Identifier(schema, table))
            statement += sql.SQL("{} TRIGGER {}").format(STATES[state], sql.Identifier(trigger))
            execute(session, f"bring the triggers of {key} into the state that they were in", statement)
