# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Single changes in a copy of the corpus' database "torture", and how the verdict must name each."""

from __future__ import annotations

import typing as t

from tests.mutations.catalogue import Mutation, mutation

#: What is added to the source before it is copied: a table for each type, so that each value is named on its own.
ADDITIONS: t.Final = """
    CREATE SCHEMA single;
    DO $$ DECLARE c name; BEGIN
        FOR c IN SELECT attname FROM pg_attribute
                 WHERE attrelid = 'types.all_types'::regclass AND attnum > 1 AND NOT attisdropped LOOP
            EXECUTE format('CREATE TABLE single.%1$I AS SELECT id, %1$I FROM types.all_types', c);
            EXECUTE format('ALTER TABLE single.%I ADD PRIMARY KEY (id)', c);
        END LOOP;
    END $$;
    CREATE TABLE single.blanks (id int PRIMARY KEY, blanks bpchar); INSERT INTO single.blanks VALUES (1, 'a');
    CREATE ACCESS METHOD heap_too TYPE TABLE HANDLER heap_tableam_handler;
    TRUNCATE trg.ddl_log RESTART IDENTITY;
"""

#: What must be undone after any change: the database's own event trigger keeps a log.
TIDY: t.Final = "TRUNCATE trg.ddl_log RESTART IDENTITY"


def _value(column: str, kind: str, value: str) -> Mutation:
    """Change one value of one type: ``value`` is what follows SET column =."""
    return mutation(f"value: {kind}", f"UPDATE single.{column} SET {column} = {value}", f"table single.{column}")


VALUES: t.Final = (
    _value("n", "numeric scale", "1.1 WHERE id = 5"),
    _value("n_big", "numeric zero's scale", "0.0 WHERE id = 4"),
    _value("n52", "numeric 0 to NULL", "NULL WHERE id = 4"),
    _value("r8", "float8 0 to -0", "'-0' WHERE id = 4"),
    _value("r4", "float4 last bit", "'0.33333337' WHERE id = 103"),
    _value("m", "money by a cent", "'12.35' WHERE id = 5"),
    _value("i2", "smallint NULL to 0", "0 WHERE id = 1"),
    _value("i8", "bigint by one", "i8 - 1 WHERE id = 3"),
    _value("b", "boolean NULL to false", "false WHERE id = 1"),
    _value("c5", "bpchar case", "upper(c5) WHERE id = 2"),
    _value("vc", "varchar NULL to empty", "'' WHERE id = 1"),
    _value("t", "text empty to NULL", "NULL WHERE id = 3"),
    _value("nm", "name case", "'PG' WHERE id = 4"),
    _value("qc", "internal char", "'b' WHERE id = 5"),
    _value("by", "bytea byte", r"'\xdeadbeee' WHERE id = 5"),
    _value("d", "date infinity's sign", "'-infinity' WHERE id = 4"),
    _value("tm", "time 24:00 to 00:00", "'00:00:00' WHERE id = 2"),
    _value("tm3", "time by a millisecond", "'23:59:59.999' WHERE id = 2"),
    _value("tz", "timetz zone of the same instant", "'02:02:03-07' WHERE id = 5"),
    _value("ts", "timestamp by a microsecond", "ts - interval '1 microsecond' WHERE id = 4"),
    _value("tsz", "timestamptz by a microsecond", "tsz - interval '1 microsecond' WHERE id = 4"),
    _value("ts0", "timestamp to NULL", "NULL WHERE id = 2"),
    _value("iv", "interval month to 30 days", "'13 mons 33 days 04:05:06.789' WHERE id = 5"),
    _value("ivy", "interval by a month", "'5 years 4 mons' WHERE id = 2"),
    _value("ip", "inet mask", "'192.168.1.5/25' WHERE id = 4"),
    _value("cd", "cidr mask", "'10.1.2.0/25' WHERE id = 5"),
    _value("mac", "macaddr", "'08:00:2b:01:02:04' WHERE id = 2"),
    _value("mac8", "macaddr8", "'08:00:2b:01:02:03:04:06' WHERE id = 2"),
    _value("bt", "bit", "B'100000000' WHERE id = 5"),
    _value("vb", "varbit length", "B'01010' WHERE id = 4"),
    _value("u", "uuid digit", "'00000000-0000-0000-0000-000000000001' WHERE id = 2"),
    _value("x", "xml quotes", "'<a b=''c''>ü&amp;<![CDATA[<x>]]></a>' WHERE id = 2"),
    _value("j", "json whitespace", """'{"a":1, "a":2, "b":[1,2.50,1e400] }' WHERE id = 2"""),
    _value("jb", "jsonb number's scale", "'[1.0,1.0,1E5,0.1000]' WHERE id = 5"),
    _value("jp", "jsonpath", "'$.a[*] ? (@.b > 2)' WHERE id = 2"),
    _value("tv", "tsvector position", "'a:1A,3 b' WHERE id = 4"),
    _value("tq", "tsquery weight", "'''fat'' & ''rat'':A' WHERE id = 2"),
    _value("lsn", "pg_lsn", "'FFFFFFFF/FFFFFFFE' WHERE id = 2"),
    _value("snap", "pg_snapshot", "'10:20:10,14' WHERE id = 2"),
    _value("xid", "xid8", "'18446744073709551614' WHERE id = 2"),
    _value("o", "oid", "4294967294 WHERE id = 2"),
    _value("rc", "regclass", "'types.strings' WHERE id = 2"),
    _value("rp", "regprocedure", "'public.f_immut(int)' WHERE id = 2"),
    _value("rt", "regtype", "'types.pair' WHERE id = 2"),
    _value("rr", "regrole", "'tort_reader' WHERE id = 2"),
    _value("rn", "regnamespace", "'types' WHERE id = 2"),
    _value("rcol", "regcollation", """'types."Sort Numeric"' WHERE id = 2"""),
    _value("rcfg", "regconfig", "'pg_catalog.english' WHERE id = 2"),
    _value("pt", "point -0 to 0", "'(0,0)' WHERE id = 3"),
    _value("ln", "line", "'{1,-1,1}' WHERE id = 2"),
    _value("ls", "lseg", "'[(1,2),(3,5)]' WHERE id = 2"),
    _value("bx", "box", "'(3,4),(1,1)' WHERE id = 2"),
    _value("pa", "path open to closed", "'((0,0),(1,1),(2,0))' WHERE id = 2"),
    _value("po", "polygon's order", "'((0,0),(2,0),(1,1))' WHERE id = 2"),
    _value("ci", "circle's radius", "'<(0,0),1>' WHERE id = 4"),
    _value("ir", "range empty to NULL", "NULL WHERE id = 2"),
    _value("i8r", "range infinite to empty", "'empty' WHERE id = 2"),
    _value("nr", "numeric range's scale", "'[1,1.0]' WHERE id = 4"),
    _value("dr", "range infinity's inclusivity", "'[-infinity,infinity)' WHERE id = 2"),
    _value("tr", "range lower bound's inclusivity", """'("2020-01-01 00:00:00",)' WHERE id = 2"""),
    _value(
        "tzr",
        "range upper bound's inclusivity",
        """'["2020-01-01 00:00:00.123456+00","2020-01-01 """ """00:00:00.123457+00")' WHERE id = 4""",
    ),
    _value("fr", "user's range bound", "'[-Infinity,Infinity)' WHERE id = 2"),
    _value("xr", "text range bound", r"""'["a,b","c\d")' WHERE id = 2"""),
    _value("imr", "multirange", "'{[1,3),[5,8)}' WHERE id = 2"),
    _value("dmr", "multirange empty to NULL", "NULL WHERE id = 2"),
    _value("fmr", "user's multirange bound", "'{[1.5,2.5),(3,)}' WHERE id = 2"),
    _value("e", "enum value", "'' WHERE id = 5"),
    _value("ea", "enum array element to NULL", "array_replace(ea, 'NULL', NULL) WHERE id = 2"),
    _value("sp", "domain over domain", "998 WHERE id = 2"),
    _value("nt", "text domain case", "'X' WHERE id = 1"),
    _value("em", "citext domain case", "'mixed@case.org' WHERE id = 2"),
    _value("il", "array NULL to 0", "'{1,0,3}' WHERE id = 2"),
    _value("pr", "composite field", "ROW(NULL, NULL) WHERE id = 2"),
    _value(
        "prs",
        "composite of NULLs to NULL in an array",
        """ARRAY[ROW(1,'a,"b"'), NULL, """ "NULL]::types.pair[] WHERE id = 2",
    ),
    _value(
        "ne",
        "nested composite field",
        r"ROW(ROW(1, E'x\\y'), ARRAY[ROW(2, 'z')]::types.pair[], 'a " "b', 6) WHERE id = 2",
    ),
    _value("gp", "composite domain field", "ROW(12, '') WHERE id = 2"),
    _value("hs", "hstore empty to NULL", r"""'"a b"=>"c\"d", k=>NULL, ""=>NULL'::ext.hstore WHERE id = 2"""),
    _value("ct", "citext case", "'citext' WHERE id = 2"),
    _value("lt", "ltree", "'Top.Science' WHERE id = 2"),
    _value("pia", "array order", "'{2,1}' WHERE id = 2"),
    _value("ia", "array lower bound", "'[0:2]={1,2,NULL}' WHERE id = 5"),
    _value("ta", "array NULL word to NULL", "array_replace(ta, 'NULL', NULL) WHERE id = 2"),
    _value("ta2", "array dimensions", """'{a,b,NULL,"NULL"}' WHERE id = 2"""),
    _value("ba", "bytea array byte", r"ARRAY['\x00ff5c0b'::bytea, '\x'] WHERE id = 2"),
    _value("ja", "jsonb array", """ARRAY['{"a":null}','null','"X"']::jsonb[] WHERE id = 2"""),
    _value("ra", "range array order", """'{"[1,5)",empty}' WHERE id = 2"""),
    _value("ua", "array to NULL", "NULL WHERE id = 2"),
    _value(
        "tsa",
        "timestamptz array by a microsecond",
        """'{infinity,-infinity,"2020-01-01 """ """00:00:00.000002+00"}' WHERE id = 2""",
    ),
    _value("late", "domain with a check that is not valid", "NULL WHERE id = 2"),
    _value("nd", "text non-deterministic collation case", "'strasse' WHERE id = 3"),
)

OBJECTS: t.Final = (
    mutation("row deleted", "DELETE FROM types.strings WHERE id = 5", "table types.strings"),
    mutation("row inserted", "INSERT INTO public.nulls_vs_empty VALUES (9, 'x')", "table public.nulls_vs_empty"),
    mutation("row doubled in a table without key", "INSERT INTO public.no_pk VALUES (1, 'x')", "table public.no_pk"),
    mutation(
        "one duplicate row for another",
        "UPDATE public.repl_full SET b = 'y' WHERE ctid = '(0,1)'",
        "table public.repl_full",
    ),
    mutation("two rows exchange a value", "UPDATE idx.i SET a = 'Text ' || 3 - id WHERE id IN (1, 2)", "table idx.i"),
    mutation(
        "key and value exchanged between rows",
        "UPDATE prog.src SET grp = CASE id WHEN 1 THEN 'g2' ELSE 'g1' END WHERE id IN (1, 2)",
        "table prog.src",
    ),
    mutation("row without columns", "INSERT INTO public.zero_cols DEFAULT VALUES", "table public.zero_cols"),
    mutation("table emptied", "TRUNCATE types.big_row", "table types.big_row"),
    mutation(
        "row of an unlogged table",
        "UPDATE public.unlogged_cache SET v = NULL WHERE k = 'k1'",
        "table public.unlogged_cache",
    ),
    mutation(
        "varchar trailing blank",
        "UPDATE public.nulls_vs_empty SET b = 'null ' WHERE id = 4",
        "table public.nulls_vs_empty",
    ),
    mutation("bpchar trailing blank", "UPDATE single.blanks SET blanks = 'a '", "table single.blanks"),
    mutation(
        "byte far in a TOASTed value",
        "UPDATE types.toasty SET ext_storage = set_byte(ext_storage, 1000000, 1) WHERE id = 1",
        "table types.toasty",
    ),
    mutation("last of 1500 columns", "UPDATE types.wide_1500 SET c1499 = 1498 WHERE id = 1", "table types.wide_1500"),
    mutation(
        "unicode normalization",
        "UPDATE types.strings SET v = normalize(v, NFC) WHERE kind = 'nfd/nfc'",
        "table types.strings",
    ),
    mutation(
        "row moved to another partition",
        "UPDATE part.r SET at = '2024-06-06' WHERE id = (SELECT min(id) FROM part.r_2026)",
        "partitioned table part.r",
        "table part.r_2024",
        "table part.r_2026",
    ),
    mutation(
        "row changed in a sub-partition",
        "UPDATE part_store.r_2025_eu SET amount = amount + 1 WHERE id = (SELECT min(id) FROM part_store.r_2025_eu)",
        "partitioned table part.r",
        "partitioned table part.r_2025",
        "table part_store.r_2025_eu",
    ),
    mutation(
        "row changed in a hash partition",
        "UPDATE part.h_2 SET v = -1 WHERE k = (SELECT min(k) FROM part.h_2)",
        "partitioned table part.h",
        "table part.h_2",
    ),
    mutation(
        "row moved to an inheritance child",
        "DELETE FROM ONLY inh.city WHERE name = 'Springfield'; INSERT INTO inh.late_child (name, pop) "
        "VALUES ('Springfield', 1)",
        "table inh.city",
        "table inh.late_child",
    ),
    mutation(
        "generated column computed otherwise",
        "CREATE OR REPLACE FUNCTION public.f_immut(i int) RETURNS text LANGUAGE sql IMMUTABLE STRICT "
        "AS $$ SELECT 'F:' || (i * 2) $$; UPDATE public.gen_cols SET a = a WHERE id = 1; CREATE OR "
        "REPLACE FUNCTION public.f_immut(i int) RETURNS text LANGUAGE sql IMMUTABLE STRICT AS $$ "
        "SELECT 'f:' || (i * 2) $$",
        "table public.gen_cols",
    ),
    mutation("row of a composite of a table", "UPDATE prog.comp_col SET rs = NULL", "table prog.comp_col"),
    mutation("large object byte", "SELECT lo_put(60004, 1, 'L')", "large object 60004"),
    mutation("large object size", "SELECT lo_truncate(lo_open(60003, x'20000'::int), 3000000)", "large object 60003"),
    mutation("large object comment", "COMMENT ON LARGE OBJECT 60001 IS NULL", "large object 60001"),
    mutation("large object missing", "SELECT lo_unlink(60002)", "large object 60002"),
    mutation("large object added", "SELECT lo_create(60099)", "large object 60099"),
    mutation("sequence position", "SELECT setval('public.shared_seq', 4)", "sequence public.shared_seq"),
    mutation(
        "sequence is_called",
        "SELECT setval('public.seq_not_called_setval', 77, true)",
        "sequence public.seq_not_called_setval",
    ),
    mutation(
        "sequence increment", "ALTER SEQUENCE public.seq_called_once INCREMENT 2", "sequence public.seq_called_once"
    ),
    mutation("sequence cycle", "ALTER SEQUENCE public.seq_odd NO CYCLE", "sequence public.seq_odd"),
    mutation(
        "sequence owned by", "ALTER SEQUENCE public.owned_seq OWNED BY NONE", "sequence owned by public.owned_seq"
    ),
    mutation("sequence maximum", "ALTER SEQUENCE public.seq_at_max MAXVALUE 11", "sequence public.seq_at_max"),
    mutation("sequence cache", "ALTER SEQUENCE public.seq_never_called CACHE 5", "sequence public.seq_never_called"),
    mutation("sequence type", "ALTER SEQUENCE public.seq_int AS bigint", "sequence public.seq_int"),
    mutation("sequence dropped", "DROP SEQUENCE public.seq_big", "sequence public.seq_big"),
    mutation("sequence added", "CREATE SEQUENCE public.seq_new", "sequence public.seq_new"),
    mutation(
        "identity position", "ALTER TABLE public.id_always ALTER id RESTART WITH 1", "sequence public.id_always_id_seq"
    ),
    mutation(
        "identity increment",
        "ALTER TABLE public.empty_table ALTER id SET INCREMENT 7",
        "sequence public.empty_table_id_seq",
    ),
    mutation(
        "identity kind",
        "ALTER TABLE public.id_default ALTER id SET GENERATED ALWAYS",
        "sequence public.id_default_id_seq",
    ),
    mutation(
        "identity dropped", "ALTER TABLE public.gen_first ALTER id DROP IDENTITY", "sequence public.gen_first_id_seq"
    ),
    mutation(
        "partition detached",
        "ALTER TABLE part.r DETACH PARTITION part.r_2026",
        "index attach part.r_2026_pkey",
        "index attach part.r_2026_region_idx",
        "partitioned table part.r",
        "table attach part.r_2026",
    ),
    mutation(
        "partition bound",
        "ALTER TABLE part.e DETACH PARTITION part.e_2; ALTER TABLE part.e ATTACH PARTITION part.e_2 "
        "FOR VALUES FROM ('2025-01-01', 0) TO ('2035-01-01', 0)",
        "table attach part.e_2",
    ),
    mutation(
        "partition added",
        "CREATE TABLE part.no_partitions_1 PARTITION OF part.no_partitions FOR VALUES FROM (1) TO (2)",
        "table attach part.no_partitions_1",
        "table part.no_partitions_1",
    ),
    mutation(
        "inheritance removed",
        "ALTER TABLE inh.megacapital NO INHERIT inh.audited",
        "default inh.megacapital at",
        "default inh.megacapital by_whom",
        "table inh.megacapital",
    ),
    mutation(
        "table dropped",
        "DROP TABLE public.owned_elsewhere",
        "sequence owned by public.owned_seq",
        "sequence public.owned_seq",
        "table public.owned_elsewhere",
    ),
    mutation("table without rows dropped", 'DROP TABLE "My Schema"."--comment"', "table My Schema.--comment"),
    mutation("table added", "CREATE TABLE public.added (a int)", "table public.added"),
    mutation(
        "table renamed",
        "ALTER TABLE types.dropped_cols RENAME TO kept_cols",
        "table types.dropped_cols",
        "table types.kept_cols",
    ),
    mutation(
        "table moved to another schema",
        "ALTER TABLE types.deep_json SET SCHEMA idx",
        "constraint idx.deep_json deep_json_pkey",
        "constraint types.deep_json deep_json_pkey",
        "table idx.deep_json",
        "table types.deep_json",
    ),
    mutation("column added", "ALTER TABLE trg.replica_only ADD added int", "table trg.replica_only"),
    mutation("column dropped", "ALTER TABLE trg.disabled_trg DROP v", "table trg.disabled_trg"),
    mutation("column renamed", "ALTER TABLE trg.always RENAME v TO w", "table trg.always"),
    mutation("column type", "ALTER TABLE trg.ctrig ALTER v TYPE bigint", "table trg.ctrig"),
    mutation(
        "column type modifier",
        "ALTER TABLE public.nulls_vs_empty ALTER b TYPE varchar(6)",
        "table public.nulls_vs_empty",
    ),
    mutation("column collation", 'ALTER TABLE types.same_name ALTER b TYPE text COLLATE "C"', "table types.same_name"),
    mutation("column default", "ALTER TABLE public.defaults ALTER b SET DEFAULT 7", "table public.defaults"),
    mutation("column default dropped", "ALTER TABLE types.typed_table ALTER b DROP DEFAULT", "table types.typed_table"),
    mutation("column not null", "ALTER TABLE public.repl_index ALTER a DROP NOT NULL", "table public.repl_index"),
    mutation(
        "column generated expression", "ALTER TABLE public.gen_cols ALTER jk DROP EXPRESSION", "table public.gen_cols"
    ),
    mutation("column storage", "ALTER TABLE types.toasty ALTER ext_storage SET STORAGE EXTENDED", "table types.toasty"),
    mutation("column compression", "ALTER TABLE types.toasty ALTER lz4 SET COMPRESSION pglz", "table types.toasty"),
    mutation("column statistics target", "ALTER TABLE idx.i ALTER a SET STATISTICS 778", "table idx.i"),
    mutation("column n_distinct", "ALTER TABLE idx.i ALTER b RESET (n_distinct)", "table idx.i"),
    mutation(
        "unlogged table logged",
        "ALTER TABLE public.unlogged_cache SET LOGGED",
        "sequence public.unlogged_cache_n_seq",
        "table public.unlogged_cache",
    ),
    mutation("table fillfactor", "ALTER TABLE idx.i RESET (fillfactor)", "table idx.i"),
    mutation("table TOAST option", "ALTER TABLE idx.i RESET (toast.autovacuum_enabled)", "table idx.i"),
    mutation("table storage parameter", "ALTER TABLE prog.src SET (autovacuum_enabled = false)", "table prog.src"),
    mutation("typed table", "ALTER TABLE types.typed_table NOT OF", "table types.typed_table"),
    mutation(
        "replica identity full", "ALTER TABLE public.repl_full REPLICA IDENTITY DEFAULT", "table public.repl_full"
    ),
    mutation(
        "replica identity index",
        "ALTER TABLE public.repl_index REPLICA IDENTITY NOTHING",
        "index public.repl_index_b",
        "table public.repl_index",
    ),
    mutation(
        "primary key dropped",
        "ALTER TABLE types.all_bytes DROP CONSTRAINT all_bytes_pkey",
        "constraint types.all_bytes all_bytes_pkey",
    ),
    mutation(
        "primary key renamed",
        "ALTER TABLE types.deep_json RENAME CONSTRAINT deep_json_pkey TO other_pkey",
        "constraint types.deep_json deep_json_pkey",
        "constraint types.deep_json other_pkey",
    ),
    mutation(
        "unique constraint dropped",
        "ALTER TABLE public.gen_cols DROP CONSTRAINT gen_cols_twice_key",
        "constraint public.gen_cols gen_cols_twice_key",
    ),
    mutation(
        "unique constraint's columns",
        "ALTER TABLE fk.uq_deferrable DROP CONSTRAINT uq_deferrable_nd_key; ALTER TABLE "
        "fk.uq_deferrable ADD CONSTRAINT uq_deferrable_nd_key UNIQUE (nd)",
        "constraint fk.uq_deferrable uq_deferrable_nd_key",
    ),
    mutation(
        "constraint not deferrable",
        "ALTER TABLE fk.uq_deferrable DROP CONSTRAINT uq_deferrable_pos_key; ALTER TABLE "
        "fk.uq_deferrable ADD CONSTRAINT uq_deferrable_pos_key UNIQUE (pos)",
        "constraint fk.uq_deferrable uq_deferrable_pos_key",
    ),
    mutation(
        "check constraint dropped",
        "ALTER TABLE prog.check_uses_fn DROP CONSTRAINT check_uses_fn_w_check",
        "table prog.check_uses_fn",
    ),
    mutation(
        "check constraint's definition",
        'ALTER TABLE "select"."table" DROP CONSTRAINT "primary"; ALTER TABLE "select"."table" ADD '
        'CONSTRAINT "primary" CHECK ("group" >= 0)',
        "table select.table",
    ),
    mutation(
        "check constraint NOT VALID",
        'ALTER TABLE "схема"."таблица" DROP CONSTRAINT "проверка"; ALTER TABLE "схема"."таблица" ADD '
        'CONSTRAINT "проверка" CHECK ("ключ" > 0) NOT VALID',
        "check constraint схема.таблица проверка",
        "table схема.таблица",
    ),
    mutation("check constraint's inheritance", "ALTER TABLE inh.city DROP CONSTRAINT only_parent", "table inh.city"),
    mutation(
        "exclusion constraint dropped", "ALTER TABLE fk.excl DROP CONSTRAINT excl_part", "constraint fk.excl excl_part"
    ),
    mutation(
        "foreign key dropped",
        "ALTER TABLE fk.disabled_fk_c DROP CONSTRAINT disabled_fk_c_p_fkey",
        "fk constraint fk.disabled_fk_c disabled_fk_c_p_fkey",
    ),
    mutation(
        "foreign key ON DELETE",
        "ALTER TABLE fk.tree DROP CONSTRAINT tree_parent_id_fkey; ALTER TABLE fk.tree ADD CONSTRAINT "
        "tree_parent_id_fkey FOREIGN KEY (parent_id) REFERENCES fk.tree",
        "fk constraint fk.tree tree_parent_id_fkey",
    ),
    mutation(
        "foreign key deferrable",
        "ALTER TABLE fk.a ALTER CONSTRAINT a_b DEFERRABLE INITIALLY IMMEDIATE",
        "fk constraint fk.a a_b",
    ),
    mutation(
        "foreign key NOT VALID",
        "ALTER TABLE many.t1 DROP CONSTRAINT t1_parent_fkey; ALTER TABLE many.t1 ADD CONSTRAINT "
        "t1_parent_fkey FOREIGN KEY (parent) REFERENCES many.t2 NOT VALID",
        "fk constraint many.t1 t1_parent_fkey",
    ),
    mutation(
        "foreign key validated",
        "UPDATE pg_catalog.pg_constraint SET convalidated = true WHERE conname = 'nv_fk'",
        "fk constraint fk.nv_child nv_fk",
    ),
    mutation(
        "foreign key match",
        "ALTER TABLE fk.multi_c DROP CONSTRAINT multi_c_fx_fy_fz_fkey; ALTER TABLE fk.multi_c ADD "
        "CONSTRAINT multi_c_fx_fy_fz_fkey FOREIGN KEY (fx, fy, fz) REFERENCES fk.multi_p ON UPDATE "
        "CASCADE",
        "fk constraint fk.multi_c multi_c_fx_fy_fz_fkey",
    ),
    mutation(
        "foreign key of a partitioned table",
        "ALTER TABLE part.part_child DROP CONSTRAINT part_child_hk_fkey",
        "fk constraint part.part_child part_child_hk_fkey",
    ),
    mutation(
        "foreign key's target",
        "ALTER TABLE fk.c2 DROP CONSTRAINT c2_nxt_fkey; ALTER TABLE fk.c2 ADD CONSTRAINT c2_nxt_fkey "
        "FOREIGN KEY (nxt) REFERENCES fk.c3 ON DELETE CASCADE",
        "fk constraint fk.c2 c2_nxt_fkey",
    ),
    mutation("index dropped", "DROP INDEX idx.i_hash", "index idx.i_hash"),
    mutation("index added", "CREATE INDEX added ON idx.i (d)", "index idx.added"),
    mutation(
        "index's order",
        "DROP INDEX idx.i_expr; CREATE INDEX i_expr ON idx.i (lower(a), (j->>'k') DESC)",
        "comment idx.INDEX i_expr",
        "index idx.i_expr",
    ),
    mutation(
        "index's predicate",
        "DROP INDEX idx.i_partial; CREATE INDEX i_partial ON idx.i (b) WHERE id % 2 = 1",
        "index idx.i_partial",
    ),
    mutation(
        "index's included columns",
        "DROP INDEX idx.i_incl; CREATE INDEX i_incl ON idx.i (d) INCLUDE (a)",
        "index idx.i_incl",
    ),
    mutation(
        "index unique",
        "DROP INDEX idx.i_unique_expr; CREATE INDEX i_unique_expr ON idx.i ((id + 1))",
        "index idx.i_unique_expr",
    ),
    mutation(
        "index's operator class", "DROP INDEX idx.i_gin; CREATE INDEX i_gin ON idx.i USING gin (arr)", "index idx.i_gin"
    ),
    mutation(
        "index's collation",
        'DROP INDEX idx.i_coll; CREATE INDEX i_coll ON idx.i (a COLLATE "POSIX" text_pattern_ops, c)',
        "index idx.i_coll",
    ),
    mutation(
        "index invalid",
        "UPDATE pg_catalog.pg_index SET indisvalid = false WHERE indexrelid = 'idx.i_gist_p'::regclass",
        "index idx.i_gist_p",
    ),
    mutation(
        "index not ready",
        """UPDATE pg_catalog.pg_index SET indisready = false WHERE indexrelid = 'idx."I Mixed"'::regclass""",
        "index idx.I Mixed",
    ),
    mutation("index option", "ALTER INDEX idx.i_brin SET (pages_per_range = 8)", "index idx.i_brin"),
    mutation("index fillfactor", "ALTER INDEX idx.i_fn SET (fillfactor = 50)", "index idx.i_fn"),
    mutation("index clustered", "ALTER TABLE idx.i SET WITHOUT CLUSTER", "index idx.i_incl"),
    mutation("index statistics target", "ALTER INDEX idx.i_expr ALTER COLUMN 1 SET STATISTICS 501", "index idx.i_expr"),
    mutation(
        "partitioned index",
        "DROP INDEX part.r_region",
        "index attach part.r_2024_region_idx",
        "index attach part.r_2025_region_idx",
        "index attach part.r_2025_rest_0_region_idx",
        "index attach part.r_2025_rest_1_region_idx",
        "index attach part.r_2025_rest_2_region_idx",
        "index attach part.r_2025_rest_region_idx",
        "index attach part.r_2026_region_idx",
        "index attach part.r_default_region_idx",
        "index attach part_store.r_2025_eu_region_idx",
        "index part.r_2024_region_idx",
        "index part.r_2025_region_idx",
        "index part.r_2025_rest_0_region_idx",
        "index part.r_2025_rest_1_region_idx",
        "index part.r_2025_rest_2_region_idx",
        "index part.r_2025_rest_region_idx",
        "index part.r_2026_region_idx",
        "index part.r_default_region_idx",
        "index part.r_region",
        "index part_store.r_2025_eu_region_idx",
    ),
    mutation(
        "unique index nulls", "DROP INDEX prog.src_rev; CREATE INDEX src_rev ON prog.src (n)", "index prog.src_rev"
    ),
    mutation(
        "view's definition",
        "CREATE OR REPLACE VIEW trg.upd_view AS SELECT id, v FROM trg.t WHERE id > 0",
        "view trg.upd_view",
    ),
    mutation("view dropped", "DROP VIEW prog.v_cols", "view prog.v_cols"),
    mutation("view added", "CREATE VIEW prog.v_new AS SELECT 1 AS one", "view prog.v_new"),
    mutation("view security_barrier", "ALTER VIEW prog.v2 RESET (security_barrier)", "view prog.v2"),
    mutation("view security_invoker", "ALTER VIEW prog.v3 SET (security_invoker = false)", "view prog.v3"),
    mutation("view check option", "ALTER VIEW prog.v1 SET (check_option = local)", "view prog.v1"),
    mutation("view column's default", "ALTER VIEW prog.v_default ALTER v DROP DEFAULT", "default prog.v_default v"),
    mutation("view column's name", "ALTER VIEW prog.v_rec RENAME COLUMN n TO m", "view prog.v_rec"),
    mutation(
        "materialized view stale",
        "INSERT INTO prog.src VALUES (999, 'g9', 999); REFRESH MATERIALIZED VIEW prog.mv1; DELETE "
        "FROM prog.src WHERE id = 999",
        "materialized view prog.mv1",
    ),
    mutation(
        "materialized view unpopulated",
        "REFRESH MATERIALIZED VIEW prog.a_before_its_source WITH NO DATA",
        "materialized view prog.a_before_its_source",
    ),
    mutation(
        "materialized view populated", "REFRESH MATERIALIZED VIEW prog.mv_nodata", "materialized view prog.mv_nodata"
    ),
    mutation("materialized view's index", "DROP INDEX prog.mv1_grp", "index prog.mv1_grp"),
    mutation("materialized view dropped", "DROP MATERIALIZED VIEW prog.mv_nodata", "materialized view prog.mv_nodata"),
    mutation(
        "function's body",
        "CREATE OR REPLACE FUNCTION prog.add1(int) RETURNS int LANGUAGE sql IMMUTABLE PARALLEL SAFE AS 'SELECT 1 + $1'",
        "function prog.add1(integer)",
    ),
    mutation(
        "function volatility",
        "ALTER FUNCTION prog.pair_lt(types.pair, types.pair) STABLE",
        "function prog.pair_lt(types.pair, types.pair)",
    ),
    mutation("function strict", "ALTER FUNCTION prog.broken_sql() STRICT", "function prog.broken_sql()"),
    mutation("function parallel", "ALTER FUNCTION prog.broken_body() PARALLEL SAFE", "function prog.broken_body()"),
    mutation("function cost", "ALTER FUNCTION prog.mv_fn(int) COST 1000", "function prog.mv_fn(integer)"),
    mutation(
        "function leakproof",
        "ALTER FUNCTION prog.uses_table_type(prog.src) LEAKPROOF",
        "function prog.uses_table_type(prog.src)",
    ),
    mutation("function security definer", "ALTER FUNCTION prog.srf() SECURITY INVOKER", "function prog.srf()"),
    mutation("function SET clause", "ALTER FUNCTION trg.log_ddl() SET search_path = public", "function trg.log_ddl()"),
    mutation(
        "function argument's default",
        r"CREATE OR REPLACE FUNCTION prog.dflt(a int DEFAULT 2, b text DEFAULT E'q''\\', INOUT c "
        r"types.pair DEFAULT ROW(1,'x')) LANGUAGE plpgsql AS $outer$ BEGIN c := ROW(a, $$inner $1 \ $$ "
        "|| b); END $outer$",
        "function prog.dflt(integer, text, types.pair)",
    ),
    mutation("function of the same name dropped", "DROP FUNCTION prog.add1(text)", "function prog.add1(text)"),
    mutation("function dropped", "DROP FUNCTION prog.fn_uses_table()", "function prog.fn_uses_table()"),
    mutation(
        "function added", "CREATE FUNCTION prog.added() RETURNS int LANGUAGE sql AS 'SELECT 1'", "function prog.added()"
    ),
    mutation(
        "procedure's body",
        "CREATE OR REPLACE PROCEDURE prog.proc(INOUT a int) LANGUAGE plpgsql AS $$ BEGIN a := a + 2; COMMIT; END $$",
        "procedure prog.proc(integer)",
    ),
    mutation("procedure dropped", "DROP PROCEDURE prog.proc(int)", "procedure prog.proc(integer)"),
    mutation(
        "aggregate's initial value",
        "DROP AGGREGATE prog.prod(numeric); CREATE AGGREGATE prog.prod(numeric) (SFUNC = numeric_mul, "
        "STYPE = numeric, INITCOND = '2', PARALLEL = SAFE, COMBINEFUNC = numeric_mul); COMMENT ON "
        "AGGREGATE prog.prod(numeric) IS 'ag'",
        "aggregate prog.prod(numeric)",
    ),
    mutation("aggregate dropped", "DROP AGGREGATE prog.arr_of(anycompatible)", "aggregate prog.arr_of(anycompatible)"),
    mutation(
        "operator dropped",
        "DROP OPERATOR prog.<<< (types.pair, types.pair)",
        "comment prog.OPERATOR <<< (types.pair, types.pair)",
        "operator prog.<<<",
    ),
    mutation(
        "operator's estimator",
        "ALTER OPERATOR prog.<<< (types.pair, types.pair) SET (RESTRICT = scalarltsel)",
        "operator prog.<<<",
    ),
    mutation(
        "operator class dropped",
        "DROP OPERATOR CLASS prog.int_rev USING btree CASCADE",
        "index prog.src_rev",
        "operator class prog.int_rev",
    ),
    mutation(
        "cast's context",
        "DROP CAST (types.pair AS int); CREATE CAST (types.pair AS int) WITH FUNCTION "
        "prog.pair_to_int(types.pair); COMMENT ON CAST (types.pair AS int) IS 'ca'",
        "cast CAST (types.pair AS integer)",
    ),
    mutation(
        "cast dropped",
        "DROP CAST (types.pair AS int)",
        "cast CAST (types.pair AS integer)",
        "comment CAST (types.pair AS integer)",
    ),
    mutation("conversion dropped", "DROP CONVERSION prog.my_conv", "conversion prog.my_conv"),
    mutation("domain check", "ALTER DOMAIN types.small_posint DROP CONSTRAINT lt_1000", "domain types.small_posint"),
    mutation("domain default", "ALTER DOMAIN types.nn_text SET DEFAULT 'other'", "domain types.nn_text"),
    mutation("domain not null", "ALTER DOMAIN types.nn_text DROP NOT NULL", "domain types.nn_text"),
    mutation(
        "domain check validated",
        "UPDATE pg_catalog.pg_constraint SET convalidated = true WHERE conname = 'late'",
        "check constraint types.late_check late",
        "domain types.late_check",
    ),
    mutation("enum value added", """ALTER TYPE types."Mixed Enum" ADD VALUE 'Perhaps'""", "type types.Mixed Enum"),
    mutation(
        "enum value renamed",
        "ALTER TYPE types.odd_enum RENAME VALUE 'z' TO 'Z'",
        "partitioned table part.l",
        "table part.l_def",
        "type types.odd_enum",
    ),
    mutation(
        "enum order",
        """UPDATE pg_catalog.pg_enum SET enumsortorder = 3 WHERE enumtypid = 'types."Mixed """
        """Enum"'::regtype AND enumlabel = 'Yes'""",
        "type types.Mixed Enum",
    ),
    mutation("enum dropped", 'DROP TYPE types."Mixed Enum"', "type types.Mixed Enum"),
    mutation(
        "composite type's attribute",
        "ALTER TYPE types.nested ADD ATTRIBUTE added int",
        "table single.ne",
        "table types.all_types",
        "type types.nested",
    ),
    mutation(
        "range's subtype function",
        "UPDATE pg_catalog.pg_range SET rngsubdiff = 0 WHERE rngtypid = 'types.textrange'::regtype",
        "type types.textrange",
    ),
    mutation("shell type dropped", "DROP TYPE types.shell_only", "type types.shell_only"),
    mutation(
        "collation renamed",
        'ALTER COLLATION types."Sort Numeric" RENAME TO sort_numeric',
        "collation types.Sort Numeric",
        "collation types.sort_numeric",
        "table idx.i",
    ),
    mutation(
        "text search configuration's mapping",
        "ALTER TEXT SEARCH CONFIGURATION prog.my_cfg DROP MAPPING FOR email",
        "text search configuration prog.my_cfg",
    ),
    mutation(
        "text search dictionary's option",
        "ALTER TEXT SEARCH DICTIONARY prog.my_simple (StopWords = russian)",
        "text search dictionary prog.my_simple",
    ),
    mutation("trigger disabled", "ALTER TABLE trg.t DISABLE TRIGGER t_spoil", "trigger trg.t t_spoil"),
    mutation("trigger dropped", "DROP TRIGGER t_trunc ON trg.t", "trigger trg.t t_trunc"),
    mutation(
        "trigger enabled always", "ALTER TABLE trg.readonly ENABLE ALWAYS TRIGGER ro_trg", "trigger trg.readonly ro_trg"
    ),
    mutation(
        "trigger enabled", "ALTER TABLE trg.disabled_trg ENABLE TRIGGER off_trg", "trigger trg.disabled_trg off_trg"
    ),
    mutation(
        "trigger's condition",
        "DROP TRIGGER t_when ON trg.t; CREATE TRIGGER t_when AFTER UPDATE OF v, amount ON trg.t FOR "
        "EACH ROW EXECUTE FUNCTION trg.note('when')",
        "trigger trg.t t_when",
    ),
    mutation(
        "trigger's argument",
        "DROP TRIGGER t_note ON trg.t; CREATE TRIGGER t_note AFTER INSERT OR DELETE ON trg.t FOR EACH "
        r"STATEMENT EXECUTE FUNCTION trg.note('its an arg', '\x', '')",
        "trigger trg.t t_note",
    ),
    mutation(
        "trigger of a partition enabled", "ALTER TABLE part.r_2024 ENABLE TRIGGER r_upd", "trigger part.r_2024 r_upd"
    ),
    mutation(
        "constraint trigger deferred",
        'DROP TRIGGER "c trig" ON trg.ctrig; CREATE CONSTRAINT TRIGGER "c trig" AFTER INSERT OR '
        "UPDATE ON trg.ctrig DEFERRABLE FOR EACH ROW EXECUTE FUNCTION trg.note('deferred')",
        "trigger trg.ctrig c trig",
    ),
    mutation("rule disabled", "ALTER TABLE trg.ruled2 DISABLE RULE ruled2_dup", "rule trg.ruled2 ruled2_dup"),
    mutation("rule dropped", "DROP RULE ruled_also ON trg.ruled", "rule trg.ruled ruled_also"),
    mutation("rule enabled", "ALTER TABLE trg.rule_off ENABLE RULE rule_off_r", "rule trg.rule_off rule_off_r"),
    mutation(
        "rule's action",
        "CREATE OR REPLACE RULE ruled_ins AS ON INSERT TO trg.ruled DO ALSO NOTHING",
        "rule trg.ruled ruled_ins",
    ),
    mutation("policy dropped", "DROP POLICY upd ON sec.rls", "policy sec.rls upd"),
    mutation(
        "policy's condition",
        "ALTER POLICY own_rows ON sec.rls USING (owner <> current_user)",
        "policy sec.rls own_rows",
    ),
    mutation(
        "policy's roles", 'ALTER POLICY "restrictive one" ON sec.rls TO tort_reader', "policy sec.rls restrictive one"
    ),
    mutation("policy added", "CREATE POLICY added ON sec.rls_deny_all USING (true)", "policy sec.rls_deny_all added"),
    mutation(
        "row security off", "ALTER TABLE sec.rls_deny_all DISABLE ROW LEVEL SECURITY", "row security sec.rls_deny_all"
    ),
    mutation("row security not forced", "ALTER TABLE sec.rls NO FORCE ROW LEVEL SECURITY", "table sec.rls"),
    mutation("event trigger disabled", "ALTER EVENT TRIGGER et_log DISABLE", "event trigger et_log"),
    mutation("event trigger dropped", "DROP EVENT TRIGGER et_block", "event trigger et_block"),
    mutation(
        "event trigger's tags",
        "DROP EVENT TRIGGER et_log; CREATE EVENT TRIGGER et_log ON ddl_command_end WHEN TAG IN "
        "('CREATE TABLE', 'ALTER TABLE') EXECUTE FUNCTION trg.log_ddl(); ALTER EVENT TRIGGER et_log "
        "ENABLE ALWAYS",
        "event trigger et_log",
    ),
    mutation("extension dropped", "DROP EXTENSION pgcrypto", "comment EXTENSION pgcrypto", "extension pgcrypto"),
    mutation("extension moved", "ALTER EXTENSION unaccent SET SCHEMA public", "extension unaccent"),
    mutation(
        "extension version",
        "UPDATE pg_catalog.pg_extension SET extversion = '1.5' WHERE extname = 'pg_trgm'",
        "extension pg_trgm",
    ),
    mutation(
        "extension added", "CREATE EXTENSION tablefunc SCHEMA ext", "comment EXTENSION tablefunc", "extension tablefunc"
    ),
    mutation("extension comment", "COMMENT ON EXTENSION hstore IS 'other'", "comment EXTENSION hstore"),
    mutation(
        "foreign server's option", """ALTER SERVER "far server" OPTIONS (SET host '127.0.0.2')""", "server far server"
    ),
    mutation(
        "user mapping's option",
        """ALTER USER MAPPING FOR tort_owner SERVER "far server" OPTIONS (SET user 'v')""",
        "user mapping USER MAPPING tort_owner SERVER far server",
    ),
    mutation(
        "user mapping dropped",
        'DROP USER MAPPING FOR tort_owner SERVER "far server"',
        "user mapping USER MAPPING tort_owner SERVER far server",
    ),
    mutation(
        "foreign table's option",
        "ALTER FOREIGN TABLE sec.far_table OPTIONS (SET table_name 'u')",
        "foreign table sec.far_table",
    ),
    mutation(
        "foreign table column's option",
        "ALTER FOREIGN TABLE sec.far_table ALTER id OPTIONS (DROP column_name)",
        "foreign table sec.far_table",
    ),
    mutation("foreign table dropped", "DROP FOREIGN TABLE sec.far_table", "foreign table sec.far_table"),
    mutation("publication dropped", 'DROP PUBLICATION "Pub All"', "publication Pub All"),
    mutation("publication's operations", "ALTER PUBLICATION pub_some SET (publish = 'insert')", "publication pub_some"),
    mutation(
        "publication's tables",
        "ALTER PUBLICATION pub_some DROP TABLE public.repl_full",
        "publication table public.pub_some repl_full",
    ),
    mutation(
        "publication's row filter",
        "ALTER PUBLICATION pub_some DROP TABLE fk.tree; ALTER PUBLICATION pub_some ADD TABLE fk.tree WHERE (id > 501)",
        "publication table fk.pub_some tree",
    ),
    mutation(
        "publication's schema",
        "ALTER PUBLICATION pub_schema DROP TABLES IN SCHEMA inh",
        "publication tables in schema inh.pub_schema inh",
    ),
    mutation("statistics object dropped", "DROP STATISTICS idx.i_expr_st", "statistics idx.i_expr_st"),
    mutation("statistics object's target", "ALTER STATISTICS idx.i_dep SET STATISTICS 201", "statistics idx.i_dep"),
    mutation("comment on a table", "COMMENT ON TABLE public.no_pk IS 'other'", "comment public.TABLE no_pk"),
    mutation("comment on a column", "COMMENT ON COLUMN types.all_types.t IS NULL", "comment types.COLUMN all_types.t"),
    mutation(
        "comment on a constraint", "COMMENT ON CONSTRAINT a_b ON fk.a IS 'round'", "comment fk.CONSTRAINT a_b ON a"
    ),
    mutation("comment on an index", "COMMENT ON INDEX idx.i_expr IS NULL", "comment idx.INDEX i_expr"),
    mutation(
        "comment on a function",
        "COMMENT ON FUNCTION prog.add1(int) IS 'function'",
        "comment prog.FUNCTION add1(integer)",
    ),
    mutation("comment on a trigger", "COMMENT ON TRIGGER t_spoil ON trg.t IS NULL", "comment trg.TRIGGER t_spoil ON t"),
    mutation(
        "comment on a policy", "COMMENT ON POLICY own_rows ON sec.rls IS NULL", "comment sec.POLICY own_rows ON rls"
    ),
    mutation("comment on a type", "COMMENT ON TYPE types.odd_enum IS NULL", "comment types.TYPE odd_enum"),
    mutation("comment on a schema", """COMMENT ON SCHEMA "схема" IS 'other'""", 'comment SCHEMA "схема"'),
    mutation("comment on a view's column", "COMMENT ON COLUMN prog.v1.grp IS NULL", "comment prog.COLUMN v1.grp"),
    mutation(
        "comment on a domain's constraint",
        "COMMENT ON CONSTRAINT must_be_positive ON DOMAIN types.posint IS NULL",
        "comment types.CONSTRAINT must_be_positive ON DOMAIN posint",
    ),
    mutation("comment on a publication", "COMMENT ON PUBLICATION pub_some IS NULL", "comment PUBLICATION pub_some"),
    mutation("comment added", "COMMENT ON SEQUENCE public.seq_at_max IS 'new'", "comment public.SEQUENCE seq_at_max"),
    mutation("schema dropped", "DROP SCHEMA empty_schema", "schema empty_schema"),
    mutation("schema added", "CREATE SCHEMA added", "schema added"),
    mutation(
        "database setting changed",
        "DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET timezone = %L', current_database(), 'UTC'); END $$",
        "database setting TimeZone",
    ),
    mutation(
        "database setting removed",
        "DO $$ BEGIN EXECUTE format('ALTER DATABASE %I RESET datestyle', current_database()); END $$",
        "database setting DateStyle",
    ),
    mutation(
        "database comment",
        "DO $$ BEGIN EXECUTE format('COMMENT ON DATABASE %I IS %L', current_database(), 'other'); END $$",
        "database comment",
    ),
    mutation(
        "publication's columns",
        "ALTER PUBLICATION pub_some DROP TABLE trg.t; ALTER PUBLICATION pub_some ADD TABLE trg.t (id)",
        "publication table trg.pub_some t",
    ),
    mutation("table logged to unlogged", "ALTER TABLE trg.log SET UNLOGGED", "table trg.log"),
    mutation(
        "column type with another hash", "ALTER TABLE public.no_pk_big ALTER a TYPE text", "table public.no_pk_big"
    ),
    mutation(
        "table access method", "ALTER TABLE public.serial_gap SET ACCESS METHOD heap_too", "table public.serial_gap"
    ),
    mutation(
        "foreign key's triggers disabled",
        "ALTER TABLE fk.numeric_fk_c DISABLE TRIGGER ALL",
        "fk constraint fk.numeric_fk_c numeric_fk_c_id_fkey",
    ),
    mutation(
        "foreign key's triggers disabled on the referenced side",
        "ALTER TABLE fk.to_unique_idx DISABLE TRIGGER ALL",
        "fk constraint fk.from_unique_idx from_unique_idx_u_fkey",
    ),
)

#: These draw others along: all that hangs on the schema public, and triggers whose names are numbers; or they would
#: change what the others come to, as a collation that ignores case no more.
ALONE: t.Final = (
    mutation(
        "collation determinism",
        "UPDATE pg_catalog.pg_collation SET collisdeterministic = true WHERE collname = 'nd_ci'",
        "collation types.nd_ci",
    ),
    mutation(
        "foreign key's triggers disabled in a partition",
        "ALTER TABLE part.part_child_1 DISABLE TRIGGER ALL",
        "fk constraint part.part_child part_child_hk_fkey",
        "fk constraint part.part_child part_child_parent_fkey",
    ),
    mutation("schema public renamed", "ALTER SCHEMA public RENAME TO publik", "schema public", "table public.no_pk"),
)
