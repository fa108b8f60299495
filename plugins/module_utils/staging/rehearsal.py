# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A rehearsal: a whole schema is made without rows where the copy's will be, as it will be.

What the server refuses to make is known before any row is read. And what it has made, it tells in its own words: a
definition comes back otherwise after a restore (an IN list grows casts, a newer server qualifies fewer names, inherited
columns change places), so what the target must say is asked of the target.
"""

from __future__ import annotations

import contextlib
import dataclasses
import pathlib
import typing as t

from ..archive.schema import Entry, dump_schema, read_schema, read_section
from ..catalog.database import DatabaseProperties
from ..catalog.in_force import use_own
from ..catalog.relations import list_relations
from ..catalog.transaction import Transaction
from ..filling.objects import Refusal, try_entries
from ..filling.refresh import refresh_statement
from ..schedule.progress import Step, doing
from ..server.client_tools import ClientTools, tools_for
from ..server.endpoint import Endpoint, Session, pin_settings
from ..work_folder import WorkFolder
from .schema import allow_orphans, left_unvalidated, serving, without_event_triggers
from .scratch import open_scratch

#: What people are told of it.
REHEARSAL: t.Final = Step("a rehearsal of the schema")
#: A materialized view without tables below it (over generate_series, say, or foreign tables) may take as long as with
#: rows.
_REFRESH_TIMEOUT: t.Final = "500ms"
#: A materialized view that another one reads in a function is not populated yet (docs: Appendix A, 55000).
_NOT_POPULATED: t.Final = "55000"
#: What a view's query ends in over no rows means something only if it is of this kind: syntax, names and rights, or
#: what the server was not built for.
_TELLING: t.Final = ("42", "0A")


@dataclasses.dataclass(frozen=True)
class Script:
    """What is rehearsed: a schema, in pg_dump's file, and the source that it is of."""

    tools: ClientTools
    schema: pathlib.Path
    source: DatabaseProperties
    #: the materialized views that are refreshed, as schema and name, in this order
    refresh_order: tuple[tuple[str, str], ...] = ()
    #: foreign keys that are added without a look at the rows where the server can
    not_valid: t.Collection[str] = ()


@dataclasses.dataclass(frozen=True)
class Rehearsed:
    """How it went. ``session`` is in the place of the rehearsal, which holds all that was made but event triggers."""

    session: Session
    #: what the server does not make for a reason of its own; what needs any of that is not told
    refusals: tuple[Refusal, ...]
    #: the whole schema as the server words it, and what it does not make, as it came; empty if not asked for
    reworded: tuple[Entry, ...]


def rehearse(
    place: Endpoint,
    session: Session,
    script: Script,
    *,
    created: t.Callable[[t.Iterable[Entry]], list[Entry]] = list,
    words: t.Callable[[Session], bool] | None = None,
) -> Rehearsed:
    """Make the schema in the place, with the settings, in the order and in the batches of a restore.

    :param session: one in the place, which holds nothing of the schema yet; in a transaction or not
    :param created: leaves out of the first half what is there already
    :param words: tells, when all is made, whether the server's words are asked for, too
    :raises MigrationError: when the connection breaks, or pg_dump or pg_restore fails
    """
    pre_data = created(read_section(script.tools, script.schema, "pre-data"))
    absent: set[int] = set()
    use_own(session, script.source.begun_with)
    refusals = [*try_entries(session, [serving(session, script.source), *pre_data], absent)]
    not_valid = script.not_valid and left_unvalidated(
        list_relations(session), script.not_valid, session.info.server_version
    )
    post_data = allow_orphans(read_section(script.tools, script.schema, "post-data"), not_valid)
    entries, event_triggers = without_event_triggers(post_data)
    # As in a restore, rows are hidden when views have been refreshed by the owner of what they read.
    hiding = [entry for entry in entries if entry.kind == "ROW SECURITY"]
    refusals += try_entries(session, [entry for entry in entries if entry.kind != "ROW SECURITY"], absent)
    refusals += _try_refresh(session, script.refresh_order, pre_data, absent)
    refusals += try_entries(session, hiding, absent)
    reworded: list[Entry] = []
    with contextlib.ExitStack() as stack:
        if event_triggers:
            # They are undone at once: whoever enters or changes something here would meet them.
            stack.enter_context(session.transaction(force_rollback=True))
            refusals += try_entries(session, event_triggers, absent)
        session.execute(pin_settings(place))
        if words and words(session):
            reworded += _read_words(place, session, script.tools)
            reworded += (entry for entry in [*pre_data, *post_data] if entry.number in absent)
    if event_triggers:
        session.execute(pin_settings(place))
    return Rehearsed(session, tuple(refusals), tuple(reworded))


def _read_words(place: Endpoint, session: Session, tools: ClientTools) -> list[Entry]:
    tools = tools_for(session.info.server_version // 10000, tools)
    with WorkFolder() as work:
        dump_schema(Transaction(place, session), tools, work / "reworded.dump")
        return read_schema(tools, work / "reworded.dump")


def _try_refresh(
    session: Session, order: t.Collection[tuple[str, str]], made: t.Iterable[Entry], absent: t.AbstractSet[int]
) -> t.Iterator[Refusal]:
    """Refresh materialized views, those that another one lacked once more; yield what means something without rows."""
    if not order:
        return
    numbers = {entry.name: frozenset({entry.number}) for entry in made if entry.kind == "MATERIALIZED VIEW"}
    waiting = [
        Entry(
            "MATERIALIZED VIEW",
            f"{schema}.{name}",
            refresh_statement(schema, name).as_bytes(session) + b";",
            needs=numbers.get(f"{schema}.{name}", frozenset()),
        )
        for schema, name in order
    ]
    session.execute("SELECT pg_catalog.set_config('statement_timeout', %s, false)", (_REFRESH_TIMEOUT,))
    before = len(waiting) + 1
    while 0 < len(waiting) < before:
        before = len(waiting)
        refused = list(try_entries(session, waiting, {*absent}))
        yield from (refusal for refusal in refused if (refusal.error.sqlstate or "").startswith(_TELLING))
        waiting = [refusal.entry for refusal in refused if refusal.error.sqlstate == _NOT_POPULATED]
    session.execute("SET statement_timeout = 0")


def rehearse_beside(
    target: Endpoint,
    script: Script,
    *,
    words: t.Callable[[Session], bool] | None = None,
    inspect: t.Callable[[Session], None] | None = None,
    server: Session | None = None,
) -> Rehearsed:
    """Rehearse in a scratch database; its session is closed when this returns.

    :param words: tells, when all is made, whether the server's words are asked for, too
    :param inspect: looks at what was made
    :param server: a maintenance session, if one is open already
    :raises NoScratchError: when no database can be created there
    :raises MigrationError: when it cannot be made, with the server's message
    """
    place = open_scratch(target, script.source.locale, has_public=script.source.has_public, server=server)
    with doing(REHEARSAL), place as (scratch, session):
        rehearsed = rehearse(scratch, session, script, words=words)
        if inspect:
            inspect(session)
        return rehearsed
