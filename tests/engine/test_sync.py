# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Only rows that differ travel: whatever watches over them, the copy is equal and nothing else moves."""

from __future__ import annotations

import typing as t
from pathlib import Path

import psycopg
import pytest
from ansible_collections.pgconvoy.migrate.plugins.module_utils.catalog.relations import Relation
from ansible_collections.pgconvoy.migrate.plugins.module_utils.catalog.selection import Patterns
from ansible_collections.pgconvoy.migrate.plugins.module_utils.errors import MigrationError
from ansible_collections.pgconvoy.migrate.plugins.module_utils.in_place.frame import Strategy
from ansible_collections.pgconvoy.migrate.plugins.module_utils.rows import differing, written
from ansible_collections.pgconvoy.migrate.plugins.module_utils.sync import bringing, differences, moving

from bench.line import Line
from tests import oracle
from tests.case import Case, execute, new_case
from tests.databases import Database, untouched
from tests.refilling import STRATEGIES, make_target
from tests.servers import Servers
from tests.syncing import Counts, counts, sync_target, undo_target


def live(case: Case) -> Database:
    return Database(case.target, case.name)


def arrives(case: Case) -> None:
    oracle.assert_equal(case.source, case.name, case.target, case.name, merge=case.merge)


class MakePair(t.Protocol):
    """Makes the same database on both sides, then changes either."""

    def __call__(self, both: str, source: str = "", target: str = "") -> Case: ...


@pytest.fixture
def pair(servers: Servers, request: pytest.FixtureRequest) -> t.Iterator[MakePair]:
    """Give what makes a pair of databases."""
    with new_case(servers.source(), servers.target()) as case:

        def make(both: str, source: str = "", target: str = "") -> Case:
            fill_pair(case, both, source, target)
            return case

        yield make


def fill_pair(case: Case, both: str, source: str = "", target: str = "") -> None:
    """Make the same database on both sides, then change either."""
    make_target(case, both)
    for server, script in ((case.source, both), (case.source, source), (case.target, target)):
        execute(server, case.name, script)


#: Every kind of key, of table and of what watches over rows.
SHOP: t.Final = """
    CREATE TABLE country (code char(2) PRIMARY KEY, name text UNIQUE);
    CREATE TABLE person (
        id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, boss int REFERENCES person ON DELETE CASCADE, team int,
        country char(2) REFERENCES country ON UPDATE CASCADE ON DELETE SET NULL, name text,
        loud text GENERATED ALWAYS AS (upper(name)) STORED
    );
    CREATE TABLE team (id int PRIMARY KEY, lead int NOT NULL REFERENCES person ON DELETE RESTRICT, rank int UNIQUE);
    ALTER TABLE person ADD FOREIGN KEY (team) REFERENCES team DEFERRABLE INITIALLY DEFERRED;
    CREATE TABLE log (at timestamptz, line text);
    CREATE TABLE event (id int, day int, who int REFERENCES person, PRIMARY KEY (id, day)) PARTITION BY RANGE (day);
    CREATE TABLE event_1 PARTITION OF event FOR VALUES FROM (0) TO (10);
    CREATE TABLE event_2 PARTITION OF event FOR VALUES FROM (10) TO (20);
    CREATE TYPE colour AS ENUM ('red', 'green', 'blue');
    CREATE TABLE thing (c colour, n int, PRIMARY KEY (c, n)) PARTITION BY HASH (c);
    CREATE TABLE thing_0 PARTITION OF thing FOR VALUES WITH (MODULUS 2, REMAINDER 0);
    CREATE TABLE thing_1 PARTITION OF thing FOR VALUES WITH (MODULUS 2, REMAINDER 1);
    CREATE TABLE parent (id int PRIMARY KEY, note text);
    CREATE TABLE child (extra int) INHERITS (parent);
    CREATE TABLE empty ();
    CREATE TABLE unchanged (id int PRIMARY KEY);
    CREATE MATERIALIZED VIEW names AS SELECT name FROM person;
    CREATE MATERIALIZED VIEW hollow AS SELECT 1 AS one WITH NO DATA;
    CREATE SEQUENCE loose;
    INSERT INTO country VALUES ('DE', 'Germany'), ('PE', 'Peru'), ('AT', 'Austria');
    INSERT INTO person (boss, country, name) SELECT nullif(g / 2, 0), (ARRAY['DE', 'PE'])[g % 2 + 1], 'p' || g
        FROM generate_series(1, 100) g;
    INSERT INTO team SELECT g, g, 10 - g FROM generate_series(1, 5) g;
    UPDATE person SET team = 1 + id % 5;
    INSERT INTO log SELECT to_timestamp(g), 'line' FROM generate_series(1, 50) g, generate_series(1, 2);
    INSERT INTO event SELECT g, g % 20, g FROM generate_series(1, 60) g;
    INSERT INTO thing SELECT enum_last(NULL::colour), g FROM generate_series(1, 10) g;
    INSERT INTO parent VALUES (1, 'own'), (2, 'own'); INSERT INTO child VALUES (1, 'the child''s', 1);
    INSERT INTO unchanged VALUES (1);
    REFRESH MATERIALIZED VIEW names;
    SELECT lo_from_bytea(70001, 'same'), lo_from_bytea(70002, 'other'), lo_from_bytea(70003, '');
"""
EDITS: t.Final = """
    UPDATE team SET rank = -rank; UPDATE country SET name = NULL WHERE code <> 'AT';
    UPDATE team SET rank = CASE id WHEN 1 THEN 8 WHEN 2 THEN 9 ELSE -rank END;
    UPDATE country SET name = CASE code WHEN 'DE' THEN 'Peru' ELSE 'Germany' END WHERE code <> 'AT';
    DELETE FROM country WHERE code = 'AT';
    INSERT INTO country VALUES ('FR', 'Austria');
    INSERT INTO person (boss, name) VALUES (1, 'new');
    UPDATE person SET country = 'FR', name = NULL WHERE id = 7;
    UPDATE person SET boss = 101 WHERE id = 2;
    DELETE FROM event WHERE who = 100; DELETE FROM person WHERE id = 100;
    DELETE FROM log WHERE ctid = '(0,1)'; INSERT INTO log VALUES ('-infinity', 'two'), ('-infinity', 'two');
    UPDATE event SET day = 15 WHERE id = 1;
    UPDATE thing SET c = 'red' WHERE n = 3; DELETE FROM thing WHERE n = 4;
    UPDATE ONLY parent SET note = 'changed' WHERE id = 1; DELETE FROM child;
    INSERT INTO empty SELECT FROM generate_series(1, 3);
    REFRESH MATERIALIZED VIEW names;
    SELECT setval('loose', 1234), lo_unlink(70002), lo_from_bytea(70004, 'new'), lo_put(70003, 0, 'filled');
    COMMENT ON LARGE OBJECT 70004 IS 'said';
"""


@pytest.fixture
def placed(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Have tables count as large, and give a list of how many places each look at rows has been told."""
    told: list[int] = []

    def has_key(relation: Relation, keys: t.Any, places: t.Sequence[str] | None = None) -> t.Any:
        if places is not None:
            told.append(len(places))
        return differing.has_key(relation, keys, places)

    monkeypatch.setattr(written, "_LARGE_PAGES", 0)
    monkeypatch.setattr(moving, "has_key", has_key)
    return told


def test_rows_are_found_by_their_places(pair: MakePair, placed: list[int], tmp_path: Path) -> None:
    """Those that the source has written last; whatever becomes of them, all is as it would be otherwise."""
    case = pair(SHOP, EDITS)
    case.merge = ("public.thing_0", "public.thing_1")
    before = live(case).lines()
    done = sync_target(case, undo=tmp_path / "undo")
    arrives(case)
    found = [one.difference for one in done.done if one.difference.here is not None]
    assert "parent" in {one.relation.name for one in found}
    for one in found:
        assert one.there is not None
        assert (len(one.here or ()), len(one.there)) == (one.coming.count, one.going.count)
    assert sorted(placed) == sorted(one.going.count for one in found if one.going.count)
    undo_target(case, tmp_path / "undo", tmp_path / "again")
    assert live(case).lines() == before


def test_rows_whose_places_are_not_theirs(pair: MakePair, placed: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is changed if a row is not where it was said to be."""
    case = pair(
        "CREATE TABLE t (id int PRIMARY KEY, v text); INSERT INTO t SELECT g, 'old' FROM generate_series(1, 99) g",
        "UPDATE t SET v = 'new' WHERE id = 7",
    )
    for place, said in (("(0,1)", "but not the same ones"), ("(9,9)", "1 rows differ, but 0 were sent")):
        monkeypatch.setattr(differing.Places, "of", lambda *_, place=place: (place,))
        with untouched(live(case)), pytest.raises(MigrationError, match=said):
            sync_target(case)
    assert placed == [1, 1]


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_everything(pair: MakePair, strategy: Strategy) -> None:
    case = pair(SHOP, EDITS)
    case.merge = ("public.thing_0", "public.thing_1")
    files = "SELECT relname, relfilenode FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace"
    before = sorted(live(case).query(files))
    done = sync_target(case, strategy)
    arrives(case)
    assert counts(done) == {
        "child": (0, 0, 1),
        "country": (1, 2, 1),
        "empty": (3, 0, 0),
        "event_1": (0, 0, 1),
        "event_2": (1, 0, 0),
        "log": (2, 0, 1),
        "parent": (0, 1, 0),
        "person": (1, 2, 1),
        "team": (0, 2, 0),
        "thing": (1, 0, 2),
    }
    assert sorted(live(case).query(files)) == before, "no table was rewritten"
    assert not counts(sync_target(case, strategy))


def test_the_other_way_round(pair: MakePair) -> None:
    """What was done to the target is undone."""
    case = pair(SHOP, "", EDITS)
    case.merge = ("public.thing_0", "public.thing_1")
    assert counts(sync_target(case))["person"] == (1, 2, 1)
    arrives(case)


KEYED: t.Final = """
    CREATE TABLE a (id int PRIMARY KEY, u int UNIQUE, v text);
    INSERT INTO a SELECT g, g, 'v' || g FROM generate_series(1, 1000) g;
"""


@pytest.mark.parametrize(
    ("source", "target", "expected"),
    [
        ("TRUNCATE a", "", (0, 0, 1000)),
        ("", "TRUNCATE a", (1000, 0, 0)),
        ("", "UPDATE a SET v = ''", (0, 1000, 0)),
        ("UPDATE a SET u = -u; UPDATE a SET u = 1001 + u", "", (0, 1000, 0)),
        ("", "UPDATE a SET id = -id; UPDATE a SET id = 1001 + id", (0, 1000, 0)),
        ("", "UPDATE a SET id = 2000, u = 3000 WHERE id = 5", (1, 0, 1)),
        ("DELETE FROM a WHERE id = 1; UPDATE a SET u = 1 WHERE id = 2", "", (0, 1, 1)),
    ],
)
def test_one_table(pair: MakePair, source: str, target: str, expected: Counts) -> None:
    case = pair(KEYED, source, target)
    assert counts(sync_target(case)) == {"a": expected}
    arrives(case)


@pytest.mark.parametrize(
    ("source", "expected", "turns", "crossing"),
    [
        ("UPDATE facts SET b = 'changed' WHERE id % 20000 < 10 AND id >= 20000", (0, 91, 0), 4, 20_000),
        # A row that is gone has left nothing by which it could be found.
        ("DELETE FROM facts WHERE id % 20000 < 10 AND id >= 20000", (0, 0, 91), 4, 450_000),
    ],
)
def test_in_proportion(pair: MakePair, source: str, expected: Counts, turns: int, crossing: int) -> None:
    """A hundred rows in ten places of 200,000: few turns, and no more bytes than they are worth."""
    case = pair(
        """
        CREATE TABLE facts (id bigint PRIMARY KEY, at timestamptz, a numeric, b text);
        INSERT INTO facts SELECT g, to_timestamp(g), g / 7.0, md5(g::text) FROM generate_series(1, 200000) g;
        """,
        source,
    )
    with Line(case.target.port, traced=True) as line:
        assert counts(sync_target(case, target_port=line.port)) == {"facts": expected}
        moved = line.counts
        # What it takes to see that nothing differs: definitions, counts, checksums.
        assert not counts(sync_target(case, target_port=line.port))
        moved -= line.counts - moved
    assert moved.turns <= turns, moved
    assert moved.up + moved.down <= crossing, moved


def test_more_keys_than_are_named(pair: MakePair, monkeypatch: pytest.MonkeyPatch) -> None:
    """Then the table is replaced as a whole, and what differed is counted all the same."""
    monkeypatch.setattr(differences, "MOST_KEYS", 3)
    case = pair(KEYED, "UPDATE a SET v = '' WHERE id <= 4; DELETE FROM a WHERE id = 1000")
    done = sync_target(case)
    assert counts(done) == {"a": (0, 4, 1)}
    assert [(moved.difference.keys, moved.kept, moved.received) for moved in done.done] == [(None, 0, 999)]
    arrives(case)


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_what_users_have_said_stays_silent(pair: MakePair, strategy: Strategy) -> None:
    """Triggers, rules and actions of keys neither alter rows nor write elsewhere, and have their states afterwards."""
    case = pair(
        """
        CREATE FUNCTION spoil() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN RAISE 'fired'; END$$;
        CREATE TABLE a (id int PRIMARY KEY, v text);
        CREATE TABLE b (id int PRIMARY KEY, a int REFERENCES a ON DELETE CASCADE ON UPDATE SET NULL);
        INSERT INTO a VALUES (1, 'x'), (2, 'x'), (3, 'x'), (4, 'x'); INSERT INTO b SELECT id, id FROM a WHERE id < 4;
        CREATE TRIGGER row BEFORE INSERT OR UPDATE OR DELETE ON a FOR EACH ROW EXECUTE FUNCTION spoil();
        CREATE TRIGGER statement AFTER INSERT OR UPDATE OR DELETE ON a EXECUTE FUNCTION spoil();
        ALTER TABLE a ENABLE ALWAYS TRIGGER row;
        CREATE RULE kept AS ON DELETE TO a DO INSTEAD NOTHING;
        CREATE RULE lost AS ON INSERT TO a DO INSTEAD NOTHING;
        CREATE RULE off AS ON DELETE TO b DO INSTEAD NOTHING; ALTER TABLE b DISABLE RULE off;
        ALTER TABLE a ENABLE ALWAYS RULE kept;
        CREATE EVENT TRIGGER meddle ON ddl_command_end EXECUTE FUNCTION meddle();
    """.replace("CREATE EVENT", "-- CREATE EVENT"),
        """
        ALTER TABLE a DISABLE TRIGGER ALL; ALTER TABLE a DISABLE RULE kept; ALTER TABLE a DISABLE RULE lost;
        UPDATE a SET v = 'y' WHERE id < 3; INSERT INTO a VALUES (9, 'new'); DELETE FROM a WHERE id = 4;
        UPDATE b SET a = 9 WHERE id = 3; ALTER TABLE a ENABLE TRIGGER USER; ALTER TABLE a ENABLE ALWAYS TRIGGER row;
        ALTER TABLE a ENABLE ALWAYS RULE kept; ALTER TABLE a ENABLE RULE lost; ALTER TABLE a ENABLE TRIGGER ALL;
        ALTER TABLE a ENABLE ALWAYS TRIGGER row;
    """,
    )
    assert counts(sync_target(case, strategy)) == {"a": (1, 2, 1), "b": (0, 1, 0)}
    arrives(case)


def test_a_row_that_refers_to_one_that_comes_later(pair: MakePair) -> None:
    """Chains, self-references and a cycle without any deferrable key, filled from nothing."""
    case = pair(
        """
        CREATE TABLE z (id int PRIMARY KEY, other int);
        CREATE TABLE y (id int PRIMARY KEY, z int NOT NULL REFERENCES z, y int REFERENCES y);
        CREATE TABLE x (id int PRIMARY KEY, y int NOT NULL REFERENCES y);
        ALTER TABLE z ADD FOREIGN KEY (other) REFERENCES x;
    """,
        """
        INSERT INTO z VALUES (1), (2); INSERT INTO y VALUES (1, 1, 2), (2, 2, 1); INSERT INTO x VALUES (1, 1), (2, 2);
        UPDATE z SET other = 3 - id;
    """,
    )
    done = sync_target(case)
    assert {link.key.name for link in done.readded} == {"y_z_fkey", "x_y_fkey", "z_other_fkey"}
    arrives(case)


def test_keys_stay_where_no_row_goes(pair: MakePair) -> None:
    """Rows that are only added find what they refer to in the tables' order."""
    case = pair(
        "CREATE TABLE b (id int PRIMARY KEY); CREATE TABLE a (id int PRIMARY KEY, b int REFERENCES b);"
        "INSERT INTO b VALUES (1); INSERT INTO a VALUES (1, 1);",
        "INSERT INTO b VALUES (2); INSERT INTO a VALUES (2, 2); UPDATE a SET b = 2",
    )
    done = sync_target(case)
    assert not done.readded
    arrives(case)


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_constraints_that_are_not_valid(pair: MakePair, strategy: Strategy) -> None:
    """Rows that break them come all the same, and they are NOT VALID afterwards as before."""
    case = pair(
        """
        CREATE TABLE a (id int PRIMARY KEY); CREATE TABLE b (id int PRIMARY KEY, a int, n int);
        ALTER TABLE b ADD FOREIGN KEY (a) REFERENCES a NOT VALID, ADD CHECK (n > 0) NOT VALID;
    """,
        """
        ALTER TABLE b DROP CONSTRAINT b_n_check; ALTER TABLE b DISABLE TRIGGER ALL; INSERT INTO b VALUES (1, 7, -1);
        ALTER TABLE b ENABLE TRIGGER ALL; ALTER TABLE b ADD CHECK (n > 0) NOT VALID;
    """,
    )
    sync_target(case, strategy)
    arrives(case)


def test_orphans(pair: MakePair) -> None:
    """A key that claims to be valid over rows that break it fails, unless that is allowed: then it is NOT VALID."""
    case = pair(
        "CREATE TABLE a (id int PRIMARY KEY); CREATE TABLE b (id int PRIMARY KEY, a int REFERENCES a);",
        "ALTER TABLE b DISABLE TRIGGER ALL; INSERT INTO b VALUES (1, 77); ALTER TABLE b ENABLE TRIGGER ALL;",
    )
    for strategy in STRATEGIES:
        with untouched(live(case)), pytest.raises(MigrationError, match="b_a_fkey") as raised:
            sync_target(case, strategy)
        assert "77" not in str(raised.value)
    done = sync_target(case, allowed={"fk constraint public.b b_a_fkey": "historical"})
    assert done.verdict.allowed
    assert case.ask("SELECT convalidated FROM pg_constraint WHERE contype = 'f'") is False


def test_a_schema_that_is_not_the_sources(pair: MakePair) -> None:
    case = pair(KEYED, "ALTER TABLE a ADD w int; DELETE FROM a")
    with untouched(live(case)), pytest.raises(MigrationError, match="not the source's"):
        sync_target(case)


def test_a_difference_leaves_everything_as_it_was(pair: MakePair) -> None:
    """Also where sequences stand, which no transaction protects by itself."""
    case = pair(
        "CREATE SEQUENCE s; CREATE FUNCTION f(int) RETURNS int IMMUTABLE LANGUAGE sql AS 'SELECT $1';"
        "CREATE TABLE a (id int PRIMARY KEY, g int GENERATED ALWAYS AS (f(id)) STORED);"
    )
    # The source's function has changed since its rows were computed.
    case.run("INSERT INTO a VALUES (1); SELECT setval('s', 7)")
    for server in (case.source, case.target):
        execute(
            server,
            case.name,
            "CREATE OR REPLACE FUNCTION f(int) RETURNS int IMMUTABLE LANGUAGE sql AS 'SELECT $1 + 1'",
        )
    with untouched(live(case)), pytest.raises(MigrationError, match=r"table public\.a: 1 rows on both sides"):
        sync_target(case)
    assert case.ask("SELECT last_value FROM s") == 1


def test_selected_tables(pair: MakePair) -> None:
    """The others stay as they are, whatever differs there; a key that leads in is checked."""
    script = """
        CREATE TABLE a (id int PRIMARY KEY, v text); CREATE TABLE b (id serial PRIMARY KEY, a int REFERENCES a);
        INSERT INTO a VALUES (1, 'x'), (2, 'x'); INSERT INTO b (a) VALUES (1);
    """
    case = pair(script, "UPDATE a SET v = 'y' WHERE id = 1; DELETE FROM a WHERE id = 2; INSERT INTO b (a) VALUES (1)")
    assert counts(sync_target(case, patterns=Patterns(("a",)))) == {"a": (0, 1, 1)}
    assert case.equal_answers("SELECT string_agg(a::text, ',') FROM a") == "(1,y)"
    assert case.ask("SELECT count(*) FROM b") == 1
    case.run("DELETE FROM b; DELETE FROM a")
    with untouched(live(case)), pytest.raises(MigrationError, match="b_a_fkey"):
        sync_target(case, patterns=Patterns(("a",)))


def test_a_plain_owner(pair: MakePair) -> None:
    """Who owns the tables needs no more, whatever they are called, and whatever hides their rows from him."""
    script = """
        CREATE ROLE {role} LOGIN PASSWORD 'secret'; SET ROLE {role}; CREATE SCHEMA "s %";
        CREATE TABLE "s %"."a "" b" ("i""d%s" text PRIMARY KEY, "{{0}}" int, v bytea);
        CREATE TABLE "s %".child (id int, parent text REFERENCES "s %"."a "" b");
        INSERT INTO "s %"."a "" b" VALUES ('x', 1, '\\x00'), ('y', 2, NULL); INSERT INTO "s %".child VALUES (1, 'x');
        CREATE POLICY hidden ON "s %"."a "" b" USING (false);
        ALTER TABLE "s %"."a "" b" ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
    """
    case = pair("")
    case.target_user = (f"{case.name}_role", "secret")
    for server in (case.source, case.target):
        execute(server, case.name, f'GRANT CREATE ON DATABASE "{case.name}" TO PUBLIC')
        execute(server, case.name, script.format(role=case.target_user[0]))
    case.run("""UPDATE "s %"."a "" b" SET v = '\\xff', "{0}" = NULL; DELETE FROM "s %".child""")
    assert counts(sync_target(case)) == {'a " b': (0, 2, 0), "child": (0, 0, 1)}
    arrives(case)


def test_bytes_of_another_encoding(servers: Servers) -> None:
    bytewise = {"encoding": "SQL_ASCII", "locale": "C"}
    with new_case(servers.source(), servers.target(), "CREATE TABLE a (v text)", **bytewise) as case:
        case.target.create_database(case.name, template="template0", **bytewise)
        execute(case.target, case.name, "CREATE TABLE a (v text); INSERT INTO a VALUES ('same'), ('other')")
        case.run("INSERT INTO a VALUES ('same'), (convert_from('\\xe9', 'SQL_ASCII'))")
        assert counts(sync_target(case)) == {"a": (1, 0, 1)}
        assert case.equal_answers("SELECT encode(string_agg(v::bytea, ',' ORDER BY v), 'hex') FROM a")


def test_readers_go_on_with_what_was_there(pair: MakePair) -> None:
    """Until the commit they see the old rows, and they do not wait; who writes does."""
    case = pair(KEYED, "UPDATE a SET v = 'new'; DELETE FROM a WHERE id > 10")
    seen: list[t.Any] = []

    def look(*_: object) -> None:
        with case.target.connect(case.name) as reader:
            reader.execute("SET lock_timeout = '2s'")
            seen.append(reader.execute("SELECT count(*), min(v) FROM a").fetchone())
            with pytest.raises(psycopg.errors.LockNotAvailable):
                reader.execute("DELETE FROM a")

    sync_target(case, at_the_end=look)
    assert seen == [(1000, "v1")]
    arrives(case)


def test_what_is_written_after_the_snapshot_does_not_arrive(pair: MakePair) -> None:
    case = pair(KEYED, "UPDATE a SET v = 'old' WHERE id = 5")
    sync_target(case, between=lambda: case.run("UPDATE a SET v = 'late'; DELETE FROM a WHERE id > 500"))
    assert case.ask("SELECT v FROM a WHERE id = 5") == "old"
    assert case.ask("SELECT count(*) FROM a") == 1000


@pytest.mark.parametrize("counted", ["on", "off"])
def test_what_is_written_on_the_way_is_seen(pair: MakePair, counted: str) -> None:
    """A table that does not differ is read once; but not where a function, say, has written to it since."""
    case = pair(
        """
        CREATE TABLE b (id int); CREATE TABLE a (id int PRIMARY KEY);
        CREATE FUNCTION note(int) RETURNS bool LANGUAGE plpgsql AS 'BEGIN INSERT INTO b VALUES ($1); RETURN true; END';
        ALTER TABLE a ADD CHECK (note(id));
        """,
        "INSERT INTO a VALUES (1); DELETE FROM b",
    )
    execute(case.target, case.name, f"ALTER DATABASE {case.name} SET track_counts = {counted}")
    execute(case.source, case.name, f"ALTER DATABASE {case.name} SET track_counts = {counted}")
    with untouched(live(case)), pytest.raises(MigrationError, match=r"table public\.b"):
        sync_target(case)


def test_one_more_of_the_same(pair: MakePair) -> None:
    """Without a key, rows may be equal: it is their number that differs."""
    case = pair("CREATE TABLE a (v text); INSERT INTO a VALUES ('x'), ('y')", "INSERT INTO a VALUES ('x')")
    assert counts(sync_target(case)) == {"a": (1, 0, 0)}
    arrives(case)


def test_a_schema_that_is_not_as_before_is_seen(pair: MakePair, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the run itself were to leave behind."""
    case = pair("CREATE TABLE t (id int PRIMARY KEY)", source="INSERT INTO t VALUES (1)")
    monkeypatch.setattr(bringing, "restart", lambda session, _: session.execute("ALTER TABLE t SET (fillfactor = 70)"))
    with untouched(live(case)), pytest.raises(MigrationError, match=r"table public\.t"):
        sync_target(case)
