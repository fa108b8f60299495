# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Servers' messages in several languages: what they say of objects stays, what they say of values goes."""

from __future__ import annotations

import pytest
from ansible_collections.pgconvoy.migrate.plugins.module_utils.redaction import Message, hide_values, read_messages

MESSAGES = [
    (
        Message(
            "ERROR",
            "23505",
            'duplicate key value violates unique constraint "users_mail_key"',
            "Key (mail)=(canary@x) already exists.",
            context='COPY users, line 5, column mail: "canary\nCOPY"',
        ),
        'ERROR 23505: duplicate key value violates unique constraint "users_mail_key"\n'
        "DETAIL: Key (mail)=(...)\nCONTEXT: COPY users, line 5, column mail",
    ),
    (
        Message(
            "FEHLER",
            "23505",
            "doppelter Schlüsselwert verletzt Unique-Constraint »users_key«",
            "Schlüssel »(lower(mail), b)=(canary, canary)« existiert bereits.",
            context="COPY users, Zeile 5, Spalte mail: »canary«",
        ),
        "FEHLER 23505: doppelter Schlüsselwert verletzt Unique-Constraint »users_key«\n"
        "DETAIL: Schlüssel »(lower(mail), b)=(...)\nCONTEXT: COPY users, Zeile 5, Spalte mail",
    ),
    (
        Message(
            "ERROR",
            "23502",
            'null value in column "v" of relation "t" violates not-null constraint',
            "Failing row contains (1, canary, null).",
        ),
        'ERROR 23502: null value in column "v" of relation "t" violates not-null constraint',
    ),
    (
        Message("ERROR", "23514", 'no partition of relation "t" found for row', "Partition key (k) = (canary)."),
        'ERROR 23514: no partition of relation "t" found for row\nDETAIL: Partition key (k) = (...)',
    ),
    (
        Message("ERREUR", "22P02", "syntaxe en entrée invalide pour le type integer : « canary »"),
        "ERREUR 22P02: syntaxe en entrée invalide pour le type integer : ...",
    ),
    (
        Message(
            "ERROR",
            "53100",
            'could not resize shared memory segment "/PostgreSQL.1" to 8 bytes: No space left on device',
            source_file="dsm_impl.c:354",
        ),
        'ERROR 53100: could not resize shared memory segment "/PostgreSQL.1" to 8 bytes: No space left on device\n'
        "HINT: It is the server's shared memory (/dev/shm) that is too small, and not its disk. Give its container "
        "more: --shm-size=256m for docker run, shm_size for Compose, the variable RAILWAY_SHM_SIZE_BYTES at Railway.",
    ),
    (
        Message(
            "ERROR",
            "53100",
            'could not extend file "base/16384/16390": No space left on device',
            hint="Check free disk space.",
            context='COPY t, line 98, column mail: "canary"',
            over_rows=True,
        ),
        'ERROR 53100: could not extend file "base/16384/16390": No space left on device\n'
        "HINT: Check free disk space.\nCONTEXT: COPY t, line 98, column mail",
    ),
    (
        Message(
            "ERROR",
            "54000",
            'index row size 2824 exceeds btree version 4 maximum 2704 for index "t_v_idx"',
            'Index row references tuple (0,1) in relation "t".',
            "Values larger than 1/3 of a buffer page cannot be indexed.",
            over_rows=True,
        ),
        'ERROR 54000: index row size 2824 exceeds btree version 4 maximum 2704 for index "t_v_idx"\n'
        'DETAIL: Index row references tuple (0,1) in relation "t".\n'
        "HINT: Values larger than 1/3 of a buffer page cannot be indexed.",
    ),
    (
        Message("ERROR", "58P01", 'could not open file "/canary" for reading: No such file', over_rows=True),
        "ERROR 58P01: could not open file ...",
    ),
    (Message("ERROR", "22003", 'value "99canary" is out of range for type integer'), "ERROR 22003: value ..."),
    (
        Message("ERROR", "22001", "value too long for type character varying(3)"),
        "ERROR 22001: value too long for type character varying(3)",
    ),
    (
        Message("ERROR", "22023", "-4711 is outside the valid range for parameter", hint="Try canary."),
        "ERROR 22023: ...",
    ),
    (
        Message(
            "ERROR",
            "22P02",
            "invalid input syntax for type json",
            'Token "canary" is invalid.',
            context="JSON data, line 1: canary...\nCOPY t, line 1, column j: {canary\n canary}",
        ),
        "ERROR 22P02: invalid input syntax for type json\nCONTEXT: COPY t, line 1, column j",
    ),
    # An extension's input function, with a code of its own.
    (
        Message("ERROR", "42601", 'syntax error in hstore, near "canary"', context="COPY t, line 1, column h: canary"),
        "ERROR 42601: syntax error in hstore, near ...\nCONTEXT: COPY t, line 1, column h",
    ),
    (
        Message("ERROR", "XX000", "parse error - invalid geometry", hint='"POINT(canary" <-- parse error'),
        "ERROR XX000: parse error - invalid geometry",
    ),
    (
        Message(
            "ERROR",
            "P0001",
            "canary is not a mail",
            "canary",
            "canary",
            "SQL statement \"SELECT 'canary'\"\nPL/pgSQL function public.chk(text) line 3 at RAISE\n"
            'COPY t, line 1: "canary"',
        ),
        "ERROR P0001: ... (what a function says of a row is not shown: it may hold values; the server's "
        "log has it)\n"
        "CONTEXT: PL/pgSQL function public.chk(text) line 3 at RAISE\nCOPY t, line 1",
    ),
    # Whatever code a function gives itself.
    (
        Message("ERROR", "23505", "canary", context="PL/pgSQL-Funktion f() Zeile 1\nCOPY t", source_file="pl_exec.c"),
        "ERROR 23505: ... (what a function says of a row is not shown: it may hold values; the server's "
        "log has it)\nCONTEXT: PL/pgSQL-Funktion f() Zeile 1\nCOPY t",
    ),
    # Its own words, of no row that we send.
    (
        Message("ERROR", "P0001", "do not drop tables", "canary", context="PL/pgSQL function tell() line 1 at RAISE"),
        "ERROR P0001: do not drop tables\nCONTEXT: PL/pgSQL function tell() line 1 at RAISE",
    ),
    # What is not about values stays whole.
    (
        Message(
            "ERROR", "2BP01", 'cannot drop table t because "v" depends', "view v depends on table t", "Use CASCADE"
        ),
        'ERROR 2BP01: cannot drop table t because "v" depends\nDETAIL: view v depends on table t\nHINT: Use CASCADE',
    ),
    (
        Message(
            "ERROR", "42883", "function f() does not exist", context='SQL function "slug" statement 1\nportal: $1 = 7'
        ),
        'ERROR 42883: function f() does not exist\nCONTEXT: SQL function "slug" statement 1',
    ),
    (
        Message("ERROR", "XX001", "invalid page in block 5 of relation base/5/1234"),
        "ERROR XX001: invalid page in block 5 of relation base/5/1234",
    ),
]


@pytest.mark.parametrize(("message", "told"), MESSAGES)
def test_message(message: Message, told: str) -> None:
    assert message.told == told


def test_psql_messages() -> None:
    """Several, after psql's own words; a value that looks like a label goes with the rest."""
    own, messages = read_messages(
        "psql: warning: something\n"
        'ERROR:  22P02: invalid input syntax for type integer: "canary\nHINT:  canary"\n'
        "DETAIL:  canary\nCONTEXT:  COPY t, line 1, column a: canary\nLOCATION:  int4in, numutils.c:617\n"
        "FEHLER:  42501: keine Berechtigung für Tabelle t\nLOCATION:  aclcheck_error, aclchk.c:2843\n"
    )
    assert own == "psql: warning: something"
    assert [message.told for message in messages] == [
        "ERROR 22P02: invalid input syntax for type integer: ...\nCONTEXT: COPY t, line 1, column a",
        "FEHLER 42501: keine Berechtigung für Tabelle t",
    ]
    assert messages[0].source_file == "numutils.c:617"
    assert read_messages("") == ("", [])


DEFINITIONS = {
    """CREATE USER MAPPING FOR postgres SERVER s OPTIONS (
    password 'can''a)ry',
    "user" 'canary'
);""": """CREATE USER MAPPING FOR postgres SERVER s OPTIONS (
    password '...',
    "user" '...'
);""",
    """CREATE FUNCTION public.f() RETURNS text
    LANGUAGE sql
    SET "app.key" TO 'canary', E'can\\'ary'
    SET search_path TO 'canary', 'canary'
    SET work_mem TO canary
    AS $$select 'kept'$$;""": """CREATE FUNCTION public.f() RETURNS text
    LANGUAGE sql
    SET "app.key" TO '...', '...'
    SET search_path TO '...', '...'
    SET work_mem TO '...'
    AS $$select 'kept'$$;""",
    "ALTER TABLE t ALTER COLUMN c SET DEFAULT 'kept'::text;": "ALTER TABLE t ALTER COLUMN c SET DEFAULT 'kept'::text;",
    "CREATE FOREIGN TABLE t (\n    a int OPTIONS (column_name 'canary')\n) SERVER s;": (
        "CREATE FOREIGN TABLE t (\n    a int OPTIONS (column_name '...')\n) SERVER s;"
    ),
}


@pytest.mark.parametrize(("definition", "shown"), DEFINITIONS.items())
def test_definitions(definition: str, shown: str) -> None:
    assert hide_values(definition) == shown
