# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Values that name roles or objects: where a server does not know a name, COPY refuses the whole table.

So it does with values that only a server itself makes, for its catalogs: tables made of these hold some.

These types hold numbers and are written as names (docs: 8.19 Object Identifier Types; aclitem: 5.8 Privileges). They
are found at any depth: in arrays, composites, ranges and domains.
"""

from __future__ import annotations

import dataclasses
import re
import typing as t

from psycopg import sql

from ..server.endpoint import Session
from .checksums import OID_ALIASES, Type, read_types

#: Types that write values which they do not read: each one's input function is there to refuse (pseudotypes.c,
#: mvdistinct.c, dependencies.c, mcv.c, brin_bloom.c, brin_minmax_multi.c).
WRITE_ONLY: t.Final = frozenset(
    {
        *("pg_node_tree", "pg_ndistinct", "pg_dependencies", "pg_mcv_list"),
        *("pg_brin_bloom_summary", "pg_brin_minmax_multi_summary"),
    }
)


@dataclasses.dataclass(frozen=True)
class NamedValue:
    """A name that so many values of a column hold, as its type writes it; a role's as it is, not quoted.

    Of types that only write, it is empty.

    ``builtin`` tells that the object is the server's own. ``loadable`` is false where no server can read the name while
    rows are loaded: the object is not made yet, or never will be, or the name is not its alone.
    """

    type: str
    name: str
    column: str
    values: int
    builtin: bool
    loadable: bool


# Generated columns are not copied. What may not be read is told elsewhere.
_COLUMNS: t.Final = """
SELECT n.nspname, c.relname, a.attname, a.atttypid
FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind = 'r' AND c.relpersistence <> 't' AND c.oid >= 16384 AND a.attnum > 0 AND NOT a.attisdropped
  AND a.attgenerated = '' AND has_schema_privilege(n.oid, 'USAGE') AND has_table_privilege(c.oid, 'SELECT')
  AND NOT row_security_active(c.oid)
ORDER BY 1, 2, a.attnum
"""

_FIELDS: t.Final = """
SELECT y.oid, a.attname, a.atttypid
FROM pg_type y JOIN pg_attribute a ON a.attrelid = y.typrelid AND a.attnum > 0 AND NOT a.attisdropped
WHERE y.typtype = 'c' AND y.oid >= 16384 ORDER BY y.oid, a.attnum
"""


def read_named_values(session: Session) -> tuple[NamedValue, ...]:
    """Return the names that the rows of the session's database hold, by column. The search_path must be empty."""
    types, fields = read_types(session), _read_fields(session)
    aliases = {oid: type_.name for oid, type_ in types.items() if type_.builtin and type_.name in _QUERIES}
    finder = _Finder(types, fields, aliases)
    found: list[NamedValue] = []
    for schema, table, column, oid in session.execute(_COLUMNS).fetchall():
        for alias, place in finder.places(oid, sql.Identifier("t", column)):
            source = sql.SQL("{} t{}").format(sql.Identifier(schema, table), place.joins)
            query = sql.SQL(_QUERIES[alias]).format(value=place.value, source=source)
            for name, *rest in session.execute(query).fetchall():
                label = f"{schema}.{table}.{column}"
                found += [NamedValue(alias, part, label, *rest) for part in _parts(alias, name)]
    return tuple(found)


def _read_fields(session: Session) -> dict[int, list[tuple[str, int]]]:
    fields: dict[int, list[tuple[str, int]]] = {}
    for composite, name, oid in session.execute(_FIELDS):
        fields.setdefault(composite, []).append((name, oid))
    return fields


@dataclasses.dataclass(frozen=True)
class _Place:
    """Where values are: an expression, and what must be joined to the table for it."""

    value: sql.Composable
    joins: sql.Composable
    depth: int

    def unnest(self) -> _Place:
        name = sql.Identifier(f"u{self.depth}")
        # Not unnest alone, which would make columns of a composite.
        join = sql.SQL(" CROSS JOIN LATERAL (SELECT unnest({})) {}({})").format(self.value, name, name)
        return _Place(name + sql.SQL(".") + name, self.joins + join, self.depth + 1)

    def take(self, template: t.LiteralString, *parts: sql.Composable) -> _Place:
        return dataclasses.replace(self, value=sql.SQL(template).format(self.value, *parts))


@dataclasses.dataclass(frozen=True)
class _Finder:
    types: t.Mapping[int, Type]
    fields: t.Mapping[int, t.Sequence[tuple[str, int]]]
    aliases: t.Mapping[int, str]

    def places(self, oid: int, value: sql.Composable) -> t.Iterator[tuple[str, _Place]]:
        """Yield where values of a type hold names, and of which kind."""
        return self._walk(oid, _Place(value, sql.SQL(""), 0))

    def _walk(self, oid: int, place: _Place) -> t.Iterator[tuple[str, _Place]]:
        type_ = self.types.get(oid)
        if oid in self.aliases:
            yield self.aliases[oid], place
        elif type_ is None:
            return
        elif type_.kind == "d":
            base = self.types[type_.base]
            yield from self._walk(type_.base, place.take("CAST({} AS {})", sql.Identifier(base.schema, base.name)))
        elif type_.kind == "r":
            yield from self._walk(type_.subtype, place.take("lower({})"))
            yield from self._walk(type_.subtype, place.take("upper({})"))
        elif type_.kind == "m":
            inner = place.unnest()
            yield from self._walk(type_.subtype, inner.take("lower({})"))
            yield from self._walk(type_.subtype, inner.take("upper({})"))
        elif type_.is_array:
            yield from self._walk(type_.element, place.unnest())
        else:
            for name, field in self.fields.get(oid, ()):
                yield from self._walk(field, place.take("({}).{}", sql.Identifier(name)))


def _by_name(loadable: t.LiteralString = "true") -> t.LiteralString:
    """Return the query for names, their number, and what ``NamedValue`` tells of them; plain numbers are none."""
    return (
        "SELECT named.value::text, count(*), named.value::oid < 16384, " + loadable + " FROM (SELECT {value} AS value"
        " FROM {source}) named WHERE named.value <> 0 AND named.value::text !~ '^[0-9]+$' GROUP BY named.value"
    )


_QUERIES: t.Final[dict[str, t.LiteralString]] = {
    **dict.fromkeys(OID_ALIASES, _by_name()),
    **dict.fromkeys(
        WRITE_ONLY,
        "SELECT '', count(*), false, false FROM {source} WHERE {value} IS NOT NULL HAVING count(*) > 0",
    ),
    "aclitem": "SELECT {value}::text, count(*), false, true FROM {source} WHERE {value} IS NOT NULL GROUP BY 1",
    "regrole": "SELECT rolname, count(*), false, true FROM {source} JOIN pg_roles r ON r.oid = {value} GROUP BY 1",
    # Indexes are made after the rows. What is temporary, or holds another table's large values, gets another name.
    "regclass": _by_name(
        "(SELECT c.relkind NOT IN ('i', 'I', 't') AND n.nspname !~ '^pg_(temp|toast)'"
        " FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.oid = named.value)"
    ),
    "regnamespace": _by_name("named.value::text !~ '^pg_(temp|toast_temp)'"),
    # The name alone may be that of several.
    "regproc": _by_name("to_regproc(named.value::text) IS NOT DISTINCT FROM named.value"),
    "regoper": _by_name("to_regoper(named.value::text) IS NOT DISTINCT FROM named.value"),
}

# As aclitemout writes it (putid in acl.c): a name that holds more than letters, digits and _ is quoted.
_ACL_NAME: t.Final = r'(?:"((?:[^"]|"")*)"|([^"=/]*))'
_ACL_ITEM: t.Final = re.compile(rf"{_ACL_NAME}=[a-zA-Z*]*/{_ACL_NAME}", re.DOTALL)


def _parts(alias: str, name: str) -> list[str]:
    """Return the names in a value's text: of an aclitem the grantee, which may be nobody in particular, and grantor."""
    if alias != "aclitem":
        return [name]
    item = _ACL_ITEM.fullmatch(name)
    if not item:
        return []
    quoted_grantee, grantee, quoted_grantor, grantor = item.groups()
    roles = [
        quoted.replace('""', '"') if quoted else plain
        for quoted, plain in ((quoted_grantee, grantee), (quoted_grantor, grantor))
    ]
    return [role for role in roles if role]
