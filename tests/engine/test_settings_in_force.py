# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a source's session begins with decides what its views, columns and checks yield; so it does on the target."""

from __future__ import annotations

import typing as t

import pytest

from tests.case import Case, execute, new_case
from tests.refilling import make_target, refill_target
from tests.servers import Servers
from tests.syncing import sync_target

#: The user's own on the source, each of which makes something of `SCRIPT` come out otherwise than the target's do.
OURS: t.Final = {
    "app.mark": "ours",
    "TimeZone": "Asia/Kathmandu",
    "DateStyle": "German, DMY",
    "IntervalStyle": "sql_standard",
    "bytea_output": "escape",
    "extra_float_digits": "-5",
    "default_text_search_config": "pg_catalog.german",
    "transform_null_equals": "on",
}
THEIRS: t.Final = {
    "app.mark": "theirs",
    "TimeZone": "America/Lima",
    "DateStyle": "SQL, MDY",
    "default_text_search_config": "pg_catalog.french",
}

SCRIPT: t.Final = """
    CREATE FUNCTION mark(int) RETURNS text LANGUAGE plpgsql IMMUTABLE AS
        $$ BEGIN RETURN current_setting('app.mark') || $1; END $$;
    CREATE FUNCTION day(timestamptz) RETURNS date LANGUAGE sql IMMUTABLE AS $$ SELECT $1::date $$;
    CREATE FUNCTION is_nothing(text) RETURNS bool LANGUAGE plpgsql AS $$ BEGIN RETURN $1 = NULL; END $$;
    CREATE TYPE moment AS (at timestamptz, span interval, share float8);
    CREATE TABLE item (
        id int PRIMARY KEY CHECK (current_setting('app.mark') = 'ours'),
        at timestamptz, span interval, share float8, note text, raw bytea,
        marked text GENERATED ALWAYS AS (mark(id)) STORED, day date GENERATED ALWAYS AS (day(at)) STORED
    );
    CREATE UNIQUE INDEX ON item (mark(id));
    CREATE MATERIALIZED VIEW seen AS SELECT
        id, current_setting('app.mark') AS mark, at::date AS day, at::text AS told, span::text AS span,
        share::text AS share, raw::text AS raw, to_tsvector(note) AS words, is_nothing(note) AS is_nothing,
        ROW(at, span, share)::moment AS moment
    FROM item;
"""
ROWS: t.Final = r"""
    INSERT INTO item VALUES (1, '2020-01-01 20:00+00', '-1 mon 2 days -3 hours', 1 / 3.0, 'die Häuser', 'a\001'),
        (2, '2020-06-01 01:00+00', '-3 hours', 2 / 3.0, NULL, '\\x00');
    REFRESH MATERIALIZED VIEW seen;
"""
#: As text, whatever the asking session's own settings.
ANSWERS: t.Final = (
    "SELECT string_agg(concat_ws('|', id, at, span, share, note, raw, marked, day), ';' ORDER BY id) FROM item",
    "SELECT string_agg(seen::text, ';' ORDER BY id) FROM seen",
)


@pytest.fixture
def case(servers: Servers) -> t.Iterator[Case]:
    """Give a database whose owner has settings of its own, others than the same role on the target."""
    with new_case(servers.source(), servers.target()) as case:
        case.make_roles()
        for server, settings in ((case.source, OURS), (case.target, THEIRS)):
            set_for(case, server, settings)
        enter_and_run(case, SCRIPT + ROWS)
        yield case


def set_for(case: Case, server: t.Any, settings: t.Mapping[str, str]) -> None:
    """Give the case's role settings of its own."""
    for name, value in settings.items():
        execute(server, "postgres", f"ALTER ROLE {case.name}_role SET {name} TO '{value}'")


def enter_and_run(case: Case, script: str) -> None:
    """Run SQL on the source as the case's role, whose sessions begin with its settings."""
    with case.source.connect(case.name, f"{case.name}_role", "secret") as connection:
        connection.execute(script.encode())


def assert_same(case: Case) -> None:
    """Make sure that both sides hold the same, and the source what its own role has made."""
    for query in ANSWERS:
        case.equal_answers(query)
    assert case.ask("SELECT min(marked) FROM item") == "ours1"
    assert case.ask("SELECT min(told) FROM seen") == "01.06.2020 06:45:00 +0545"


def test_views_columns_and_checks(case: Case) -> None:
    outcome = case.migrate()
    assert outcome.status == "migrated", outcome
    assert outcome.verdict
    assert not outcome.verdict.notices
    assert_same(case)
    case.stays()


def test_rows_brought_into_a_schema_that_is_kept(case: Case) -> None:
    make_target(case, f"SET ROLE {case.name}_role; {SCRIPT}", owner=f"{case.name}_role")
    refill_target(case)
    assert_same(case)
    # It is another day where the source's session is.
    others = ROWS.replace("(2,", "(3,").replace("2020-01-01", "2020-01-02")
    enter_and_run(case, f"DELETE FROM item WHERE id = 1; UPDATE item SET id = 4; {others}")
    sync_target(case)
    assert_same(case)


def test_settings_of_the_database(servers: Servers) -> None:
    """They are carried, and in force in the copy before that."""
    with new_case(servers.source(), servers.target()) as case:
        for name, value in OURS.items():
            case.run(f"""ALTER DATABASE "{case.name}" SET {name} TO '{value}'""")
        case.run(SCRIPT + ROWS)
        case.transfer = "stream"
        assert case.migrate().status == "migrated"
        assert_same(case)
        case.stays()


def test_what_only_the_target_sets(case: Case) -> None:
    """It cannot be taken from a session: where it makes a difference, it is told beforehand."""
    set_for(case, case.target, {"app.other": "x", "app.unused": "y"})
    assert case.finds("own-setting") == []
    case.run("CREATE VIEW other AS SELECT coalesce(current_setting('App.Other', true), 'none')")
    assert case.finds("own-setting") == [("error", f"role {case.name}_role setting app.other")]
    set_for(case, case.source, {"app.other": "z"})
    assert case.finds("own-setting") == []


@pytest.mark.parametrize("zone", ["UTC+3", "-7", "5.75", "<foo>-9", "INTERVAL '-08:30:00'", "asia/tokyo"])
def test_zone_that_no_server_lists_so(servers: Servers, zone: str) -> None:
    """A mere distance from UTC, which every server knows, or a name in other letters."""
    with new_case(servers.source(), servers.target()) as case:
        case.make_roles()
        set_for(case, case.source, {"TimeZone": zone.replace("'", "''")})
        enter_and_run(case, "CREATE TABLE t (at timestamptz); INSERT INTO t VALUES ('2020-01-01 00:00+00')")
        enter_and_run(case, "CREATE MATERIALIZED VIEW seen AS SELECT at::text FROM t")
        assert case.migrate().status == "migrated"
        assert not case.equal_answers("SELECT at FROM seen").endswith("+00")


#: What sessions of the source begin with and the target's server lacks, and what depends on it.
LACKING: t.Final = {
    "TimeZone": """
        CREATE MATERIALIZED VIEW seen AS SELECT at::text FROM t;
        CREATE TABLE early (at timestamptz CHECK (extract(hour FROM at) < 12));
        INSERT INTO early SELECT at FROM t;
    """,
    "default_text_search_config": "CREATE MATERIALIZED VIEW seen AS SELECT to_tsvector(note) FROM t",
}


@pytest.mark.parametrize(
    ("name", "source", "target"), [("TimeZone", "15", "18"), ("default_text_search_config", "18", "15")]
)
def test_what_the_target_has_not(servers: Servers, name: str, source: str, target: str) -> None:
    with new_case(servers.source(source), servers.target(target)) as case:
        value = "pg_catalog.estonian"
        if name == "TimeZone":
            zones = "SELECT name FROM pg_timezone_names WHERE utc_offset = '09:00' ORDER BY name"
            there = case.target.connect().execute(zones).fetchall()
            found = [zone for (zone,) in case.source.connect().execute(zones) if (zone,) not in there]
            if not found:
                pytest.skip("Both servers have the same zones.")
            value = found[0]
        case.make_roles()
        set_for(case, case.source, {name: value})
        enter_and_run(
            case,
            "CREATE TABLE t (at timestamptz, note text); INSERT INTO t VALUES ('2020-01-01 16:00+00', 'raamatud');"
            "CREATE MATERIALIZED VIEW other AS SELECT at, note, now() FROM t;"
            "CREATE TABLE checked (at timestamptz CHECK (at > '2000-01-01'))",
        )
        assert case.finds("setting-missing") == []
        enter_and_run(case, LACKING[name])
        assert case.finds("setting-missing") == [("error", f"setting {name}")]
