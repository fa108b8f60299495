# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What CREATE EXTENSION will not make again: members that were added, altered or dropped, and rows put into theirs."""

from __future__ import annotations

import typing as t

from psycopg import sql

from ...catalog.account import Address, find_uncarried
from ...catalog.builtin import find_altered
from ...catalog.extension_rows import ExtensionRows, read_extension_rows
from ...catalog.members import Member, Members, read_members
from ...catalog.unsaid import MAY_BE_NULL, Unsaid
from ...server.endpoint import Session
from ...verdict.extensions import MemberDifference, compare_members, pair_rows, say_rows
from ...verdict.findings import Finding
from ...verdict.original import Original
from .check import Check

# What an extension declares as the user's, and its materialized views, which may hold the user's rows, are compared.
_HIDDEN_MEMBERS: t.Final = """
SELECT CASE c.relkind WHEN 'S' THEN 'sequence ' WHEN 'm' THEN 'materialized view ' ELSE 'table ' END
       || n.nspname || '.' || c.relname
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
JOIN pg_depend d ON d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e'
JOIN pg_extension e ON e.oid = d.refobjid
WHERE c.relkind IN ('r', 'm', 'S')
AND NOT (has_schema_privilege(n.oid, 'USAGE')
         AND CASE c.relkind WHEN 'S' THEN has_sequence_privilege(c.oid, 'SELECT')
             ELSE has_table_privilege(c.oid, 'SELECT') AND NOT row_security_active(c.oid) END)
"""
_CONFIGURED: t.Final = "(c.relkind = 'm' OR c.oid = ANY (coalesce(e.extconfig, '{}')))"

HIDDEN_CONFIGURATION: t.Final = Check(
    "error",
    "not-readable",
    f"{_HIDDEN_MEMBERS} AND {_CONFIGURED}",
    "the source user may not read it, and an extension has declared it to be the user's.",
    "GRANT USAGE on its schema and SELECT on it, or use a superuser as source_user.",
)

HIDDEN_MEMBERS: t.Final = Check(
    "warning",
    "extension-hidden",
    f"{_HIDDEN_MEMBERS} AND NOT {_CONFIGURED}",
    "it belongs to an extension, and the source user may not read it: whether it holds what CREATE EXTENSION puts "
    "there cannot be told, and nothing else would arrive.",
    "GRANT USAGE on its schema and SELECT on it, or use a superuser as source_user.",
)


def check_kept(source: Session, live: Session, allowed: t.Mapping[str, str]) -> list[Finding]:
    """Return what the live database, filled in place, has otherwise of the extensions that stay in it."""
    altered = compare_members(read_members(source), read_members(live))
    rows = pair_rows(read_extension_rows(source), read_extension_rows(live))
    told = [("extension-altered", difference.member.identity, str(difference)) for difference in altered]
    told += [("extension-rows", str(ours), say_rows(ours, theirs)) for ours, theirs in rows if ours != theirs]
    remedy = "The extension stays in the live database, as it is: make both alike, or drop it there; or name this in "
    return [
        _finding(code, name, f"{message}.", f"{remedy}allowed_differences with a reason.", allowed)
        for code, name, message in told
    ]


def check_builtin(source: Session, target: Session, allowed: t.Mapping[str, str]) -> list[Finding]:
    """Return PostgreSQL's own objects that were altered on the source."""
    return [
        _finding(
            "builtin-altered",
            name,
            "it is PostgreSQL's own, and was altered on the source: no dump holds that.",
            "Alter it back on the source; or name it in allowed_differences with a reason, and alter it on the target "
            "after each run.",
            allowed,
        )
        for name in find_altered(source, target)
    ]


def check_account(session: Session, carried: t.Collection[Address], allowed: t.Mapping[str, str]) -> list[Finding]:
    """Return what of the session's database no dump holds and no extension makes.

    :param carried: the addresses of a dump's entries, of the same state of the database
    """
    findings = []
    for found in find_uncarried(session, carried):
        if found.schema in ("pg_catalog", "information_schema"):
            message = f"it is in {found.schema}, which belongs to the server and is never dumped."
            remedy = "Move it to another schema (ALTER ... SET SCHEMA) or drop it on the source"
        else:
            message = "pg_dump leaves it out, and no extension makes it."
            remedy = "Drop it on the source"
        remedy += "; or name it in allowed_differences with a reason, and make it on the target after each run."
        findings.append(_finding("not-carried", str(found), message, remedy, allowed))
    return findings


def check_unsaid(source: Original, made: t.Container[Unsaid], allowed: t.Mapping[str, str]) -> list[Finding]:
    """Return what is so of the source's objects, and not of those that were made by what pg_dump says of them."""
    return [
        _finding(
            "not-carried",
            one.object,
            f"{one.says}, and pg_dump does not say so: the copy's would be otherwise.",
            "Change that on the source; or name it in allowed_differences with a reason, and change the target after "
            "each run.",
            allowed,
        )
        for one in source.unsaid or ()
        if one.says != MAY_BE_NULL
        and one not in made
        and (source.selection is None or one.relation in source.selection.labels)
    ]


def check_members(source: Members, made: Members, allowed: t.Mapping[str, str]) -> list[Finding]:
    """Return the members of extensions that the source has otherwise than CREATE EXTENSION makes them."""
    return [_check_member(difference, allowed) for difference in compare_members(source, made)]


def _check_member(difference: MemberDifference, allowed: t.Mapping[str, str]) -> Finding:
    member, extension = difference.member, difference.extension
    if difference.target is None and not member.part_of:
        return _finding(
            "extension-member",
            member.identity,
            f"it belongs to extension {extension}, which does not make it: neither it nor what it holds would arrive.",
            f"{_say_alter(extension, 'DROP', member)} on the source, then it is copied like any other.",
            allowed,
        )
    if difference.target is None:
        message, remedy = f"it was added to {member.part_of} of extension {extension}, and would not arrive.", "Drop it"
    elif difference.source is None:
        message = f"extension {extension} makes it, and on the source it is missing or no longer a member."
        remedy = _say_alter(extension, "ADD", member) if not member.part_of else "Make it again"
    else:
        message = f"extension {extension} makes it otherwise: it was altered in {_columns(difference)}."
        remedy = _alter(difference.source, difference.target, difference) or "Alter it back"
    again = _alter(difference.target, difference.source, difference) if difference.source and difference.target else ""
    return _finding(
        "extension-altered",
        member.identity,
        message,
        f'{remedy} on the source; or name "{member.identity}" in allowed_differences with a reason, and bring it back '
        "on the target after each run" + (f": {again}" if again else "."),
        allowed,
    )


def _columns(difference: MemberDifference) -> str:
    return ", ".join(difference.changes)


def _say_alter(extension: str, verb: t.Literal["ADD", "DROP"], member: Member) -> str:
    """Return the statement; a member's name is quoted already, and some kinds pg_identify_object says otherwise."""
    kinds = {"composite type": "TYPE", "foreign-data wrapper": "FOREIGN DATA WRAPPER"}
    kind = kinds.get(member.kind, member.kind.upper())
    return f"ALTER EXTENSION {sql.Identifier(extension).as_string()} {verb} {kind} {member.name};"


_VOLATILITY: t.Final = {"i": "IMMUTABLE", "s": "STABLE", "v": "VOLATILE"}
_PARALLEL: t.Final = {"r": "RESTRICTED", "s": "SAFE", "u": "UNSAFE"}
#: How ALTER FUNCTION says a column of pg_proc; a setting's value is nobody else's business.
_ACTIONS: t.Final[dict[str, t.Callable[[str | None], str]]] = {
    "provolatile": lambda value: _VOLATILITY[value or ""],
    "proparallel": lambda value: f"PARALLEL {_PARALLEL[value or '']}",
    "procost": lambda value: f"COST {value}",
    "prorows": lambda value: f"ROWS {value}",
    "proisstrict": lambda value: "STRICT" if value == "true" else "CALLED ON NULL INPUT",
    "proleakproof": lambda value: "LEAKPROOF" if value == "true" else "NOT LEAKPROOF",
    "prosecdef": lambda value: "SECURITY DEFINER" if value == "true" else "SECURITY INVOKER",
    "proconfig": lambda value: "RESET ALL" if value is None else "SET ...",
}


def _alter(altered: Member, wanted: Member, difference: MemberDifference) -> str:
    """Return the statement that makes a function of one side like the other side's; nothing where none would do."""
    columns = [change.removeprefix("pg_proc ") for change in difference.changes]
    if altered.kind not in ("function", "procedure") or not set(columns) <= _ACTIONS.keys():
        return ""
    fields = wanted.facets["pg_proc"]
    actions = " ".join(_ACTIONS[column](fields[column]) for column in columns)
    return f"ALTER {altered.kind.upper()} {altered.name} {actions};"


def check_rows(
    source: t.Iterable[ExtensionRows], made: t.Collection[ExtensionRows], allowed: t.Mapping[str, str]
) -> list[Finding]:
    """Return the tables and sequences of extensions that hold what CREATE EXTENSION does not put there."""
    findings = [
        _finding(
            "extension-rows",
            str(ours),
            f"{say_rows(ours, theirs)}: what was changed in it would not arrive.",
            f"ALTER EXTENSION {sql.Identifier(ours.extension).as_string()} DROP {ours.kind.upper()} "
            f"{sql.Identifier(ours.schema, ours.name).as_string()}; or take the changes "
            f'back on the source; or name "{ours}" in allowed_differences with a reason.',
            allowed,
        )
        for ours, theirs in pair_rows(source, made)
        if ours != theirs
    ]
    return findings + [
        Finding(
            "warning",
            "extension-hidden",
            str(rows),
            f"it belongs to extension {rows.extension}, and the target user may not read it: whether it holds on the "
            "target what it does on the source cannot be told.",
            "GRANT SELECT on it, or use a superuser as target_user.",
        )
        for rows in made
        if rows.state is None
    ]


def _finding(code: str, name: str, message: str, remedy: str, allowed: t.Mapping[str, str]) -> Finding:
    if name in allowed:
        return Finding("notice", code, name, f"{message} Allowed: {allowed[name]}")
    return Finding("error", code, name, message, remedy)
