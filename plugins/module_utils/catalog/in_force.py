# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a session of a database begins with, of all the settings by which expressions yield something else.

The role, the database and the server set them, and of these only the database's own are carried over. Materialized
views, generated columns, checks and indexes are made anew under them, so that they come out as they do on the source;
rows are read and compared under what is pinned.
"""

from __future__ import annotations

import typing as t

import psycopg
from psycopg import sql

from ..server.batches import Question, change, encode
from ..server.endpoint import PINNED_SETTINGS, Session
from ..server.inquiry import Inquiry
from .encodings import ENCODED

#: Names and values.
Settings: t.TypeAlias = tuple[tuple[str, str], ...]

#: Those of PostgreSQL itself, as far as values in our text form mean the same under any of them. The others that
#: expressions may depend on are pinned, since rows are loaded under them as well: lc_monetary, xmloption, array_nulls.
_MEANINGFUL: t.Final = (
    *("DateStyle", "IntervalStyle", "TimeZone", "bytea_output", "default_text_search_config", "extra_float_digits"),
    *("lc_numeric", "lc_time", "transform_null_equals", "xmlbinary"),
)
# The users' own, as app.tenant, are listed nowhere but where a role or a database has been given them; the names of
# PostgreSQL's own have no dot. In which encoding a name is that holds in each database, nothing tells.
_OWN: t.Final = """
FROM pg_db_role_setting, unnest(setconfig) entry, split_part(entry, '=', 1) n(name)
WHERE (setdatabase = (SELECT oid FROM pg_database WHERE datname = {})
       OR setdatabase = 0 AND textsend(n.name)::text ~ '^.x([0-7].)*$')
  AND setrole IN (0, (SELECT oid FROM pg_roles WHERE rolname = session_user))
  AND n.name LIKE '%.%' AND entry NOT LIKE 'pgconvoy.%'
"""
_OWN_ELSEWHERE: t.Final = f"""
SELECT coalesce((SELECT convert_from(textsend(n.name), e.name) FROM pg_database d {ENCODED} WHERE setdatabase > 0),
                n.name), setdatabase > 0
{_OWN}
"""
# What the session has been given since, as the pinned ones, reset_val does not tell.
_IN_FORCE: t.Final = sql.SQL(f"""
SELECT name, reset_val FROM pg_catalog.pg_settings WHERE name = ANY ({{}})
UNION
SELECT name, pg_catalog.current_setting(name, true)
FROM (SELECT n.name {_OWN.format("current_database()")}) own
WHERE pg_catalog.current_setting(name, true) IS NOT NULL
ORDER BY 1
""").format(list(_MEANINGFUL))


# Spelt C.UTF-8 or C.utf8; a server has imported those that there were (docs: pg_import_system_collations).
_HAS_LOCALE: t.Final = """EXISTS (SELECT FROM pg_catalog.pg_collation
    WHERE pg_catalog.translate(pg_catalog.lower(collcollate), '-', '') =
          pg_catalog.translate(pg_catalog.lower(value), '-', ''))"""
# A mere distance from UTC (-7, UTC+3, INTERVAL '-08:00:00') is a zone on any server, and listed on none (docs: 8.5.3
# Time Zones); zones are known in any case of letters. A configuration file may leave a configuration's schema out.
_DISTANCE: t.Final = "^([A-Z]+|<[A-Z0-9:+-]+>)?[+-]?[0-9][0-9]?([.][0-9]+|:[0-5][0-9])?$|^INTERVAL *''[+-]?[0-9:]+''$"
_IS_THERE: t.Final = f"""CASE name
    WHEN 'TimeZone' THEN value ~* '{_DISTANCE}' OR EXISTS (
        SELECT FROM pg_catalog.pg_timezone_names z WHERE pg_catalog.lower(z.name) = pg_catalog.lower(value))
    WHEN 'default_text_search_config' THEN EXISTS (
        SELECT FROM pg_catalog.pg_ts_config c JOIN pg_catalog.pg_namespace n ON n.oid = c.cfgnamespace
        WHERE value IN (pg_catalog.quote_ident(n.nspname) || '.' || pg_catalog.quote_ident(c.cfgname),
                        CASE WHEN pg_catalog.pg_ts_config_is_visible(c.oid) THEN pg_catalog.quote_ident(c.cfgname) END))
    ELSE name NOT IN ('lc_numeric', 'lc_time') OR {_HAS_LOCALE} END"""
# What a server does not have is not set: so this fails for nothing.
_SET: t.Final = f"""
SELECT pg_catalog.set_config(name, value, false) FROM (VALUES {{}}) begun(name, value)
WHERE pg_catalog.current_setting(name) <> value AND {_IS_THERE}
"""
# Search configurations of the users' own come with the schema.
_LACKING: t.Final = f"""
SELECT name, pg_catalog.current_setting(name) FROM (VALUES {{}}) begun(name, value)
WHERE pg_catalog.current_setting(name) <> value AND NOT {_IS_THERE}
  AND (name <> 'default_text_search_config' OR value ~ '^(pg_catalog\\.)?[^.]+$')
"""


def ask_in_force() -> Inquiry[Settings]:
    """Ask what a session of the same user in the same database begins with; none of the users' own may be set since."""
    (rows,) = yield [_IN_FORCE]
    return tuple((name, value) for name, value in rows)


def ask_own(dbname: str) -> Inquiry[dict[str, bool]]:
    """Ask which settings of the users' own a session of a database begins with, by name; true if only in that one.

    The same user is to enter it. The names are in lower case, which says the same.
    """
    (rows,) = yield [sql.SQL(_OWN_ELSEWHERE).format(dbname, dbname)]
    return {name.lower(): only for name, only in sorted(rows, reverse=True)}


def ask_missing_settings(settings: Settings) -> Inquiry[Settings]:
    """Ask which of PostgreSQL's own settings a server cannot give a session as they are: names, and what it has."""
    pairs = _pairs(settings)
    (rows,) = yield [sql.SQL(_LACKING).format(pairs)] if pairs else ["SELECT '', '' WHERE false"]
    return tuple((name, value) for name, value in rows)


def use_settings(session: Session, settings: t.Iterable[tuple[str, str]], *others: Question) -> None:
    """Give a session those of the settings on which expressions depend.

    :param others: what comes before, and travels with them
    """
    settings = tuple(settings)
    if first := [*others, *set_known(settings)]:
        change(session, b";\n".join(encode(session, one) for one in first))
    use_own(session, settings)


def use_own(session: Session, settings: t.Iterable[tuple[str, str]]) -> None:
    """Give a session those of the users' own but what is refused: whether a database may have it, preflight tells."""
    own = [sql.SQL("SELECT pg_catalog.set_config({}, {}, false)").format(n, v) for n, v in settings if "." in n]
    for statements in [own, *([one] for one in own)] if own else ():
        try:
            change(session, b";\n".join(one.as_bytes(session) for one in statements))
        except psycopg.Error:
            if session.broken:
                raise
        else:
            # All of them at once, as a rule.
            if statements is own:
                break


def set_known(settings: t.Iterable[tuple[str, str]]) -> list[sql.Composed]:
    """Return the statement, which cannot fail, that sets those of PostgreSQL's own; none if there are none."""
    pairs = _pairs(settings)
    return [sql.SQL(_SET).format(pairs)] if pairs else []


def _pairs(settings: t.Iterable[tuple[str, str]]) -> sql.Composed | None:
    pairs = [sql.SQL("({}, {})").format(name, value) for name, value in settings if name in _MEANINGFUL]
    return sql.SQL(", ").join(pairs) if pairs else None


def pins_of(settings: t.Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
    """Return the pins of those of the settings that are pinned and are to have another value."""
    return [
        (name, PINNED_SETTINGS[name])
        for name, value in settings
        if name in _MEANINGFUL and PINNED_SETTINGS.get(name, value) != value
    ]
