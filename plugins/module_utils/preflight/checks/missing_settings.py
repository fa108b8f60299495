# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Settings that sessions of the source begin with and the target's server cannot have: what they decide.

Whether anything depends on one, no text tells: the source is asked what it makes of its rows with it, and without.
"""

from __future__ import annotations

import functools
import typing as t

import psycopg

from ...catalog.database import DatabaseProperties
from ...catalog.expressions import Expression, list_expressions
from ...catalog.in_force import Settings, use_settings
from ...catalog.queries import Query, ask_in
from ...catalog.relations import Relation, list_relations
from ...catalog.selection import Selection
from ...catalog.views import evaluate, read_definitions
from ...errors import MigrationError
from ...server.endpoint import Endpoint, Session, set_search_path
from ...verdict.findings import Finding, Severity

_WHAT: t.Final = {"TimeZone": "time zone", "default_text_search_config": "text search configuration"}
#: What is asked under settings.
_Ask: t.TypeAlias = t.Callable[[Settings], object]


def check_missing_settings(
    session: Session,
    endpoint: Endpoint,
    source: DatabaseProperties,
    lacking: Settings,
    selection: Selection | None,
    queries: t.Iterable[Query],
) -> list[Finding]:
    """Return the settings without which something comes out otherwise.

    :param session: of the source, which is left as it was
    :param endpoint: where it is
    :param lacking: those that the target cannot have, with what it has in their place
    """
    if not lacking:
        return []
    asked = _of_tables(session, source, selection) | _of_queries(session, endpoint, source, queries)
    if selection is None:
        asked |= _of_views(session, source)
    findings = []
    for name, instead in lacking:
        other = tuple((one, instead if one == name else value) for one, value in source.begun_with)
        depending = [
            what
            for what, ask in asked.items()
            if (first := _outcome(session, ask, source.begun_with)) != _outcome(session, ask, other)
            # What is another one each time says nothing.
            and first == _outcome(session, ask, source.begun_with)
        ]
        if depending:
            more = f" and {len(depending) - 1:,} more" if depending[1:] else ""
            findings.append(_tell("error", name, f"{depending[0]}{more} would come out otherwise without it."))
    return findings


def check_archived(lacking: Settings, has_views: bool) -> list[Finding]:
    """Return the same of an archive, which cannot be asked.

    :param has_views: whether it has materialized views; of all else, the rows in it tell
    """
    said = "materialized views may come out otherwise without it."
    return [_tell("warning", name, said) for name, _ in lacking] if has_views else []


def _tell(severity: Severity, name: str, said: str) -> Finding:
    what = _WHAT.get(name, "locale")
    return Finding(
        severity,
        "setting-missing",
        f"setting {name}",
        f"sessions of the source begin with a {what} that the target's server does not have (SHOW {name} tells "
        f"which): {said}",
        f"Have source_user begin with one that both servers have (ALTER ROLE ... SET {name}), or install it there"
        + (" (pg_import_system_collations makes it known)." if what == "locale" else "."),
    )


def _outcome(session: Session, ask: _Ask, settings: Settings) -> object:
    try:
        with session.transaction(force_rollback=True):
            return ask(settings)
    except psycopg.Error as error:
        return error.sqlstate
    except MigrationError as error:
        return str(error)


def _of_tables(session: Session, source: DatabaseProperties, selection: Selection | None) -> dict[str, _Ask]:
    def count(expression: Expression, settings: Settings) -> object:
        use_settings(session, settings, set_search_path(source.serving_path))
        return session.execute(expression.query()).fetchone()

    return {
        expression.name: functools.partial(count, expression)
        for expression in list_expressions(session, every=True)
        if expression.is_loaded and (selection is None or f"{expression.schema}.{expression.table}" in selection.labels)
    }


def _of_views(session: Session, source: DatabaseProperties) -> dict[str, _Ask]:
    definitions = read_definitions(session)

    def rows(view: Relation, settings: Settings) -> object:
        found = evaluate(session, view, definitions[view.full_name], source.serving_path, settings)
        return found and found.rows

    return {
        f"{view.kind} {view}": functools.partial(rows, view)
        for view in list_relations(session)
        if view.full_name in definitions
    }


def _of_queries(
    session: Session, endpoint: Endpoint, source: DatabaseProperties, queries: t.Iterable[Query]
) -> dict[str, _Ask]:
    def answer(query: Query, settings: Settings) -> object:
        return ask_in(session, endpoint, [query], source.search_path, settings)

    return {f"query {query.name}": functools.partial(answer, query) for query in queries}
