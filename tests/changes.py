# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What changes single columns of the catalogs, besides what changes whole kinds of objects (`kinds.py`).

Each column has an object of its own, called after it, which is made with what is not the default.
"""

from __future__ import annotations

import typing as t

from tests.kinds import Kind


def _anew(difference: str, make: str, drop: str, since: int = 15, /, **columns: str | tuple[str, str]) -> list[Kind]:
    """Return how an object for each column is made, and how it is dropped and made otherwise.

    ``{n}`` is the column, and ``{x}`` what is so or so; of one text alone, it is that or nothing.
    """
    either = {name: (words, "") if isinstance(words, str) else words for name, words in columns.items()}
    made = {name: [make.format(n=name, x=words.format(n=name)) for words in both] for name, both in either.items()}
    return [
        Kind(name, here, f"{drop.format(n=name)}; {there}", difference.format(n=name), since=since)
        for name, (here, there) in made.items()
    ]


def _altered(difference: str, make: str, alter: str, /, **columns: tuple[str, str]) -> list[Kind]:
    """Return the same of objects that are altered, from the first to the second."""
    return [
        Kind(name, make.format(n=name, x=here), alter.format(n=name, x=there), difference.format(n=name))
        for name, (here, there) in columns.items()
    ]


_MOVING: t.Final = "sfunc = int4pl, stype = int, mstype = int"
_INVERSE: t.Final = f"{_MOVING}, msfunc = int4pl, minvfunc = int4mi"
_SUPPRESS: t.Final = "for each row execute function suppress_redundant_updates_trigger()"
_COLLATION: t.Final = "create collation {n} ({x})"
_NO_COLLATION: t.Final = "drop collation {n}"
_IN_OUT: t.Final = "input = {n}_in, output = {n}_out"

#: What they use.
HELPERS: t.Final = (
    "create function final(int, int) returns int language sql as 'select 1';"
    " create function final(bigint) returns int language internal as 'int84';"
    " create function final(int, int, int) returns int language sql as 'select 1';"
    " create function evf2() returns event_trigger language plpgsql as 'begin end';"
    " create function compare(int, int) returns int language sql immutable as 'select 0';"
    " create table others(a int, b int, unique (a, b), unique (b, a)); create type pair as (a int);"
    " create function parse(internal, int) returns internal language internal as 'prsd_start';"
    " create function parse(internal, internal, internal) returns internal language internal as 'prsd_nexttoken';"
    " create function parse(internal) returns void language internal as 'prsd_end';"
    " create function lextype(internal) returns internal language internal as 'prsd_lextype';"
    " create function lexize(internal, internal, internal, internal) returns internal language internal as"
    " 'dsimple_lexize'; create function handler() returns fdw_handler language internal as 'fdw_handler_in';"
    " create text search parser parser2 (start = prsd_start, gettoken = prsd_nexttoken, end = prsd_end,"
    " lextypes = prsd_lextype); create foreign data wrapper k_other;"
    " create transform for date language sql (from sql with function prsd_lextype(internal));"
    " create server k_server_other foreign data wrapper k_other"
)

CHANGES: t.Final = [
    # Routines
    *_anew(
        "aggregate k.{n}(integer)",
        "create aggregate {n}(int) (sfunc = int4pl, stype = int{x})",
        "drop aggregate {n}(int)",
        aggfinalfn=", finalfunc = int4abs",
        aggfinalextra=(", finalfunc = final, finalfunc_extra", ", finalfunc = int4abs"),
        aggfinalmodify=(", finalfunc = int4abs, finalfunc_modify = shareable", ", finalfunc = int4abs"),
        aggcombinefn=", combinefunc = int4pl",
        aggsortop=", sortop = operator(pg_catalog.<)",
        aggtransspace=", sspace = 64",
    ),
    *_anew(
        "aggregate k.{n}(integer)",
        "create aggregate {n}(int) ({x})",
        "drop aggregate {n}(int)",
        aggtransfn=("sfunc = int4mi, stype = int", "sfunc = int4pl, stype = int"),
        aggtranstype=("sfunc = int84pl, stype = bigint, initcond = '1'", "sfunc = int4pl, stype = int, initcond = '1'"),
        aggmtransfn=(f"{_MOVING}, msfunc = int4mul, minvfunc = int4mi", _INVERSE),
        aggminvtransfn=(f"{_MOVING}, msfunc = int4pl, minvfunc = int4div", _INVERSE),
        aggmtranstype=(
            "sfunc = int4pl, stype = int, mstype = bigint, msfunc = int84pl, minvfunc = int84mi, mfinalfunc = final,"
            " minitcond = '1'",
            f"{_INVERSE}, minitcond = '1'",
        ),
        aggmfinalfn=(f"{_INVERSE}, mfinalfunc = int4abs", _INVERSE),
        aggmfinalextra=(f"{_INVERSE}, mfinalfunc = final, mfinalfunc_extra", f"{_INVERSE}, mfinalfunc = int4abs"),
        aggmfinalmodify=(
            f"{_INVERSE}, mfinalfunc = int4abs, mfinalfunc_modify = read_write",
            f"{_INVERSE}, mfinalfunc = int4abs",
        ),
        aggmtransspace=(f"{_INVERSE}, msspace = 64", _INVERSE),
        aggminitval=(f"{_INVERSE}, minitcond = '1'", _INVERSE),
    ),
    *_anew(
        "aggregate k.{n}(numeric)",
        "create aggregate {n}(numeric) (sfunc = numeric_avg_accum, stype = internal, finalfunc = numeric_avg,"
        " combinefunc = numeric_avg_combine{x})",
        "drop aggregate {n}(numeric)",
        aggserialfn=", serialfunc = numeric_avg_serialize, deserialfunc = numeric_avg_deserialize",
    ),
    Kind(
        "aggkind, aggnumdirectargs",
        "create aggregate aggkind(int order by int) (sfunc = int4pl, stype = int)",
        "drop aggregate aggkind(int order by int); create aggregate aggkind(int, int) (sfunc = final, stype = int)",
        "aggregate k.aggkind(integer,integer)",
    ),
    *_altered(
        "function k.{n}(integer)",
        "create function {n}(int) returns bool language sql as 'select true' {x}",
        "alter function {n}(int) {x}",
        procost=("cost 7", "cost 8"),
        proisstrict=("strict", "called on null input"),
        proleakproof=("leakproof", "not leakproof"),
        proparallel=("parallel safe", "parallel restricted"),
        prosupport=("support text_starts_with_support", "support textlike_support"),
    ),
    *_anew(
        "function k.{n}(integer)",
        "set local check_function_bodies = off; create function {n}{x}",
        "drop function {n}",
        proallargtypes=(
            "(int, out a int, out b int) language sql as 'select 1, 1'",
            "(int, out a int, out b text) language sql as 'select 1, 1::text'",
        ),
        proargdefaults=("(int default 1) returns void language sql as ''", "(int) returns void language sql as ''"),
        proargnames=("(a int) returns void language sql as ''", "(b int) returns void language sql as ''"),
        prokind=(
            "(int) returns bigint language internal window as 'window_row_number'",
            "(int) returns bigint language internal as 'window_row_number'",
        ),
        prolang=("(int) returns void language plpgsql as ''", "(int) returns void language sql as ''"),
        prorows=(
            "(int) returns setof int language sql rows 5 as 'select 1'",
            "(int) returns setof int language sql as 'select 1'",
        ),
        proretset=(
            "(int) returns setof int language sql as 'select 1'",
            "(int) returns int language sql as 'select 1'",
        ),
        prosqlbody=("(int) returns int return $1", "(int) returns int return $1 + 1"),
        prosrc=("(int) returns void language sql as ''", "(int) returns void language sql as ' '"),
    ),
    *_anew(
        "function k.{n}(integer[])",
        "create function {n}({x}int[]) returns int[] language sql as 'select $1'",
        "drop function {n}",
        provariadic="variadic ",
        proargmodes="inout ",
    ),
    *_anew(
        "function k.{n}(date)",
        "create function {n}(date) returns int {x}language sql as 'select 1'",
        "drop function {n}",
        protrftypes="transform for type date ",
    ),
    *_anew(
        "function k.{n}(internal)",
        "create function {n}(internal) returns internal language c as '$libdir/{x}'",
        "drop function {n}",
        probin=("dict_snowball', 'dsnowball_init", "plpgsql', 'plpgsql_inline_handler"),
    ),
    # Languages, access methods, operators
    *_anew(
        "procedural language k_{n}",
        "create function {n}() returns language_handler language c as '$libdir/plpgsql', 'plpgsql_call_handler';"
        " create function {n}2() returns language_handler language c as '$libdir/plpgsql', 'plpgsql_call_handler';"
        " create function {n}_i(internal) returns void language c as '$libdir/plpgsql', 'plpgsql_inline_handler';"
        " create function {n}_v(oid) returns void language c as '$libdir/plpgsql', 'plpgsql_validator';"
        " create trusted language k_{n} handler {n}{x}",
        "drop language k_{n}; drop function {n}, {n}2, {n}_i, {n}_v",
        laninline=" inline {n}_i",
        lanvalidator=" validator {n}_v",
        lanplcallfoid="2",
    ),
    *_anew(
        "access method k_{n}",
        "create access method k_{n} type index handler {x}",
        "drop access method k_{n}",
        amhandler=("hashhandler", "bthandler"),
    ),
    *_anew(
        "cast CAST (k.{n} AS text)",
        "create type {n} as (a int); create function {n}_f({n}) returns text language sql as 'select 1::text';"
        " create function {n}_g({n}) returns text language sql as 'select 1::text'; create cast ({n} as text) {x}",
        "drop type {n} cascade",
        castcontext=("with inout as assignment", "with inout"),
        castfunc=("with function {n}_f({n})", "with function {n}_g({n})"),
        castmethod=("with inout", "with function {n}_f({n})"),
    ),
    *_anew(
        "transform TRANSFORM FOR {n} LANGUAGE sql",
        "create transform for {n} language sql (from sql with function {x})",
        "drop transform for {n} language sql",
        # Those are types, for which there is one transform each.
        smallint=("prsd_lextype(internal), to sql with function int2recv(internal)", "prsd_lextype(internal)"),
        real=("dsimple_init(internal)", "prsd_lextype(internal)"),
    ),
    *_anew(
        "operator k.{n}",
        "create operator {n} (leftarg = int, rightarg = int, function = {x})",
        "drop operator {n} (int, int)",
        **{
            "=@": ("int4eq, hashes", "int4eq"),
            "=@@": ("int4eq, merges", "int4eq"),
            "=@@@": ("int4eq, join = eqjoinsel", "int4eq"),
            "=@@@@": ("int4eq, commutator = =@@@@", "int4eq"),
            "=@@@@@": ("int4eq, negator = <>@@@@@", "int4eq"),
            "=@@@@@@": ("int4mi", "int4eq"),
        },
    ),
    *_anew(
        "operator class k.{n}",
        "create operator class {n} {x}",
        "drop operator family {n} using btree cascade",
        opcdefault=(
            "default for type pair using btree as operator 3 =(record, record), function 1 btrecordcmp(record, record)",
            "for type pair using btree as operator 3 =(record, record), function 1 btrecordcmp(record, record)",
        ),
        amopopr=(
            "for type int using btree as operator 3 <>, function 1 btint4cmp(int, int)",
            "for type int using btree as operator 3 =, function 1 btint4cmp(int, int)",
        ),
        amproc=(
            "for type int using btree as operator 3 =, function 1 compare(int, int)",
            "for type int using btree as operator 3 =, function 1 btint4cmp(int, int)",
        ),
    ),
    *_anew(
        "operator class k.{n}",
        "create operator family {n}_f using btree;"
        " create operator class {n} for type int using btree {x}as operator 3 =",
        "drop operator family {n}_f using btree cascade; drop operator family if exists {n} using btree cascade",
        opcfamily="family {n}_f ",
    ),
    *_anew(
        "operator class k.{n}",
        "create operator class {n} for type {x}",
        "drop operator family {n} using gist cascade",
        opckeytype=("int using gist as storage bigint", "int using gist as operator 1 ="),
        opcintype=("bigint using gist as operator 1 =(int, int)", "int using gist as operator 1 ="),
    ),
    *_anew(
        "operator family k.{n}",
        "create operator class {n} for type int using gist as operator 15 =(int, int) for {x}",
        "drop operator family {n} using gist cascade",
        amopsortfamily=("order by bool_ops", "search"),
    ),
    # Types
    *_anew(
        "type k.{n}",
        "create type {n}; create function {n}_in(cstring) returns {n} strict immutable language internal as 'textin';"
        " create function {n}_out({n}) returns cstring strict immutable language internal as 'textout';"
        " create function {n}_recv(internal) returns {n} strict immutable language internal as 'textrecv';"
        " create function {n}_send({n}) returns bytea strict immutable language internal as 'textsend';"
        " create function {n}_in2(cstring) returns {n} strict immutable language internal as 'textin';"
        " create function {n}_out2({n}) returns cstring strict immutable language internal as 'textout';"
        " create type {n} ({x})",
        "drop type {n} cascade",
        typinput=("input = {n}_in2, output = {n}_out", _IN_OUT),
        typoutput=("input = {n}_in, output = {n}_out2", _IN_OUT),
        typreceive=(f"{_IN_OUT}, receive = {{n}}_recv", _IN_OUT),
        typsend=(f"{_IN_OUT}, send = {{n}}_send", _IN_OUT),
        typlen=(f"{_IN_OUT}, internallength = 8", f"{_IN_OUT}, internallength = 4"),
        typbyval=(f"{_IN_OUT}, internallength = 4, passedbyvalue", f"{_IN_OUT}, internallength = 4"),
        typalign=(f"{_IN_OUT}, alignment = double", _IN_OUT),
        typstorage=(f"{_IN_OUT}, storage = external", _IN_OUT),
        typcategory=(f"{_IN_OUT}, category = 'X'", _IN_OUT),
        typispreferred=(f"{_IN_OUT}, category = 'Y', preferred = true", f"{_IN_OUT}, category = 'Y'"),
        typdelim=(f"{_IN_OUT}, delimiter = ';'", _IN_OUT),
        typdefault=(f"{_IN_OUT}, default = 'x'", _IN_OUT),
        typcollation=(f"{_IN_OUT}, collatable = true", _IN_OUT),
        typsubscript=(f"{_IN_OUT}, subscript = jsonb_subscript_handler", _IN_OUT),
        typelem=(
            f"{_IN_OUT}, internallength = 8, subscript = raw_array_subscript_handler, element = int4",
            f"{_IN_OUT}, internallength = 8, subscript = raw_array_subscript_handler, element = int2",
        ),
        typmodin=(f"{_IN_OUT}, typmod_in = varchartypmodin", _IN_OUT),
        typmodout=(
            f"{_IN_OUT}, typmod_in = varchartypmodin, typmod_out = varchartypmodout",
            f"{_IN_OUT}, typmod_in = varchartypmodin",
        ),
        typanalyze=(f"{_IN_OUT}, analyze = ts_typanalyze", _IN_OUT),
    ),
    *_anew(
        "domain k.{n}",
        "create domain {n} as {x}",
        "drop domain {n}",
        typbasetype=("bigint", "int"),
        typtypmod=("varchar(4)", "varchar(5)"),
        typnotnull=("int not null", "int"),
    ),
    Kind(
        "typtype, typisdefined",
        "create type typtype; create type typisdefined",
        "drop type typtype; create domain typtype as int; drop type typisdefined; create type typisdefined as enum ()",
        "type k.typtype",
    ),
    *_anew(
        "type k.{n}",
        "create type {n} as range (subtype = {x})",
        "drop type {n}",
        rngcollation=('text, collation = "C"', "text"),
        rngsubdiff=("float8, subtype_diff = float8mi", "float8"),
        rngsubopc=("text, subtype_opclass = text_pattern_ops", "text"),
    ),
    *_anew(
        "type k.{n}",
        "create type {n}; create function {n}_c({n}) returns {n} immutable strict language internal as"
        " 'int4range_canonical'; create type {n} as range (subtype = int{x})",
        "drop type {n} cascade",
        rngcanonical=", canonical = {n}_c",
    ),
    *_anew(
        "collation k.{n}", _COLLATION, _NO_COLLATION, collctype=("lc_collate = 'C', lc_ctype = 'POSIX'", "locale = 'C'")
    ),
    *_anew(
        "collation k.{n}",
        _COLLATION,
        _NO_COLLATION,
        18,
        collprovider=("provider = builtin, locale = 'C'", "locale = 'C'"),
        colllocale=("provider = builtin, locale = 'C.UTF-8'", "provider = builtin, locale = 'C'"),
    ),
    *_anew(
        "conversion k.{n}",
        "create {x} from iso8859_1_to_utf8",
        "drop conversion {n}",
        condefault=("default conversion {n} for 'LATIN1' to 'UTF8'", "conversion {n} for 'LATIN1' to 'UTF8'"),
    ),
    *_anew(
        "conversion k.{n}",
        "create conversion {n} for 'UTF8' to {x}",
        "drop conversion {n}",
        contoencoding=("'LATIN2' from utf8_to_iso8859", "'LATIN3' from utf8_to_iso8859"),
    ),
    # Tables and what is theirs
    *_anew(
        "table k.{n}",
        "create table {n}(a varchar(4), b text) {x}",
        "drop table {n}",
        partattrs=("partition by range (a)", "partition by range (b)"),
        partclass=("partition by range (b text_pattern_ops)", "partition by range (b)"),
        partcollation=('partition by range (b collate "C")', "partition by range (b)"),
        partexprs=("partition by range ((a || b))", "partition by range ((b || a))"),
    ),
    *_altered(
        "table k.{n}",
        "create table {n}(a varchar({x}))",
        "alter table {n} alter a type varchar({x})",
        atttypmod=("4", "5"),
    ),
    *_anew(
        "foreign table k.{n}",
        "create foreign table {n}(a int {x}",
        "drop foreign table {n}",
        attfdwoptions=("options (c '1')) server k_server4", ") server k_server4"),
        ftserver=(") server k_server_other", ") server k_server4"),
    ),
    *_anew(
        "table k.{n}",
        "create table {n}_p(a int constraint c check (a > 0)); create table {n}(a int{x}) inherits ({n}_p)",
        "drop table {n}_p cascade",
        conislocal=", constraint c check (a > 0)",
    ),
    *_anew(
        "fk constraint k.{n} {n}",
        "create table {n}(a int, b int, constraint {n} foreign key (a, b) references {x})",
        "drop table {n}",
        confkey=("others(b, a)", "others(a, b)"),
        confmatchtype=("others(a, b) match full", "others(a, b)"),
        confupdtype=("others(a, b) on update cascade", "others(a, b)"),
        confdelsetcols=("others(a, b) on delete set null (a)", "others(a, b) on delete set null"),
        condeferred=("others(a, b) deferrable initially deferred", "others(a, b) deferrable"),
    ),
    *_anew(
        "table k.{n}",
        "create table {n}(a int constraint c {x})",
        "drop table {n}",
        contype=("unique", "check (a > 0)"),
        connoinherit=("check (a > 0) no inherit", "check (a > 0)"),
    ),
    *_anew(
        "fk constraint k.{n} {n}",
        "create table {n}2(a int primary key); create table {n}3(a int primary key);"
        " create table {n}(a int constraint {n} references {x})",
        "drop table {n}, {n}2, {n}3",
        confrelid=("{n}2", "{n}3"),
    ),
    *_anew(
        "index k.{n}",
        "create table {n}_t(a text, b text); create {x}",
        "drop table {n}_t",
        indclass=("index {n} on {n}_t(a text_pattern_ops)", "index {n} on {n}_t(a)"),
        indcollation=('index {n} on {n}_t(a collate "C")', "index {n} on {n}_t(a)"),
        indoption=("index {n} on {n}_t(a desc)", "index {n} on {n}_t(a)"),
        indisunique=("unique index {n} on {n}_t(a)", "index {n} on {n}_t(a)"),
        indnkeyatts=("index {n} on {n}_t(a) include (b)", "index {n} on {n}_t(a, b)"),
        indexprs=("index {n} on {n}_t((a || b))", "index {n} on {n}_t((b || a))"),
    ),
    *_anew(
        "statistics k.{n}",
        "create table {n}_t(a int, b int, c int); create statistics {n} on {x} from {n}_t",
        "drop table {n}_t",
        stxkeys=("a, b", "a, c"),
        stxexprs=("(a + 1)", "(a + 2)"),
    ),
    *_anew(
        "rule k.{n} r",
        "create table {n}(a int); create rule r as {x} do instead nothing",
        "drop table {n}",
        ev_type=("on insert to {n}", "on delete to {n}"),
        ev_qual=("on delete to {n} where old.a > 1", "on delete to {n}"),
    ),
    *_anew(
        "policy k.{n} p",
        "create table {n}(a int); create policy p on {n} {x}",
        "drop table {n}",
        polcmd=("for update using (true)", "using (true)"),
        polpermissive=("as restrictive", "as permissive"),
        polroles=("to postgres", ""),
        polwithcheck=("with check (a > 1)", "with check (a > 2)"),
    ),
    *_anew(
        "trigger k.{n} t",
        "create table {n}(a int, b int); create trigger t {x}",
        "drop table {n}",
        tgargs=(
            "before update on {n} for each row execute function tsvector_update_trigger('a')",
            "before update on {n} for each row execute function tsvector_update_trigger('b')",
        ),
        tgattr=(f"before update of a on {{n}} {_SUPPRESS}", f"before update of b on {{n}} {_SUPPRESS}"),
        tgtype=(f"before delete on {{n}} {_SUPPRESS}", f"before update on {{n}} {_SUPPRESS}"),
        tgfoid=(
            "before update on {n} for each row execute function tsvector_update_trigger_column()",
            "before update on {n} for each row execute function tsvector_update_trigger()",
        ),
        tgoldtable=(
            "after update on {n} referencing old table as o for each row execute function tsvector_update_trigger()",
            "after update on {n} for each row execute function tsvector_update_trigger()",
        ),
        tgnewtable=(
            "after update on {n} referencing new table as o for each row execute function tsvector_update_trigger()",
            "after update on {n} for each row execute function tsvector_update_trigger()",
        ),
    ),
    *_anew(
        "trigger k.{n} t",
        f"create table {{n}}(a int); create constraint trigger t after update on {{n}} {{x}} {_SUPPRESS}",
        "drop table {n}",
        tgconstrrelid="from others",
        tgdeferrable="deferrable",
        tginitdeferred=("deferrable initially deferred", "deferrable"),
    ),
    *_altered(
        "sequence k.{n}",
        "create sequence {n} {x}",
        "alter sequence {n} {x}",
        seqcache=("cache 5", "cache 6"),
        seqcycle=("cycle", "no cycle"),
        seqmax=("maxvalue 9", "maxvalue 8"),
        seqmin=("minvalue -9 start 1", "minvalue -8"),
        seqstart=("start 5", "start 6"),
        seqtypid=("as smallint maxvalue 9", "as int"),
    ),
    # Text search, foreign data, replication, event triggers, extensions
    *_anew(
        "text search parser k.{n}",
        "create text search parser {n} ({x})",
        "drop text search parser {n}",
        prsstart=(
            "start = parse, gettoken = prsd_nexttoken, end = prsd_end, lextypes = prsd_lextype",
            "start = prsd_start, gettoken = prsd_nexttoken, end = prsd_end, lextypes = prsd_lextype",
        ),
        prstoken=(
            "start = prsd_start, gettoken = parse, end = prsd_end, lextypes = prsd_lextype",
            "start = prsd_start, gettoken = prsd_nexttoken, end = prsd_end, lextypes = prsd_lextype",
        ),
        prsend=(
            "start = prsd_start, gettoken = prsd_nexttoken, end = parse, lextypes = prsd_lextype",
            "start = prsd_start, gettoken = prsd_nexttoken, end = prsd_end, lextypes = prsd_lextype",
        ),
        prslextype=(
            "start = prsd_start, gettoken = prsd_nexttoken, end = prsd_end, lextypes = lextype",
            "start = prsd_start, gettoken = prsd_nexttoken, end = prsd_end, lextypes = prsd_lextype",
        ),
        prsheadline=(
            "start = prsd_start, gettoken = prsd_nexttoken, end = prsd_end, lextypes = prsd_lextype,"
            " headline = prsd_headline",
            "start = prsd_start, gettoken = prsd_nexttoken, end = prsd_end, lextypes = prsd_lextype",
        ),
    ),
    *_anew(
        "text search template k.{n}",
        "create text search template {n} (lexize = {x})",
        "drop text search template {n}",
        tmpllexize=("lexize", "dsimple_lexize"),
    ),
    *_anew(
        "text search dictionary k.{n}",
        "create text search dictionary {n} (template = {x})",
        "drop text search dictionary {n}",
        dicttemplate=("snowball, language = 'english'", "simple"),
    ),
    *_anew(
        "text search configuration k.{n}",
        "create text search configuration {n} (parser = {x})",
        "drop text search configuration {n}",
        cfgparser=("parser2", "default"),
    ),
    *_altered(
        "text search configuration k.{n}",
        "create text search configuration {n} (copy = {x})",
        "alter text search configuration {n} alter mapping for word with {x}",
        mapdict=("english", "simple"),
    ),
    *_anew(
        "foreign data wrapper k_{n}",
        "create foreign data wrapper k_{n} {x}",
        "drop foreign data wrapper k_{n}",
        fdwhandler="handler handler",
        fdwvalidator="validator postgresql_fdw_validator",
    ),
    *_anew(
        "server k_{n}",
        "create server k_{n} {x}",
        "drop server k_{n}",
        srvtype=("type 'a' foreign data wrapper k_fdw", "type 'b' foreign data wrapper k_fdw"),
        srvversion=("version 'a' foreign data wrapper k_fdw", "version 'b' foreign data wrapper k_fdw"),
        srvfdw=("foreign data wrapper k_other", "foreign data wrapper k_fdw"),
    ),
    *_anew(
        "publication k_{n}",
        "create publication k_{n} {x}",
        "drop publication k_{n}",
        puballtables=("for all tables with (publish = '')", "with (publish = '')"),
        pubinsert=("with (publish = 'insert')", "with (publish = '')"),
        pubupdate=("with (publish = 'update')", "with (publish = '')"),
        pubviaroot="with (publish_via_partition_root)",
    ),
    *_anew(
        "publication k_{n}",
        "create publication k_{n} {x}",
        "drop publication k_{n}",
        18,
        pubgencols="with (publish_generated_columns = stored)",
    ),
    *_anew(
        "publication table k.k_{n} others",
        "create publication k_{n} for table others {x}",
        "drop publication k_{n}",
        prattrs=("(a)", "(b)"),
    ),
    *_anew(
        "event trigger k_{n}",
        "create event trigger k_{n} on {x}()",
        "drop event trigger k_{n}",
        evtevent=("ddl_command_start execute function evf", "ddl_command_end execute function evf"),
        evtfoid=("ddl_command_end execute function evf", "ddl_command_end execute function evf2"),
        evttags=(
            "ddl_command_end when tag in ('CREATE TABLE') execute function evf",
            "ddl_command_end when tag in ('DROP TABLE') execute function evf",
        ),
    ),
    Kind("extnamespace", "create extension cube", "alter extension cube set schema public", "extension cube"),
]

#: What takes a server that was built with ICU.
WITH_ICU: t.Final = [
    *_anew(
        "collation k.{n}",
        _COLLATION,
        _NO_COLLATION,
        collprovider=("provider = icu, locale = 'de'", "locale = 'C'"),
        colliculocale=("provider = icu, locale = 'de'", "provider = icu, locale = 'fr'"),
        collisdeterministic=(
            "provider = icu, locale = 'de', deterministic = false",
            "provider = icu, locale = 'de', deterministic = true",
        ),
    ),
    *_anew(
        "collation k.{n}",
        _COLLATION,
        _NO_COLLATION,
        16,
        collicurules=("provider = icu, locale = 'de', rules = '&V << w <<< W'", "provider = icu, locale = 'de'"),
    ),
]


def changes_of(major: int, *, icu: bool) -> list[Kind]:
    """Return those whose columns a server of this major has.

    :param icu: whether it was built with ICU
    """
    return [change for change in (CHANGES + WITH_ICU if icu else CHANGES) if change.since <= major]
