# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What could be lost on the way out: checks of the source, each a query whose rows become findings."""

from __future__ import annotations

import typing as t

from ...server.endpoint import Session
from ...server.inquiry import Inquiry, answer
from ...verdict.findings import Finding
from .check import RELATIONS, Check, ask_checks, run_checks
from .extensions import HIDDEN_CONFIGURATION, HIDDEN_MEMBERS

#: Large objects that are not granted; a superuser reads them all.
_HIDDEN_LARGE_OBJECTS: t.Final = """
SELECT 'large object ' || l.oid::text FROM pg_largeobject_metadata l JOIN pg_roles r ON r.rolname = current_user
WHERE NOT r.rolsuper AND NOT EXISTS (
    SELECT FROM aclexplode(coalesce(l.lomacl, acldefault('L', l.lomowner))) a
    WHERE a.privilege_type = 'SELECT' AND (a.grantee = 0 OR pg_has_role(a.grantee, 'USAGE')))
"""

#: What who owns a table is told.
FORCED: t.Final = "row security is forced upon its owner, and hides rows from the source user."

_READING: t.Final = (
    Check(
        "error",
        "not-readable",
        "SELECT CASE c.relkind WHEN 'S' THEN 'sequence ' ELSE 'table ' END || n.nspname || '.' || c.relname"
        f" {RELATIONS}"
        " AND c.relkind IN ('r', 'p', 'm', 'S')"
        " AND NOT (has_schema_privilege(n.oid, 'USAGE')"
        " AND CASE c.relkind WHEN 'S' THEN has_sequence_privilege(c.oid, 'SELECT')"
        " ELSE has_table_privilege(c.oid, 'SELECT') END)",
        "the source user may not read it.",
        "GRANT USAGE on its schema and SELECT on it, or use the owner as source_user.",
    ),
    HIDDEN_CONFIGURATION,
    Check(
        "error",
        "not-readable",
        _HIDDEN_LARGE_OBJECTS,
        "the source user may not read it.",
        "GRANT SELECT ON LARGE OBJECT, or use its owner as source_user.",
    ),
    Check(
        "error",
        "row-security",
        f"SELECT 'table ' || n.nspname || '.' || c.relname {RELATIONS} AND c.relkind IN ('r', 'p')"
        " AND row_security_active(c.oid) AND NOT pg_has_role(c.relowner, 'USAGE')",
        "row security hides rows from the source user.",
        "Use the table's owner, or a role with BYPASSRLS, as source_user.",
    ),
    Check(
        "error",
        "row-security",
        f"SELECT 'table ' || n.nspname || '.' || c.relname {RELATIONS} AND c.relkind IN ('r', 'p')"
        " AND row_security_active(c.oid) AND pg_has_role(c.relowner, 'USAGE')",
        FORCED,
        "Use a role with BYPASSRLS or a superuser as source_user, or ALTER TABLE ... NO FORCE ROW LEVEL SECURITY "
        "meanwhile.",
    ),
)

# As pg_user_mappings shows its options (system_views.sql), and pg_dump reads them there.
_HIDDEN_USER_MAPPINGS: t.Final = """
SELECT 'user mapping ' || coalesce(m.usename, 'public') || ' for server ' || m.srvname
FROM pg_user_mappings m JOIN pg_foreign_server s ON s.oid = m.srvid JOIN pg_roles r ON r.rolname = current_user
WHERE NOT r.rolsuper AND NOT CASE m.umuser WHEN 0 THEN pg_has_role(s.srvowner, 'USAGE')
    ELSE m.usename = current_user
         AND (pg_has_role(s.srvowner, 'USAGE') OR has_server_privilege(s.oid, 'USAGE')) END
"""

# pg_dump names the trigger by its number, which is another one on the target (dumpTrigger in pg_dump.c); what follows
# the state of a trigger of the partitioned table itself it does not name.
_DISABLED_KEYS: t.Final = """
SELECT DISTINCT 'table ' || n.nspname || '.' || c.relname
FROM pg_trigger g JOIN pg_trigger p ON p.oid = g.tgparentid AND p.tgenabled <> g.tgenabled
JOIN pg_class c ON c.oid = g.tgrelid JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE g.tgisinternal
"""

# What text an index is sorted by, the operating system says; a new version of it may say otherwise.
_COLLATION_VERSIONS: t.Final = """
SELECT format('database "%s" (%s when it was made, %s now)', datname, datcollversion,
              coalesce(pg_database_collation_actual_version(oid), 'none'))
FROM pg_database WHERE datname = current_database()
AND datcollversion <> coalesce(pg_database_collation_actual_version(oid), '')
UNION ALL
SELECT format('collation %s.%s (%s when it was made, %s now)', n.nspname, c.collname, c.collversion,
              coalesce(pg_collation_actual_version(c.oid), 'none'))
FROM pg_collation c JOIN pg_namespace n ON n.oid = c.collnamespace
WHERE c.collversion <> coalesce(pg_collation_actual_version(c.oid), '')
AND (c.oid >= 16384 OR EXISTS (
    SELECT FROM pg_depend d WHERE d.refclassid = 'pg_collation'::regclass AND d.refobjid = c.oid AND d.objid >= 16384))
"""

# A query reads as its view's owner or, through a view that is its invoker's, as before (docs: CREATE VIEW). Policies
# hide rows from all but superusers, roles with BYPASSRLS and, unless forced, the owner (docs: 5.9 Row Security).
_HIDDEN_FROM_VIEWS: t.Final = """
WITH RECURSIVE part(view, oid, reader) AS (
    SELECT oid, oid, relowner FROM pg_class WHERE relkind = 'm' AND relispopulated
    UNION
    SELECT part.view, d.refobjid,
           CASE WHEN coalesce(v.reloptions @> '{security_invoker=true}', false) THEN part.reader ELSE v.relowner END
    FROM part JOIN pg_class v ON v.oid = part.oid AND (v.relkind = 'v' OR v.oid = part.view)
    JOIN pg_rewrite r ON r.ev_class = v.oid
    JOIN pg_depend d ON d.classid = 'pg_rewrite'::regclass AND d.objid = r.oid AND d.refclassid = 'pg_class'::regclass
)
SELECT DISTINCT 'materialized view ' || n.nspname || '.' || m.relname
FROM part JOIN pg_class c ON c.oid = part.oid AND c.relrowsecurity
JOIN pg_roles o ON o.oid = part.reader AND NOT o.rolsuper AND NOT o.rolbypassrls
JOIN pg_class m ON m.oid = part.view JOIN pg_namespace n ON n.oid = m.relnamespace
WHERE c.relforcerowsecurity OR NOT pg_has_role(o.oid, c.relowner, 'USAGE')
"""

_CHECKS: t.Final = (
    Check(
        "warning",
        "matview-row-security",
        _HIDDEN_FROM_VIEWS,
        "row security may hide rows from its owner, and so from who reads it. In the copy it is refreshed over all "
        "rows.",
        "On the target, give it an owner from whom the policies hide them, and refresh it.",
    ),
    Check(
        "error",
        "disabled-key",
        _DISABLED_KEYS,
        "triggers behind a foreign key are disabled on this partition alone, and pg_dump words that so that no server "
        "takes it.",
        "ALTER TABLE ... ENABLE TRIGGER ALL on the source, or disable them on the partitioned table as a whole.",
    ),
    Check(
        "error",
        "detach-pending",
        "SELECT 'table ' || n.nspname || '.' || c.relname FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid"
        " JOIN pg_namespace n ON n.oid = c.relnamespace WHERE i.inhdetachpending",
        "a DETACH PARTITION CONCURRENTLY of it was broken off: some see its rows in the partitioned table, others do "
        "not, and pg_dump takes it for a partition still.",
        "ALTER TABLE ... DETACH PARTITION ... FINALIZE on the source; attach it again if it is to stay.",
    ),
    Check(
        "error",
        "replica-unlogged",
        f"SELECT 'table ' || n.nspname || '.' || c.relname {RELATIONS}"
        " AND c.relpersistence = 'u' AND c.relkind IN ('r', 'm', 'S') AND pg_is_in_recovery()",
        "the source is a replica, which has no rows of unlogged tables.",
        "Name the primary server in source_host and source_port.",
    ),
    Check(
        "warning",
        "user-mapping",
        _HIDDEN_USER_MAPPINGS,
        "the source user may not see its options, a password perhaps: the copy has none.",
        "Use a superuser as source_user, or ALTER USER MAPPING on the target after each run.",
    ),
    Check(
        "warning",
        "collation-version",
        _COLLATION_VERSIONS,
        "text may sort otherwise than it did, so that indexes miss rows and unique ones hold duplicates, which the "
        "target would refuse.",
        "On the source: REINDEX what sorts by it, then ALTER ... REFRESH COLLATION VERSION.",
    ),
    HIDDEN_MEMBERS,
    Check(
        "warning",
        "builtin-dropped",
        "SELECT 'schema information_schema' WHERE to_regnamespace('information_schema') IS NULL UNION ALL"
        " SELECT 'extension plpgsql' WHERE NOT EXISTS (SELECT FROM pg_extension WHERE extname = 'plpgsql')",
        "it is PostgreSQL's own, and was dropped on the source: the copy has it, as each new database has.",
        "Drop it on the target after the run if it must not be there.",
    ),
    Check(
        "notice",
        "unlogged-table",
        f"SELECT 'table ' || n.nspname || '.' || c.relname {RELATIONS} AND c.relpersistence = 'u' AND c.relkind = 'r'",
        "it is unlogged, and stays so: a server that crashes comes back without its rows.",
        "",
    ),
    Check(
        "notice",
        "event-trigger",
        "SELECT 'event trigger ' || evtname FROM pg_event_trigger e WHERE NOT EXISTS (SELECT FROM pg_depend d"
        " WHERE d.classid = 'pg_event_trigger'::regclass AND d.objid = e.oid AND d.deptype = 'e')",
        "it is made last, so that it does not fire for what the run makes.",
        "",
    ),
    Check(
        "notice",
        "foreign-server",
        "SELECT 'foreign server ' || srvname FROM pg_foreign_server",
        "its definition is copied: what it names must be reached from the target's server, too.",
        "",
    ),
    Check(
        "error",
        "self-referring-view",
        "SELECT DISTINCT 'view ' || n.nspname || '.' || c.relname"
        " FROM pg_rewrite r JOIN pg_class c ON c.oid = r.ev_class AND c.relkind = 'v'"
        " JOIN pg_namespace n ON n.oid = c.relnamespace"
        " JOIN pg_depend d ON d.classid = 'pg_rewrite'::regclass AND d.objid = r.oid"
        " AND d.refclassid = 'pg_class'::regclass AND d.refobjid = c.oid AND d.refobjsubid > 0"
        # What is done instead of changing it (INSTEAD rules) may.
        " WHERE c.oid >= 16384 AND r.ev_type = '1'",
        "the view refers to itself; no tool can create it again.",
        "Drop or redefine it on the source.",
    ),
    Check(
        "warning",
        "invalid-index",
        "SELECT 'index ' || n.nspname || '.' || c.relname FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid"
        " JOIN pg_namespace n ON n.oid = c.relnamespace"
        " WHERE NOT i.indisvalid AND c.relkind = 'i' AND n.nspname !~ '^pg_toast'",
        "the index is invalid, as a failed CREATE INDEX CONCURRENTLY leaves it, and is not copied.",
        "REINDEX or drop it on the source.",
    ),
    Check(
        "warning",
        "subscription",
        "SELECT 'subscription ' || subname FROM pg_subscription s JOIN pg_database d ON d.oid = s.subdbid"
        " WHERE d.datname = current_database()",
        "subscriptions are not copied: two of them would compete for one slot.",
        "Create it on the target when the source has retired.",
    ),
    Check(
        "warning",
        "prepared-transaction",
        "SELECT format('prepared transaction %L', gid) FROM pg_prepared_xacts WHERE database = current_database()",
        "the source has promised to commit it, and nobody has ended it: what it has written is not in the copy.",
        "End it on the source by COMMIT PREPARED or ROLLBACK PREPARED, and run then.",
    ),
    Check(
        "warning",
        "replication-slot",
        "SELECT 'replication slot ' || slot_name FROM pg_replication_slots"
        " WHERE database = current_database() AND NOT temporary",
        "it is of the source's database, and slots are not copied: who reads from it reads nothing of the target.",
        "Make one on the target before its first client writes, if the reader is to go on there.",
    ),
    Check(
        "warning",
        "role-setting",
        "SELECT DISTINCT 'role ' || r.rolname FROM pg_db_role_setting s JOIN pg_roles r ON r.oid = s.setrole"
        " WHERE s.setdatabase = (SELECT oid FROM pg_database WHERE datname = current_database())",
        "it has settings of its own in the source's database. They are not carried: roles belong to a server, and what "
        "those of the target have in the live database stays.",
        "ALTER ROLE ... IN DATABASE ... SET on the target, if it is wanted there.",
    ),
    Check(
        "notice",
        "foreign-table",
        f"SELECT 'foreign table ' || n.nspname || '.' || c.relname {RELATIONS} AND c.relkind = 'f'",
        "its definition is copied; its rows stay where they are.",
        "",
    ),
    Check(
        "notice",
        "partition-key",
        "SELECT 'fk constraint ' || n.nspname || '.' || c.relname || ' ' || k.conname FROM pg_constraint k"
        " JOIN pg_constraint p ON p.oid = k.conparentid AND p.conrelid <> k.conrelid AND p.conname <> k.conname"
        " JOIN pg_class c ON c.oid = k.conrelid JOIN pg_namespace n ON n.oid = c.relnamespace WHERE k.contype = 'f'",
        "it is a partition's copy of a foreign key, and has a name of its own, which pg_dump does not say: it is "
        "called as the key is, also in errors.",
        "",
    ),
    Check(
        "notice",
        "tablespace",
        "SELECT 'tablespace ' || (SELECT spcname FROM pg_tablespace s WHERE s.oid = c.reltablespace)"
        f" || ' of ' || n.nspname || '.' || c.relname {RELATIONS} AND c.reltablespace <> 0",
        "tablespaces belong to a server and are not carried over.",
        "",
    ),
)


def check_source(session: Session) -> list[Finding]:
    """Return what stands in the way of a faithful copy, or will not be part of it."""
    return [
        *check_reading(session),
        *run_checks(session, _CHECKS),
        *_check_empty(session),
    ]


def check_reading(session: Session) -> list[Finding]:
    """Return what the session's user cannot read, or not all of."""
    return answer(session, ask_reading())


def ask_reading() -> Inquiry[list[Finding]]:
    """Ask what the session's user cannot read, or not all of."""
    return ask_checks(_READING)


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
