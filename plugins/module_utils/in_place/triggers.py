# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Triggers that must not fire while rows are loaded: they would alter rows, refuse them or write elsewhere."""

from __future__ import annotations

import contextlib
import itertools
import typing as t

from psycopg import sql

from ..catalog.selection import Name
from ..errors import MigrationError
from ..server.endpoint import Session
from ..server.inquiry import Inquiry

#: How ALTER spells each state of pg_trigger.tgenabled and its like.
STATES: t.Final[dict[str, sql.SQL]] = {
    "O": sql.SQL("ENABLE"),
    "D": sql.SQL("DISABLE"),
    "R": sql.SQL("ENABLE REPLICA"),
    "A": sql.SQL("ENABLE ALWAYS"),
}

# Of the internal triggers only those of foreign keys: those of deferrable UNIQUE and EXCLUDE constraints are all that
# keeps duplicates out.
_ENABLED: t.Final = """
SELECT n.nspname, c.relname, g.tgname, g.tgenabled::text
FROM unnest({}::text[], {}::text[]) wanted(schema, name)
JOIN pg_namespace n ON n.nspname = wanted.schema
JOIN pg_class c ON c.relnamespace = n.oid AND c.relname = wanted.name
JOIN pg_trigger g ON g.tgrelid = c.oid AND g.tgenabled <> 'D'
LEFT JOIN pg_constraint k ON k.oid = g.tgconstraint
WHERE NOT g.tgisinternal OR {} AND k.contype = 'f'
ORDER BY 1, 2, 3
"""


#: By table, what is enabled there, and its state.
States = list[tuple[str, str, str, str]]


def ask_triggers(tables: t.Collection[Name], of_keys: bool) -> Inquiry[States]:
    """Ask for the triggers of tables that are enabled.

    :param tables: partitioned ones and their partitions, too: each has triggers of its own
    :param of_keys: whether also for those by which foreign keys are checked
    """
    return (yield from _ask_states(_ENABLED, tables, of_keys))


def _ask_states(query: t.LiteralString, tables: t.Collection[Name], *more: object) -> Inquiry[States]:
    names = [schema for schema, _ in tables], [name for _, name in tables]
    (rows,) = yield [sql.SQL(query).format(*names, *more)]
    return [(schema, table, name, state) for schema, table, name, state in rows]


@contextlib.contextmanager
def silenced(session: Session, states: States, of_keys: bool) -> t.Iterator[None]:
    """Disable triggers for as long as the block lasts; afterwards each is in the state it was in.

    :param states: what `ask_triggers` has told
    :param of_keys: whether those by which foreign keys are checked are among them
    :raises MigrationError: when these are to be disabled by anybody but a superuser
    """
    if of_keys and session.info.parameter_status("is_superuser") != "on":
        raise MigrationError(
            "Only a superuser may disable the triggers that check foreign keys, and target_user is none. "
            "Set fk_strategy to dependency_order."
        )
    for table, triggers in itertools.groupby(states, key=lambda row: row[:2]):
        _alter(session, table, [(trigger, "D") for *_, trigger, _ in triggers])
    yield
    for table, triggers in itertools.groupby(states, key=lambda row: row[:2]):
        _alter(session, table, [(trigger, state) for *_, trigger, state in triggers])


_RULES: t.Final = """
SELECT n.nspname, c.relname, r.rulename, r.ev_enabled::text
FROM unnest({}::text[], {}::text[]) wanted(schema, name)
JOIN pg_namespace n ON n.nspname = wanted.schema
JOIN pg_class c ON c.relnamespace = n.oid AND c.relname = wanted.name
JOIN pg_rewrite r ON r.ev_class = c.oid AND r.ev_type = '4' AND r.ev_enabled <> 'D'
ORDER BY 1, 2, 3
"""


def ask_rules(tables: t.Collection[Name]) -> Inquiry[States]:
    """Ask for the rules that make something of a DELETE; COPY and TRUNCATE know none."""
    return (yield from _ask_states(_RULES, tables))


@contextlib.contextmanager
def rules_silenced(session: Session, states: States) -> t.Iterator[None]:
    """Disable rules for as long as the block lasts.

    :param states: what `ask_rules` has told
    """
    for schema, table, rule, _ in states:
        _alter_rule(session, (schema, table), rule, "D")
    yield
    for schema, table, rule, state in states:
        _alter_rule(session, (schema, table), rule, state)


def _alter_rule(session: Session, table: Name, rule: str, state: str) -> None:
    session.execute(
        sql.SQL("ALTER TABLE {} {} RULE {}").format(sql.Identifier(*table), STATES[state], sql.Identifier(rule))
    )


# Of a plain user, none: event triggers belong to superusers. What they do then, the verdict sees.
_EVENT_TRIGGERS: t.Final = """
SELECT evtname, evtenabled::text FROM pg_event_trigger
WHERE evtenabled <> 'D' AND pg_has_role(evtowner, 'USAGE') ORDER BY 1
"""


def ask_event_triggers() -> Inquiry[list[tuple[str, str]]]:
    """Ask for the event triggers that are enabled, each with its state."""
    (rows,) = yield [_EVENT_TRIGGERS]
    return [(name, state) for name, state in rows]


@contextlib.contextmanager
def event_triggers_silenced(session: Session, states: t.Collection[tuple[str, str]]) -> t.Iterator[None]:
    """Disable the event triggers, which would see all that is altered, for as long as the block lasts."""
    for name, _ in states:
        session.execute(sql.SQL("ALTER EVENT TRIGGER {} DISABLE").format(sql.Identifier(name)))
    yield
    for name, state in states:
        session.execute(sql.SQL("ALTER EVENT TRIGGER {} {}").format(sql.Identifier(name), STATES[state]))


def _alter(session: Session, table: Name, states: t.Iterable[tuple[str, str]]) -> None:
    # ONLY, as partitions have their own states.
    session.execute(
        sql.SQL("ALTER TABLE ONLY {} {}").format(
            sql.Identifier(*table),
            sql.SQL(", ").join(
                sql.SQL("{} TRIGGER {}").format(STATES[state], sql.Identifier(trigger)) for trigger, state in states
            ),
        )
    )
