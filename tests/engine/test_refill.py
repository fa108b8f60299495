# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tables filled again under a kept schema: whatever watches over the rows, the copy is equal and nothing else moves."""

from __future__ import annotations

import contextlib
import re
import typing as t
from pathlib import Path

import psycopg
import pytest
from ansible_collections.pgconvoy.migrate.plugins.module_utils.archive.writer import write_archive
from ansible_collections.pgconvoy.migrate.plugins.module_utils.catalog.selection import Patterns, Selection
from ansible_collections.pgconvoy.migrate.plugins.module_utils.errors import MigrationError
from ansible_collections.pgconvoy.migrate.plugins.module_utils.in_place import locks
from ansible_collections.pgconvoy.migrate.plugins.module_utils.in_place.frame import Strategy
from ansible_collections.pgconvoy.migrate.plugins.module_utils.preflight.checks.refill import (
    ask_load_order,
    check_parents,
)
from ansible_collections.pgconvoy.migrate.plugins.module_utils.preflight.examine import examine
from ansible_collections.pgconvoy.migrate.plugins.module_utils.preflight.request import Request
from ansible_collections.pgconvoy.migrate.plugins.module_utils.preflight.settings import Settings
from ansible_collections.pgconvoy.migrate.plugins.module_utils.server.endpoint import connect
from ansible_collections.pgconvoy.migrate.plugins.module_utils.server.inquiry import answer
from ansible_collections.pgconvoy.migrate.plugins.module_utils.verdict.findings import Finding
from psycopg import sql

from tests import corpus, oracle
from tests.case import Case, execute, make_role, new_case
from tests.databases import Database, untouched
from tests.engine.test_corpus import create_roles
from tests.migration import endpoint, migrate, prepare
from tests.refilling import STRATEGIES, make_target, refill_target
from tests.servers import PostgresServer, Servers


def live(case: Case) -> Database:
    return Database(case.target, case.name)


def arrives(case: Case) -> None:
    oracle.assert_equal(case.source, case.name, case.target, case.name, merge=case.merge)


# Each key in another way; ids begin elsewhere on the two sides, so that rows of one never satisfy the other's.
KEYS: t.Final = """
    CREATE TABLE country (code char(2) PRIMARY KEY);
    CREATE TABLE employee (id int PRIMARY KEY, boss int REFERENCES employee, team int);
    CREATE TABLE team (id int PRIMARY KEY, lead int NOT NULL);
    ALTER TABLE employee ADD CONSTRAINT in_team FOREIGN KEY (team) REFERENCES team DEFERRABLE INITIALLY DEFERRED;
    ALTER TABLE team ADD CONSTRAINT led_by FOREIGN KEY (lead) REFERENCES employee DEFERRABLE;
    COMMENT ON CONSTRAINT led_by ON team IS 'somebody''s';
    CREATE TABLE place (country char(2) REFERENCES country, city text, PRIMARY KEY (country, city));
    CREATE TABLE visit (
        country char(2), city text, who int REFERENCES employee ON DELETE CASCADE,
        CONSTRAINT visited FOREIGN KEY (country, city) REFERENCES place MATCH FULL ON UPDATE CASCADE
    );
    CREATE TABLE lax (id int);
    ALTER TABLE lax ADD CONSTRAINT unchecked FOREIGN KEY (id) REFERENCES team NOT VALID;
    CREATE TABLE event (id int, day int, before int, before_day int, PRIMARY KEY (id, day)) PARTITION BY RANGE (day);
    CREATE TABLE event_1 PARTITION OF event FOR VALUES FROM (0) TO (10);
    CREATE TABLE event_2 PARTITION OF event FOR VALUES FROM (10) TO (20);
    ALTER TABLE event ADD CONSTRAINT after FOREIGN KEY (before, before_day) REFERENCES event;
    CREATE TABLE note (
        id serial PRIMARY KEY, event int, day int, UNIQUE (id, day) DEFERRABLE INITIALLY DEFERRED,
        FOREIGN KEY (event, day) REFERENCES event DEFERRABLE INITIALLY DEFERRED
    );
    CREATE TRIGGER harmless BEFORE UPDATE ON note FOR EACH ROW EXECUTE FUNCTION suppress_redundant_updates_trigger();
"""
ROWS: t.Final = """
    BEGIN;
    ALTER TABLE lax DISABLE TRIGGER ALL;
    INSERT INTO country VALUES ('DE'), ('PE');
    INSERT INTO employee VALUES ({0} + 2, {0} + 1, {0} + 1), ({0} + 1, NULL, {0} + 1), ({0} + 3, {0} + 3, NULL);
    INSERT INTO team VALUES ({0} + 1, {0} + 2);
    INSERT INTO place VALUES ('PE', 'Cuzco {0}');
    INSERT INTO visit VALUES ('PE', 'Cuzco {0}', {0} + 1), (NULL, NULL, NULL);
    INSERT INTO lax VALUES ({0} + 99);
    INSERT INTO event VALUES ({0}, 1, {0}, 11), ({0}, 11, {0}, 1);
    INSERT INTO note (event, day) SELECT {0}, 11 FROM generate_series(1, {0});
    ALTER TABLE lax ENABLE TRIGGER ALL;
    COMMIT;
"""


@pytest.fixture
def keys(servers: Servers) -> t.Iterator[Case]:
    """Give two databases of the same schema and other rows."""
    with new_case(servers.source(), servers.target(), KEYS + ROWS.format(100)) as case:
        make_target(case, KEYS + ROWS.format(200))
        yield case


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_every_kind_of_key(keys: Case, strategy: Strategy) -> None:
    done = refill_target(keys, strategy)
    arrives(keys)
    place = {name: number for number, (_, name) in enumerate(done.order.tables)}
    assert place["country"] < place["place"] < place["visit"]
    assert done.order.cycles == (
        (("public", "employee"), ("public", "team")),
        (("public", "event_1"), ("public", "event_2")),
    )
    readded = {link.key.name for link in done.readded}
    assert readded == ({"in_team", "led_by", "after", "unchecked"} if strategy == "dependency_order" else set())
    assert keys.ask("SELECT nextval('note_id_seq')") == 101


def test_functions_that_read_what_is_loaded_later(servers: Servers) -> None:
    """A check reads another table, whose rows come first, though no key says so."""
    script = """
        create table z_code(id int primary key); insert into z_code values ({0});
        create function known(i int) returns bool language sql stable as
            'select exists (select from public.z_code where id = i)';
        create table a_first(id int check (known(id))); insert into a_first values ({0});
    """
    with new_case(servers.source(), servers.target(), script.format(1)) as case:
        make_target(case, script.format(2))
        assert refill_target(case).verdict.equal


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_a_difference_leaves_everything_as_it_was(keys: Case, strategy: Strategy) -> None:
    """Also where sequences stand, which no transaction protects by itself."""
    execute(keys.target, keys.name, "CREATE FUNCTION f(int) RETURNS int IMMUTABLE LANGUAGE sql AS 'SELECT $1 + 1'")
    keys.run("CREATE FUNCTION f(int) RETURNS int IMMUTABLE LANGUAGE sql AS 'SELECT $1 + 1'")
    for server in (keys.source, keys.target):
        execute(server, keys.name, "CREATE TABLE computed (id int, next int GENERATED ALWAYS AS (f(id)) STORED)")
    # The source's function has changed since its rows were computed.
    keys.run(
        "INSERT INTO computed VALUES (1); CREATE OR REPLACE FUNCTION f(int) RETURNS int IMMUTABLE LANGUAGE sql"
        " AS 'SELECT $1 + 2'"
    )
    execute(
        keys.target,
        keys.name,
        "CREATE OR REPLACE FUNCTION f(int) RETURNS int IMMUTABLE LANGUAGE sql AS 'SELECT $1 + 2'",
    )
    files = live(keys).query("SELECT relname, relfilenode FROM pg_class ORDER BY oid")
    with untouched(live(keys)), pytest.raises(MigrationError, match=r"table public\.computed: 1 rows on both sides"):
        refill_target(keys, strategy)
    assert live(keys).query("SELECT relname, relfilenode FROM pg_class ORDER BY oid") == files
    assert keys.ask("SELECT nextval('note_id_seq')") == 201


def test_setval_is_undone_where_a_sequence_has_a_new_file(servers: Servers) -> None:
    """What the load relies on: by itself setval is never undone (docs: Sequence Manipulation Functions)."""
    with new_case(servers.source(), servers.target(), "CREATE SEQUENCE s; SELECT setval('s', 7)") as case:
        for restart, expected in (("", 50), ("ALTER SEQUENCE s RESTART;", 7)):
            case.run("SELECT setval('s', 7)")
            with case.source.connect(case.name) as connection:
                connection.execute(f"BEGIN; {restart} SELECT setval('s', 50); ROLLBACK".encode())
            assert case.ask("SELECT last_value FROM s", side="source") == expected


TRIGGERS: t.Final = """
    CREATE FUNCTION spoil() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN NEW.note = 'spoilt'; RETURN NEW; END$$;
    CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN RAISE 'refused'; END$$;
    CREATE TABLE watched (id int PRIMARY KEY, note text, other int REFERENCES watched, UNIQUE (note) DEFERRABLE);
    CREATE TRIGGER simple BEFORE INSERT ON watched FOR EACH ROW EXECUTE FUNCTION spoil();
    CREATE TRIGGER off BEFORE INSERT ON watched FOR EACH ROW EXECUTE FUNCTION spoil();
    CREATE TRIGGER replica BEFORE INSERT ON watched FOR EACH ROW EXECUTE FUNCTION spoil();
    CREATE TRIGGER "al ways" BEFORE INSERT ON watched FOR EACH ROW EXECUTE FUNCTION spoil();
    CREATE CONSTRAINT TRIGGER late AFTER INSERT ON watched DEFERRABLE INITIALLY DEFERRED
        FOR EACH ROW EXECUTE FUNCTION refuse();
    CREATE TRIGGER emptied BEFORE TRUNCATE ON watched EXECUTE FUNCTION refuse();
    CREATE RULE lost AS ON INSERT TO watched DO INSTEAD NOTHING;
    ALTER TABLE watched DISABLE RULE lost;
    CREATE TABLE parted (id int, note text) PARTITION BY LIST (id);
    CREATE TABLE part PARTITION OF parted DEFAULT;
    CREATE TRIGGER row_in_parted BEFORE INSERT ON parted FOR EACH ROW EXECUTE FUNCTION spoil();
    ALTER TABLE watched DISABLE TRIGGER USER;
    ALTER TABLE parted DISABLE TRIGGER USER;
"""
STATES: t.Final = """
    ALTER TABLE watched ENABLE TRIGGER USER;
    ALTER TABLE watched DISABLE TRIGGER off, ENABLE REPLICA TRIGGER replica, ENABLE ALWAYS TRIGGER "al ways";
    ALTER TABLE watched ENABLE RULE lost;
    ALTER TABLE parted ENABLE ALWAYS TRIGGER row_in_parted;
    ALTER TABLE ONLY part DISABLE TRIGGER row_in_parted;
"""


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_triggers_do_not_fire_and_keep_their_states(servers: Servers, strategy: Strategy) -> None:
    rows = "INSERT INTO watched VALUES (1, 'one', 2), (2, 'two', 1); INSERT INTO parted VALUES (1, 'one');"
    with new_case(servers.source(), servers.target(), TRIGGERS + rows + STATES) as case:
        make_target(case, TRIGGERS + STATES)
        query = (
            "SELECT string_agg(concat_ws(' ', tgrelid::regclass, tgname, tgenabled), ', ' ORDER BY tgrelid, tgname)"
            " FROM pg_trigger WHERE NOT tgisinternal"
        )
        states = case.ask(query)
        refill_target(case, strategy)
        arrives(case)
        assert case.ask(query) == states
        assert "watched al ways A" in states
        assert "part row_in_parted D" in states


def test_a_key_that_is_not_enforced_on_either_side(servers: Servers) -> None:
    """Its triggers are dropped with it, where it is part of a cycle, and come back in their states."""
    script = """
        CREATE TABLE a (id int PRIMARY KEY, b int);
        CREATE TABLE b (id int PRIMARY KEY, a int REFERENCES a);
        ALTER TABLE a ADD CONSTRAINT loose FOREIGN KEY (b) REFERENCES b;
        ALTER TABLE a DISABLE TRIGGER ALL;
        DO $$
        DECLARE name text;
        BEGIN
            SELECT tgname INTO name FROM pg_trigger WHERE tgrelid = 'a'::regclass AND tgfoid::regproc::text
                LIKE '%check_upd%';
            EXECUTE format('ALTER TABLE a ENABLE ALWAYS TRIGGER %I', name);
        END $$;
    """
    rows = "INSERT INTO a VALUES (1, 1); INSERT INTO b VALUES (1, 1);"
    states = """
        SELECT string_agg(concat_ws(' ', conname, tgrelid::regclass, tgfoid::regproc, tgenabled), E'\\n' ORDER BY
               conname, tgfoid::regproc::text)
        FROM pg_trigger JOIN pg_constraint k ON k.oid = tgconstraint
    """
    with new_case(servers.source(), servers.target(), script + rows) as case:
        make_target(case, script)
        before = case.ask(states)
        refill_target(case)
        arrives(case)
        assert case.ask(states) == before
        case.target_user = f"{case.name}_role", "secret"
        make_role(case.target, case.target_user[0], "LOGIN")
        execute(
            case.target, case.name, "ALTER TABLE a OWNER TO {0}; ALTER TABLE b OWNER TO {0}".format(*case.target_user)
        )
        with untouched(live(case)), pytest.raises(MigrationError, match="only a superuser may bring them back"):
            refill_target(case)


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_keys_that_18_does_not_enforce(servers: Servers, strategy: Strategy) -> None:
    """Without a trigger, such a key's table counts in TRUNCATE as one that was not named; rows may break the key."""
    script = """
        create table parent(id int primary key);
        create table child(id int primary key, parent int references parent);
        create table lax(parent int constraint lax references parent not enforced);
        create table tree(parent int, constraint grows foreign key (parent) references parent not enforced)
            partition by list (parent);
        create table leaf partition of tree default;
        comment on constraint grows on tree is 'lax, too'; insert into lax values (99); insert into tree values (98);
    """
    with new_case(servers.source(), servers.target(), script) as case:
        make_target(case, script)
        case.run("insert into parent values (1); insert into child values (1, 1); insert into lax values (97)")
        assert refill_target(case, strategy).verdict.equal
        arrives(case)


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_orphans(servers: Servers, strategy: Strategy) -> None:
    """A key that claims to be valid over rows that break it fails, unless that is allowed: then it is NOT VALID."""
    script = "CREATE TABLE parent (id int PRIMARY KEY); CREATE TABLE child (id int, parent int REFERENCES parent);"
    orphan = (
        "ALTER TABLE child DISABLE TRIGGER ALL; INSERT INTO child VALUES (1, 77);ALTER TABLE child ENABLE TRIGGER ALL;"
    )
    with new_case(servers.source(), servers.target(), script + orphan) as case:
        make_target(case, script)
        with untouched(live(case)), pytest.raises(MigrationError, match="parent") as raised:
            refill_target(case, strategy)
        assert "77" not in str(raised.value)
        done = refill_target(case, strategy, allowed={"fk constraint public.child child_parent_fkey": "historical"})
        assert [allowed.object for allowed in done.verdict.allowed][:1] == [
            "fk constraint public.child child_parent_fkey"
        ]
        assert case.ask("SELECT convalidated FROM pg_constraint WHERE contype = 'f'") is False
        assert case.equal_answers("SELECT parent FROM child") == 77


def test_a_schema_that_is_not_the_sources(servers: Servers) -> None:
    with new_case(servers.source(), servers.target(), "CREATE TABLE a (id int, note text); CREATE TABLE b ()") as case:
        make_target(case, "CREATE TABLE a (id int NOT NULL, note text); CREATE TABLE c ()")
        with untouched(live(case)), pytest.raises(MigrationError, match="not the source's") as caught:
            refill_target(case)
        assert "- table public.b: missing on the target\n- table public.c: only on the target" in str(caught.value)
        with pytest.raises(MigrationError, match=r"table public\.a: defined otherwise") as caught:
            refill_target(case, patterns=Patterns(("a",)))
        assert "public.c" not in str(caught.value)


def test_another_encoding(servers: Servers) -> None:
    """Said as what it is, not as rows that differ."""
    script = "CREATE TABLE a (note text)"
    options = {"encoding": "LATIN1", "lc_collate": "C", "lc_ctype": "C"}
    with new_case(servers.source(), servers.target(), f"{script}; INSERT INTO a VALUES ('\u00e9')", **options) as case:
        make_target(case, script)
        with pytest.raises(MigrationError, match="database encoding: LATIN1 on the source, UTF8 on the target"):
            refill_target(case, patterns=Patterns(("a",)))


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_a_constraint_that_is_not_a_key_is_always_checked(servers: Servers, strategy: Strategy) -> None:
    """Triggers behind a deferrable UNIQUE are all that keeps duplicates out; here they did not on the source."""
    script = "CREATE TABLE a (id int UNIQUE DEFERRABLE);"
    rows = "ALTER TABLE a DISABLE TRIGGER ALL; INSERT INTO a VALUES (1), (1); ALTER TABLE a ENABLE TRIGGER ALL;"
    with new_case(servers.source(), servers.target(), script + rows) as case:
        make_target(case, script)
        with untouched(live(case)), pytest.raises(MigrationError, match="duplicate key value"):
            refill_target(case, strategy)


WHOLE: t.Final = """
    CREATE TYPE mood AS ENUM ('glad', 'sad');
    CREATE TABLE base (id bigint GENERATED ALWAYS AS IDENTITY, twice int GENERATED ALWAYS AS (2 * n) STORED, n int);
    CREATE TABLE heir (more text) INHERITS (base);
    CREATE TABLE moods (m mood, n int) PARTITION BY HASH (m);
    CREATE TABLE moods_0 PARTITION OF moods FOR VALUES WITH (MODULUS 2, REMAINDER 0);
    CREATE TABLE moods_1 PARTITION OF moods FOR VALUES WITH (MODULUS 2, REMAINDER 1);
    CREATE MATERIALIZED VIEW zz AS SELECT count(*) FROM base;
    CREATE MATERIALIZED VIEW aa AS SELECT * FROM zz;
    CREATE MATERIALIZED VIEW none AS SELECT * FROM base WITH NO DATA;
    CREATE TABLE nothing ();
    CREATE VIEW v AS SELECT * FROM base;
"""


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_all_that_holds_rows(servers: Servers, strategy: Strategy) -> None:
    rows = """
        INSERT INTO base (n) SELECT g FROM generate_series(1, {0}) g;
        INSERT INTO heir (id, n, more) VALUES (5, {0}, 'more');
        INSERT INTO moods SELECT CASE WHEN g % 3 = 0 THEN 'glad' ELSE 'sad' END::mood, g FROM generate_series(1, {0}) g;
        INSERT INTO nothing SELECT FROM generate_series(1, {0});
        SELECT lo_from_bytea({0}, 'large {0}'), lo_from_bytea(7, 'seven {0}');
        REFRESH MATERIALIZED VIEW zz; REFRESH MATERIALIZED VIEW aa;
    """
    with new_case(servers.source(), servers.target(), WHOLE + rows.format(100)) as case:
        # Another order of creation gives the enum's labels other numbers.
        make_target(case, WHOLE + rows.format(9) + "REFRESH MATERIALIZED VIEW none")
        case.merge = ("public.moods_0", "public.moods_1")
        refill_target(case, strategy)
        arrives(case)


@pytest.mark.parametrize(("name", "major"), [("sigmasight_gen", "18"), ("zabbix", "18"), ("torture", "15")])
def test_corpus(servers: Servers, name: str, major: str) -> None:
    """A copy that was spoilt in every table is mended, in both ways."""
    source, target = servers.source(major), servers.target(major)
    dbname = corpus.shared(source, name)
    case = Case(source, target, dbname)
    create_roles(source, target)
    try:
        assert migrate(source, dbname, target, dbname).status == "migrated"
        wanted = oracle.expected(source, dbname, target)
        for strategy in STRATEGIES:
            spoil(target, dbname)
            refill_target(case, strategy)
            assert oracle.differences(wanted, oracle.picture(target, dbname)) == []
    finally:
        target.drop_database(dbname)


def spoil(server: PostgresServer, dbname: str) -> None:
    """Take rows away from tables, past all that watches over them, and move every sequence."""
    with server.connect(dbname) as connection:
        connection.execute("SET session_replication_role = replica")
        tables = connection.execute(
            "SELECT n.nspname, c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
            " WHERE c.relkind = 'r' AND c.oid > 16384 AND n.nspname !~ '^(pg_|information_schema)'"
        ).fetchall()
        deleted = 0
        for table in tables:
            statement = sql.SQL("DELETE FROM ONLY {0} WHERE ctid IN (SELECT ctid FROM ONLY {0} LIMIT 3)")
            # What is published can lose rows only if each of them can be named.
            with contextlib.suppress(psycopg.errors.ObjectNotInPrerequisiteState):
                deleted += connection.execute(statement.format(sql.Identifier(*table))).rowcount
        assert deleted
        connection.execute("SELECT setval(seqrelid, seqmin, false) FROM pg_sequence WHERE seqrelid > 16384")


def test_what_is_not_valid_stays_so(servers: Servers) -> None:
    """COPY checks NOT VALID constraints, too, also a domain's; rows from before them must arrive all the same."""
    made = """
        CREATE DOMAIN positive AS int;
        CREATE TYPE pair AS (a positive, b int);
        CREATE TABLE top (n int, p positive, ps positive[], pr pair);
        CREATE TABLE sub () INHERITS (top);
        CREATE TABLE parted (n int) PARTITION BY RANGE (n);
        CREATE TABLE part PARTITION OF parted DEFAULT;
    """
    checks = """
        ALTER TABLE sub ADD CONSTRAINT small CHECK (n < 10) NOT VALID;
        ALTER TABLE top ADD CONSTRAINT small CHECK (n < 10) NOT VALID;
        ALTER TABLE top ADD CONSTRAINT own CHECK (n > 0) NO INHERIT NOT VALID;
        ALTER TABLE parted ADD CONSTRAINT even CHECK (n % 2 = 0) NOT VALID;
        ALTER DOMAIN positive ADD CONSTRAINT above CHECK (VALUE > 0) NOT VALID;
        ALTER TABLE sub ADD CONSTRAINT nn NOT NULL p NOT VALID;
        COMMENT ON CONSTRAINT above ON DOMAIN positive IS 'above all';
        COMMENT ON CONSTRAINT own ON top IS 'of its own';
    """
    rows = """
        INSERT INTO top VALUES (-{0}, -1, '{{-2}}', '(-3,4)');
        INSERT INTO sub VALUES ({0});
        INSERT INTO part VALUES (1);
    """
    with new_case(servers.source(), servers.target(), made + rows.format(11) + checks) as case:
        make_target(case, made + rows.format(12) + checks)
        whole = oracle.schema(case.target, case.name)
        for tables in (("*",), ("sub",), ("parted", "top")):
            refill_target(case, patterns=Patterns(tables))
            assert oracle.schema(case.target, case.name) == whole
        arrives(case)


PARTIAL: t.Final = """
    CREATE SCHEMA "Über";
    CREATE TABLE customer (id int PRIMARY KEY, name text);
    CREATE TABLE "order" (id serial PRIMARY KEY, customer int NOT NULL REFERENCES customer, note text);
    CREATE TABLE "Über"."Line.s" (n int, "order" int REFERENCES "order" ON DELETE CASCADE);
    CREATE TABLE free (id bigint GENERATED BY DEFAULT AS IDENTITY, x int);
    CREATE SEQUENCE loose;
    CREATE TABLE log (note text);
    CREATE INDEX on_note ON "order" (note);
"""


@pytest.fixture
def partial(servers: Servers) -> t.Iterator[Case]:
    """Give two databases of which the target has customers and lines of its own, and orders that have aged."""
    rows = """
        INSERT INTO customer VALUES (1, 'source'), (2, 'source');
        INSERT INTO "order" (customer, note) SELECT 1 + g % 2, 'new' FROM generate_series(1, 9) g;
        INSERT INTO free (x) VALUES (5), (6);
        SELECT nextval('loose');
    """
    others = """
        INSERT INTO customer VALUES (1, 'target'), (2, 'target'), (3, 'target');
        INSERT INTO "order" (customer, note) VALUES (3, 'old');
        INSERT INTO "Über"."Line.s" VALUES (1, 1);
        SELECT lo_from_bytea(7, 'seven');
    """
    with new_case(servers.source(), servers.target(), PARTIAL + rows) as case:
        make_target(case, PARTIAL + others)
        yield case


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_a_single_table(partial: Case, strategy: Strategy) -> None:
    """Its rows and its sequence are the source's; all else is as it was, keys from and to it included."""
    before, schema = rest(partial), oracle.schema(partial.target, partial.name)
    done = refill_target(partial, strategy, Patterns(("order",)))
    assert rest(partial) == before
    assert oracle.schema(partial.target, partial.name) == schema
    partial.equal_answers("SELECT string_agg(o::text, ' ' ORDER BY id) FROM \"order\" o")
    partial.equal_answers("SELECT nextval('order_id_seq')")
    assert [link.key.name for link in done.readded] == ["Line.s_order_fkey"]
    assert [link.key.name for link in done.order.leading_out] == ["order_customer_fkey"]
    assert [verdict.name for verdict in done.verdict.tables] == ["order"]
    assert partial.ask("SELECT count(*) FROM pg_constraint WHERE contype = 'f' AND convalidated") == 2


def test_tables_of_an_archive_that_holds_more(partial: Case) -> None:
    """One of a whole archive's; all of a partial one's, which says by itself that it is partial."""
    before = rest(partial)
    done = refill_target(partial, patterns=Patterns(("order",)), archived=Patterns())
    assert [table.name for table, _ in done.done] == ["order"]
    assert rest(partial) == before
    partial.equal_answers('SELECT count(*) FROM "order"')
    done = refill_target(partial, patterns=Patterns(), archived=Patterns(("order", "free")))
    assert [verdict.name for verdict in done.verdict.tables] == ["free", "order"]
    partial.equal_answers("SELECT count(*) FROM free")
    with pytest.raises(MigrationError, match='"log" of include_tables matches no table'):
        refill_target(partial, patterns=Patterns(("log",)), archived=Patterns(("free",)))


def test_no_database_is_made_of_a_partial_archive(partial: Case, tmp_path: Path) -> None:
    migration = prepare(partial.source, partial.name, partial.target, partial.name, tmp_path / "archive")
    migration.preflight()
    assert migration.tools
    write_archive(migration.source, migration.tools, migration.archive, 1, patterns=Patterns(("free",)))
    with untouched(live(partial)):
        for make in (migration.restore_schema, migration.replace):
            with pytest.raises(MigrationError, match="holds the rows of some tables only"):
                make()


def rest(case: Case) -> str:
    """Return all of the target but the orders."""
    return live(case).contents("--exclude-table-data=order", "--exclude-table-data=order_id_seq")


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_a_parent_that_the_target_does_not_have(partial: Case, strategy: Strategy) -> None:
    partial.run('INSERT INTO customer VALUES (44); INSERT INTO "order" (customer) VALUES (44)')
    with (
        untouched(live(partial)),
        pytest.raises(MigrationError, match=r"(?s)customer.*(\(customer\)=\(\.\.\.\)|is not on the target, \(\d+\))"),
    ):
        refill_target(partial, strategy, Patterns(("order",)))


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_a_child_that_is_left_alone(partial: Case, strategy: Strategy) -> None:
    """The server validates its key again over rows that it had believed."""
    execute(
        partial.target, partial.name, 'INSERT INTO "order" VALUES (77, 1); INSERT INTO "Über"."Line.s" VALUES (2, 77)'
    )
    with (
        untouched(live(partial)),
        pytest.raises(MigrationError, match=r"add .*Line\.s_order_fkey again(.|\n)*\(order\)=\("),
    ):
        refill_target(partial, strategy, Patterns(("order",)))


def test_another_table_is_written_to(partial: Case) -> None:
    """By an event trigger that the target's user may not disable, for instance, or a function in a default."""
    for server in (partial.source, partial.target):
        execute(
            server,
            partial.name,
            """
            CREATE FUNCTION tell(text) RETURNS bool LANGUAGE sql AS 'INSERT INTO public.log VALUES ($1) RETURNING true';
            ALTER TABLE customer ADD CHECK (tell(name)) NOT VALID;
            ALTER TABLE free ADD CHECK (tell(x::text));
        """,
        )
    with untouched(live(partial)), pytest.raises(MigrationError, match=r"not selected were written to: public\.log"):
        refill_target(partial, patterns=Patterns(("free",)))


def test_clients_go_on_using_the_other_tables(partial: Case) -> None:
    with partial.target.connect(partial.name) as client:
        client.execute("BEGIN; INSERT INTO log VALUES ('a client''s')")
        refill_target(partial, patterns=Patterns(("free",)))
        client.execute("COMMIT")
    assert partial.ask("SELECT note FROM log") == "a client's"
    partial.equal_answers("SELECT string_agg(free::text, ' ' ORDER BY id) FROM free")


def test_a_client_that_holds_a_table(partial: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(locks, "PATIENCE", "100ms")
    with partial.target.connect(partial.name) as client:
        client.execute("BEGIN; SELECT FROM free")
        with pytest.raises(
            MigrationError, match=r"a table that must be locked is in use(.|\n)*session \d+ of postgres"
        ):
            refill_target(partial, patterns=Patterns(("free",)))


@pytest.mark.parametrize("tables", [(), ("watched",)])
def test_a_plain_owner(servers: Servers, tables: tuple[str, ...]) -> None:
    """Also where row security is forced upon the owner. Of a single table, the role need not own any other."""
    script = """
        CREATE TABLE watched (id serial PRIMARY KEY, up int REFERENCES watched, note text);
        CREATE FUNCTION spoil() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN NEW.note = 'spoilt'; RETURN NEW; END$$;
        CREATE TRIGGER t BEFORE INSERT ON watched FOR EACH ROW EXECUTE FUNCTION spoil();
        ALTER TABLE watched DISABLE TRIGGER t;
        INSERT INTO watched (up) VALUES ({0}), (2), (NULL);
        ALTER TABLE watched ENABLE TRIGGER t;
        CREATE POLICY none ON watched USING (false);
        ALTER TABLE watched ENABLE ROW LEVEL SECURITY;
        ALTER TABLE watched FORCE ROW LEVEL SECURITY;
    """
    secret = "CREATE TABLE secret (id int); INSERT INTO secret VALUES (1)"
    with new_case(servers.source(), servers.target(), script.format(2) + secret * bool(tables)) as case:
        role = f"{case.name}_role"
        make_role(case.target, role, "LOGIN CREATEDB" if not tables else "LOGIN")
        case.target_user = role, "secret"
        case.target.create_database(case.name, template="template0", **({} if tables else {"owner": role}))
        execute(case.target, case.name, f"GRANT CREATE ON SCHEMA public TO {role}; SET ROLE {role};" + script.format(1))
        if tables:
            execute(case.target, case.name, f"{secret}; GRANT SELECT ON secret TO {role}")
        refill_target(case, patterns=Patterns(tables))
        arrives(case)
        with pytest.raises(MigrationError, match="Only a superuser"):
            refill_target(case, "disable_triggers", Patterns(tables))
        execute(case.target, case.name, f"DROP OWNED BY {role}")


def test_missing_parents_are_found_before(servers: Servers) -> None:
    """By the server's own comparison: of values of any type, and as the parent's collation has it."""
    made = """
        CREATE TYPE mood AS ENUM ('glad', 'sad');
        CREATE TABLE parent (day date, mood mood, name text COLLATE "C", PRIMARY KEY (day, mood, name));
        CREATE TABLE child (m mood, d date, "n'" char(9),
            CONSTRAINT led FOREIGN KEY (d, m, "n'") REFERENCES parent (day, mood, name));
        INSERT INTO parent VALUES ('2024-02-29', 'glad', 'it''s'), ('2024-02-29', 'sad', '{1,2}');
        INSERT INTO child VALUES ('glad', '2024-02-29', 'it''s'), ('sad', NULL, 'nobody''s');
    """
    with new_case(servers.source(), servers.target(), made) as case:
        make_target(case, made)
        assert missing_parents(case) == []
        case.run(
            "INSERT INTO parent VALUES ('2024-03-01', 'sad', 'x\\y'); INSERT INTO child VALUES"
            " ('sad', '2024-03-01', 'x\\y'), ('sad', '2024-02-29', '{1,2}')"
        )
        (finding,) = missing_parents(case)
        assert (finding.code, finding.object) == ("parent-missing", "fk constraint public.child led")
        # A repair has no selection of the user's.
        assert "for a repair, verify anew" in finding.remedy
        # One row, by its name; what it refers to by no means.
        assert re.search(r"Such rows are #[0-9a-f]{8}\.$", finding.message)


def test_missing_parents_of_a_period(servers: Servers) -> None:
    """From 18 on: a period must lie within those of its parents."""
    made = """
        CREATE TABLE parent (id int4range, valid_at daterange, PRIMARY KEY (id, valid_at WITHOUT OVERLAPS));
        CREATE TABLE child (id int4range, valid_at daterange,
            CONSTRAINT led FOREIGN KEY (id, PERIOD valid_at) REFERENCES parent (id, PERIOD valid_at));
        INSERT INTO parent VALUES ('[1,1]', '[2020-01-01,2021-01-01)');
    """
    with new_case(servers.source(), servers.target(), made) as case:
        make_target(case, made)
        case.run("INSERT INTO child VALUES ('[1,1]', '[2020-02-01,2020-03-01)')")
        assert missing_parents(case) == []
        case.run(
            "INSERT INTO parent VALUES ('[1,1]', '[2021-01-01,2022-01-01)');"
            "INSERT INTO child VALUES ('[1,1]', '[2020-12-01,2021-02-01)')"
        )
        (finding,) = missing_parents(case)
        assert (finding.code, finding.object) == ("parent-missing", "fk constraint public.child led")


def test_orphans_by_period(servers: Servers) -> None:
    """With its triggers disabled, nobody else checks such a key."""
    made = """
        CREATE TABLE parent (id int4range, valid_at daterange, PRIMARY KEY (id, valid_at WITHOUT OVERLAPS));
        CREATE TABLE child (id int4range, valid_at daterange,
            CONSTRAINT led FOREIGN KEY (id, PERIOD valid_at) REFERENCES parent (id, PERIOD valid_at));
        INSERT INTO parent VALUES ('[1,1]', '[2020-01-01,2021-01-01)');
    """
    with new_case(servers.source(), servers.target(), made) as case:
        make_target(case, made)
        case.run(
            "SET session_replication_role = replica; INSERT INTO child VALUES ('[1,1]', '[2020-12-01,2021-02-01)')"
        )
        with pytest.raises(MigrationError, match=r"fk constraint public.child led: 1 rows refer to a row of"):
            refill_target(case, "disable_triggers")


def missing_parents(case: Case) -> list[Finding]:
    source, target = endpoint("source", case.source, case.name), endpoint("target", case.target, case.name)
    with connect(source) as here, connect(target) as there:
        order, _ = answer(there, ask_load_order(Selection(frozenset({("public", "child")}))))
        return check_parents(here, there, order)


@pytest.mark.parametrize(
    ("plain", "asked", "errors"),
    [
        (False, {"patterns": Patterns(("order",)), "load_mode": "swap"}, {"selection-swap"}),
        (False, {"patterns": Patterns(exclude=("order",)), "fk_strategy": "post_data"}, {"selection-post-data"}),
        (False, {"fk_strategy": "dependency_order", "load_mode": "swap"}, {"strategy-swap"}),
        (False, {"patterns": Patterns(("ordre",))}, {"selection"}),
        (False, {"patterns": Patterns(exclude=("*.*",)), "load_mode": "swap"}, {"selection", "selection-swap"}),
        (False, {"fk_strategy": "disable_triggers"}, set()),
        (True, {"fk_strategy": "disable_triggers"}, {"triggers-superuser", "not-owner", "target-not-readable"}),
        (True, {"fk_strategy": "dependency_order"}, {"not-owner", "target-not-readable"}),
        (True, {"patterns": Patterns(("free",))}, set()),
    ],
)
def test_what_preflight_refuses(partial: Case, plain: bool, asked: dict[str, t.Any], errors: set[str]) -> None:
    """The plain user owns one table, and may read the others."""
    user = f"{partial.name}_role"
    make_role(partial.target, user, "LOGIN")
    execute(
        partial.target,
        partial.name,
        f'ALTER TABLE free OWNER TO {user}; GRANT SELECT ON "order", customer, log, "Über"."Line.s", loose,'
        f' order_id_seq TO {user}; GRANT USAGE ON SCHEMA "Über" TO {user}',
    )
    source = endpoint("source", partial.source, partial.name)
    target = endpoint("target", partial.target, partial.name, (user, "secret") if plain else None)
    settings = {name: value for name, value in asked.items() if name != "load_mode"}
    load_mode = asked.get("load_mode", "auto")
    found = examine(Request(source, target, load_mode=load_mode, settings=Settings(**settings)))
    assert {finding.code for finding in found.findings if finding.severity == "error"} == errors, found.findings
    execute(partial.target, partial.name, f"DROP OWNED BY {user}")
