# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the target's server refused in a rehearsal, in words for people: which kind of thing it is, and what to do."""

from __future__ import annotations

import re
import typing as t

from ..archive.schema import Entry
from ..errors import describe
from ..filling.objects import Refusal
from ..verdict.findings import Finding

# SQLSTATEs (docs: Appendix A. PostgreSQL Error Codes).
_NOT_SUPPORTED: t.Final = "0A000"
_INVALID_VALUE: t.Final = "22023"
_NO_RIGHT: t.Final = "42501"
_INVALID_DEFINITION: t.Final = "42P13"
_UNDEFINED_OBJECT: t.Final = "42704"
_DUPLICATE_OBJECT: t.Final = "42710"
_UNDEFINED_FUNCTION: t.Final = "42883"
_UNCHANGEABLE: t.Final = "55P02"
_NO_FILE: t.Final = "58P01"

_REMEDIES: t.Final[dict[str, str]] = {
    "collation": "Install the locale there and call pg_import_system_collations(), or use another collation on the "
    "source.",
    "constraint-name": "A server from 18 on (from 17 on, in a domain) gives this name to NOT NULL. Give the constraint "
    "another one on the source (ALTER ... RENAME CONSTRAINT).",
    "extension-missing": "Install it on the target's server, or drop it on the source if nothing uses it.",
    "extension-untrusted": "Use a superuser as target_user; or have an administrator create it in the live database, "
    "and set load_mode to in_place.",
    "icu": "Use a target that is built with ICU, or drop the collation on the source.",
    "library": "Install the library on the target's server, in a version that has the function, or drop the function "
    "on the source.",
    "locale": "Install the locale on the target's server, or drop the collation on the source.",
    "lz4": "Use a target that is built with lz4, or ALTER TABLE ... SET COMPRESSION pglz on the source.",
    "role-missing": "CREATE ROLE on the target.",
    "setting": "Take it away on the source (ALTER ... RESET), or use a superuser as target_user if that is all that it "
    "lacks.",
    "superuser-object": "Use a superuser as target_user, or drop it on the source.",
}
_NAMES_REMEDY: t.Final = (
    "The target's version, or an extension's there, may not have it; or it was found by a search_path, or is an object "
    "of the user's in pg_catalog, and no dump tells of either. Provide it there, or alter or drop what uses it on the "
    "source."
)
_OTHER_REMEDY: t.Final = "Alter it on the source so that the target's server takes it, or drop it."

#: How a dump says that a column is compressed (dumpTableSchema in pg_dump.c).
_LZ4: t.Final = re.compile(r"^ALTER .* ALTER COLUMN (.*) SET COMPRESSION lz4;$", re.MULTILINE)
#: How a dump gives a function a setting of its own, a line each before the body (dumpFunc in pg_dump.c).
_SETTING: t.Final = re.compile(r"^    SET (\S+) TO (.*)$", re.MULTILINE)
_PUBLISHED: t.Final = re.compile(r"(.*)\.(.*) \1")


def tell_refusals(refusals: t.Iterable[Refusal]) -> list[Finding]:
    """Return the refusals as findings."""
    return [finding for refusal in refusals for finding in _tell(refusal)]


def _tell(refusal: Refusal) -> list[Finding]:
    code = _classify(refusal)
    remedy = _REMEDIES.get(code) or (
        _NAMES_REMEDY if (refusal.error.sqlstate or "").startswith("42") else _OTHER_REMEDY
    )
    message = f"the target's server refuses to make it: {_said(refusal, code)}."
    names = _columns(refusal.entry) if code == "lz4" else [_name(refusal.entry)]
    return [Finding("error", code, name, message, remedy) for name in names]


def _classify(refusal: Refusal) -> str:
    """Return the code of the finding."""
    kind, script, state = refusal.entry.kind, _text(refusal.entry), refusal.error.sqlstate
    in_place = refusal.error.diag.statement_position is not None
    if kind == "EXTENSION":
        known = {_NO_RIGHT: "extension-untrusted", _NOT_SUPPORTED: "extension-missing", _NO_FILE: "extension-missing"}
        return known.get(state or "", "cannot-create")
    if state == _NO_RIGHT or (kind == "AGGREGATE" and state == _INVALID_DEFINITION and "internal" in script):
        # A superuser may have transition values of type internal.
        return "superuser-object"
    if kind == "COLLATION":
        return "icu" if state == _NOT_SUPPORTED and "provider = icu" in script else "locale"
    if kind in ("POLICY", "USER MAPPING") and state == _UNDEFINED_OBJECT and not in_place:
        return "role-missing"
    if kind in ("FUNCTION", "PROCEDURE"):
        if state == _NO_FILE or (state == _UNDEFINED_FUNCTION and "\n    LANGUAGE c " in script):
            return "library"
        if state in (_UNDEFINED_OBJECT, _INVALID_VALUE, _UNCHANGEABLE) and _SETTING.search(script):
            return "setting"
    if state == _DUPLICATE_OBJECT and (kind.endswith("CONSTRAINT") or kind == "DOMAIN"):
        return "constraint-name"
    if state == _NOT_SUPPORTED and _LZ4.search(script):
        return "lz4"
    if state == _UNDEFINED_OBJECT and in_place and _at(refusal).startswith("COLLATE "):
        return "collation"
    return "cannot-create"


def _said(refusal: Refusal, code: str) -> str:
    """Return the server's words, and the line that they are about; the value of a setting stays out of them."""
    said = describe(refusal.error)
    if code == "setting":
        for _, value in _SETTING.findall(_text(refusal.entry)):
            for one in re.findall(r"'((?:[^']|'')*)'", value):
                said = said.replace(f'"{one}"', "its value") if one else said
    at = _at(refusal).partition("\n")[0]
    return f"{said} (at: {at})" if at else said


def _at(refusal: Refusal) -> str:
    """Return the rest of the statement from where the server stopped; nothing if it told no place."""
    position = refusal.error.diag.statement_position
    return _text(refusal.entry)[int(position) - 1 :] if position else ""


def _text(entry: Entry) -> str:
    return entry.statements.decode(errors="replace")


def _name(entry: Entry) -> str:
    """Return kind and name as people say it: pg_dump calls a cast ``CAST (a AS b)``, kind and name in one.

    Of a publication it calls each schema ``<schema>.<publication> <schema>``.
    """
    kind = entry.kind.lower()
    if published := _PUBLISHED.fullmatch(entry.name) if kind == "publication tables in schema" else None:
        return f"publication {published[2]}"
    return kind + entry.name[len(kind) :] if entry.name.startswith(f"{entry.kind} ") else str(entry)


def _columns(entry: Entry) -> list[str]:
    return [f"column {entry.name}.{_unquoted(column)}" for column in _LZ4.findall(_text(entry))]


def _unquoted(identifier: str) -> str:
    return identifier[1:-1].replace('""', '"') if identifier.startswith('"') else identifier
