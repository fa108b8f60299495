# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What could be lost on the way out: checks of the source, each a query whose rows become findings."""

from __future__ import annotations

import typing as t

from ...catalog.foreign_keys import Census
from ...endpoint import Session
from ..findings import Finding
from .asking import RELATIONS, Check, run_checks

_READING: t.Final = (
    Check(
        "error",
        "not-readable",
        "SELECT CASE c.relkind WHEN 'S' THEN 'sequence ' ELSE 'table ' END || n.nspname || '.' || c.relname"
        f" {RELATIONS}"
        " AND c.relkind IN ('r', 'p', 'm', 'S')"
        " AND NOT (has_schema_privilege(n.oid, 'USAGE')"
        " AND CASE c.relkind WHEN 'S' THEN has_sequence_privilege(c.oid, 'SELECT')"
        " ELSE has_table_privilege(c.oid, 'SELECT') END) ORDER BY 1",
        "the source user may not read it.",
        "GRANT USAGE on its schema and SELECT on it, or use the owner as source_user.",
    ),
    Check(
        "error",
        "row-security",
        f"SELECT 'table ' || n.nspname || '.' || c.relname {RELATIONS} AND c.relkind IN ('r', 'p')"
        " AND row_security_active(c.oid) ORDER BY 1",
        "row security hides rows from the source user.",
        "Use the table's owner, or a role with BYPASSRLS, as source_user.",
    ),
)

_CHECKS: t.Final = (
    Check(
        "error",
        "self-referring-view",
        "SELECT DISTINCT 'view ' || n.nspname || '.' || c.relname"
        " FROM pg_rewrite r JOIN pg_class c ON c.oid = r.ev_class AND c.relkind = 'v'"
        " JOIN pg_namespace n ON n.oid = c.relnamespace"
        " JOIN pg_depend d ON d.classid = 'pg_rewrite'::regclass AND d.objid = r.oid"
        " AND d.refclassid = 'pg_class'::regclass AND d.refobjid = c.oid AND d.refobjsubid > 0"
        " WHERE c.oid >= 16384 ORDER BY 1",
        "the view refers to itself; no tool can create it again.",
        "Drop or redefine it on the source.",
    ),
    Check(
        "warning",
        "invalid-index",
        "SELECT 'index ' || n.nspname || '.' || c.relname FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid"
        " JOIN pg_namespace n ON n.oid = c.relnamespace"
        " WHERE NOT i.indisvalid AND c.relkind = 'i' AND n.nspname !~ '^pg_toast' ORDER BY 1",
        "the index is invalid, as a failed CREATE INDEX CONCURRENTLY leaves it, and is not copied.",
        "REINDEX or drop it on the source.",
    ),
    Check(
        "warning",
        "subscription",
        "SELECT 'subscription ' || subname FROM pg_subscription s JOIN pg_database d ON d.oid = s.subdbid"
        " WHERE d.datname = current_database() ORDER BY 1",
        "subscriptions are not copied: two of them would compete for one slot.",
        "Create it on the target when the source has retired.",
    ),
    Check(
        "notice",
        "foreign-table",
        f"SELECT 'foreign table ' || n.nspname || '.' || c.relname {RELATIONS} AND c.relkind = 'f' ORDER BY 1",
        "its definition is copied; its rows stay where they are.",
        "",
    ),
    Check(
        "notice",
        "tablespace",
        "SELECT 'tablespace ' || (SELECT spcname FROM pg_tablespace s WHERE s.oid = c.reltablespace)"
        f" || ' of ' || n.nspname || '.' || c.relname {RELATIONS} AND c.reltablespace <> 0 ORDER BY 1",
        "tablespaces belong to a server and are not carried over.",
        "",
    ),
)

_OWNERS_AND_GRANTS: t.Final = """
SELECT count(DISTINCT refobjid) FILTER (WHERE deptype = 'o' AND refobjid <> current_user::regrole::oid),
       count(DISTINCT (classid, objid)) FILTER (WHERE deptype = 'a')
FROM pg_shdepend WHERE dbid = (SELECT oid FROM pg_database WHERE datname = current_database())
"""


def check_source(session: Session) -> list[Finding]:
    """Return what stands in the way of a faithful copy, or will not be part of it."""
    return [
        *check_reading(session),
        *run_checks(session, _CHECKS),
        *_check_empty(session),
        *_check_owners_and_grants(session),
    ]


def check_reading(session: Session) -> list[Finding]:
    """Return what the session's user cannot read, or not all of."""
    return run_checks(session, _READING)


def check_foreign_keys(census: t.Iterable[Census], allowed: t.Mapping[str, str]) -> list[Finding]:
    """Return the foreign keys whose rows break them: a copy cannot be given such a key, the server would refuse.

    :param allowed: the user's reasons to copy all the same; the key is then added NOT VALID
    """
    findings = []
    for counted in census:
        if not counted.orphans:
            continue
        name = str(counted.key)
        examples = ", ".join(counted.examples)
        message = f"{counted.orphans:,} rows refer to a row of {counted.key.references} that is not there: {examples}."
        if not counted.key.validated:
            findings.append(
                Finding("notice", "orphans-not-valid", name, f"{message} The key is NOT VALID and stays so.")
            )
        elif name in allowed:
            findings.append(Finding("notice", "orphans-allowed", name, f"{message} Allowed: {allowed[name]}"))
        else:
            findings.append(
                Finding(
                    "error",
                    "orphans",
                    name,
                    f"{message} The source's server believes the key to be valid.",
                    "Delete or complete these rows on the source; or name the key in allowed_differences, with a "
                    "reason, to have it copied as NOT VALID.",
                )
            )
    return findings


def _check_empty(session: Session) -> list[Finding]:
    row = session.execute(f"SELECT count(*) {RELATIONS}").fetchone()
    objects = session.execute("SELECT count(*) FROM pg_largeobject_metadata").fetchone()
    if row != (0,) or objects != (0,):
        return []
    return [
        Finding(
            "error",
            "empty-source",
            f'database "{session.info.dbname}"',
            "the source holds no table, view or sequence at all: there is nothing to migrate.",
            "Check source_dbname and source_port.",
        )
    ]


def _check_owners_and_grants(session: Session) -> list[Finding]:
    row = session.execute(_OWNERS_AND_GRANTS).fetchone()
    assert row is not None
    owners, granted = row
    if not owners and not granted:
        return []
    return [
        Finding(
            "warning",
            "owners-and-grants",
            f'database "{session.info.dbname}"',
            f"{owners} other roles own objects and {granted} objects carry grants; roles belong to a server, so on the "
            "target everything belongs to target_user and nothing is granted.",
            "Grant on the target what the application's roles need.",
        )
    ]
