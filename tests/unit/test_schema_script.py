# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""pg_restore's script: split into its entries, whatever text the objects' definitions hold."""

from __future__ import annotations

import pytest
from ansible_collections.pgconvoy.migrate.plugins.module_utils.archive.schema import Entry, parts_of, split_script
from ansible_collections.pgconvoy.migrate.plugins.module_utils.errors import MigrationError
from hypothesis import given
from hypothesis import strategies as st

START = b"--\n-- PostgreSQL database dump\n--\n\nSET statement_timeout = 0;\n\n"
END = b"\n-- Completed on 2026-01-01 00:00:00 UTC\n\n--\n-- PostgreSQL database dump complete\n--\n\n"


def header(number: int, name: str = "f", kind: str = "FUNCTION", schema: str = "public") -> bytes:
    return (
        f"--\n-- TOC entry {number} (class 1255 OID 16384)\n-- Dependencies: 3 7\n"
        f"-- Name: {name}; Type: {kind}; Schema: {schema}; Owner: -\n--\n"
    ).encode()


def script(*entries: tuple[int, bytes]) -> bytes:
    """Write a script as pg_restore does."""
    return START + b"\n".join(header(number) + b"\n" + body + b"\n\n" for number, body in entries) + END


def test_entries() -> None:
    text = (
        START
        + header(7, "app", "SCHEMA", "-")
        + b"\nCREATE SCHEMA app;\n\n\n"
        + header(9, "t; Type: x; Schema: y", "TABLE", "My Schema")
        + b"\nCREATE TABLE a();\nCREATE TABLE b();\n\n"
        + END
    )
    assert split_script(text, [7, 9]) == [
        Entry("SCHEMA", "app", b"CREATE SCHEMA app;"),
        Entry("TABLE", "My Schema.t; Type: x; Schema: y", b"CREATE TABLE a();\nCREATE TABLE b();"),
    ]


def test_addresses() -> None:
    """Where an object is in the catalogs, which is no part of what it is."""
    (entry,) = split_script(script((1, b"SELECT 1;")), [1])
    assert entry.address == (1255, 16384)
    assert entry == Entry("FUNCTION", "public.f", b"SELECT 1;")


def test_nothing_to_do() -> None:
    assert split_script(START + END, []) == []


def test_script_that_ends_in_the_middle() -> None:
    with pytest.raises(MigrationError, match="ends in the middle"):
        split_script(script((1, b"SELECT 1;"))[: -len(END)], [1])


@pytest.mark.parametrize("announced", [[], [1], [2, 1], [1, 2, 3]])
def test_script_that_is_not_what_was_announced(announced: list[int]) -> None:
    with pytest.raises(MigrationError, match="does not match its own list"):
        split_script(script((1, b"SELECT 1;"), (2, b"SELECT 2;")), announced)


FRAGMENTS = st.sampled_from(
    [header(1), header(2), header(3), header(1).strip(), b"--", b"", b"SELECT 1;", END, END.strip(), header(2)[:-3]]
)
BODIES = st.lists(FRAGMENTS, max_size=5).map(lambda parts: b"CREATE FUNCTION f AS $$\n" + b"\n".join(parts) + b"\n$$;")


@given(BODIES, BODIES)
def test_bodies_that_imitate_headers(one: bytes, two: bytes) -> None:
    """They are kept whole, or the script is refused; never is a statement cut or attributed to another object."""
    try:
        entries = split_script(script((1, one), (2, two)), [1, 2])
    except MigrationError:
        assert b"-- TOC entry" in one + two
    else:
        assert [entry.statements for entry in entries] == [one, two]


KINDS = st.sampled_from(
    ["INDEX", "CONSTRAINT", "FK CONSTRAINT", "TRIGGER", "COMMENT", "INDEX ATTACH", "RULE", "STATISTICS", "POLICY"]
)


def test_parts_of_a_table() -> None:
    """All that goes with it, by what the archive says of dependencies; nothing that merely uses it."""
    entries = [
        Entry(kind, name, b"", number, frozenset(needs))
        for number, (kind, name, needs) in enumerate(
            [
                ("TABLE", "public.a", ()),
                ("TABLE", "public.b", ()),
                ("TABLE", "public.a x", ()),
                ("SEQUENCE", "public.a_id_seq", (0,)),
                ("SEQUENCE OWNED BY", "public.a_id_seq", (3,)),
                ("SEQUENCE", "public.loose", ()),
                ("VIEW", "public.v", (0,)),
                ("DEFAULT", "public.a id", (0, 3)),
                ("INDEX", "public.i", (0,)),
                ("COMMENT", "public.INDEX i", (8,)),
                ("COMMENT", "public.VIEW v", (6,)),
                ("FK CONSTRAINT", "public.b b_a_fkey", (1, 0)),
                ("FK CONSTRAINT", "public.a a_b_fkey", (0, 1)),
                ("TRIGGER", "public.a x t", (2,)),
                ("RULE", "public.b r", (1, 0)),
                ("PUBLICATION TABLE", "public.p a", (0,)),
            ]
        )
    ]
    assert [entry.number for entry in parts_of(entries, {"public.a"})] == [0, 3, 4, 7, 8, 9, 12]
    assert [entry.number for entry in parts_of(entries, {"public.a x"})] == [2, 13]


def test_dependencies_are_read() -> None:
    (entry,) = split_script(script((5, b"SELECT 1;")), [5])
    assert (entry.number, entry.needs) == (5, frozenset({3, 7}))
