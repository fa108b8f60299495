# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What no definition tells: versions of extensions, keys that nobody checks, where an entry's statements end."""

from __future__ import annotations

import dataclasses

import pytest
from ansible_collections.pgconvoy.migrate.plugins.module_utils.archive.schema import Entry
from ansible_collections.pgconvoy.migrate.plugins.module_utils.catalog.content import Content
from ansible_collections.pgconvoy.migrate.plugins.module_utils.catalog.foreign_keys import ForeignKey
from ansible_collections.pgconvoy.migrate.plugins.module_utils.catalog.queries import Query
from ansible_collections.pgconvoy.migrate.plugins.module_utils.catalog.requirements import Extension
from ansible_collections.pgconvoy.migrate.plugins.module_utils.verdict.comparison import (
    Verdict,
    compare,
    compare_answers,
)
from ansible_collections.pgconvoy.migrate.plugins.module_utils.verdict.databases import compare_extensions
from ansible_collections.pgconvoy.migrate.plugins.module_utils.verdict.definitions import compare_schemas
from ansible_collections.pgconvoy.migrate.plugins.module_utils.verdict.findings import Difference
from ansible_collections.pgconvoy.migrate.plugins.module_utils.verdict.row_differences import RowDifferences


@pytest.mark.parametrize(
    ("source", "target", "default", "differs"),
    [
        ("1.6", "1.6", "1.6", False),
        # A copy is made in the version that the target's server prefers ...
        ("1.5", "1.6", "1.6", False),
        # ... and stays as it is when the server gets a newer one.
        ("1.5", "1.5", "1.6", False),
        ("1.6", "1.5", "1.6", True),
        ("1.5", "1.4", "1.6", True),
        ("1.6", "1.5", None, True),
    ],
)
def test_version_of_an_extension(source: str, target: str, default: str | None, differs: bool) -> None:
    defaults = {"trgm": default} if default else {}
    found = compare_extensions([Extension("trgm", source)], [Extension("trgm", target)], defaults)
    assert [one.object for one in found] == (["extension trgm"] if differs else [])


def test_extension_on_one_side_alone_is_told_by_its_definition() -> None:
    one = [Extension("trgm", "1.6")]
    assert compare_extensions(one, [], {}) == compare_extensions([], one, {}) == ()


@pytest.mark.parametrize(
    ("source", "target", "equal"), [(True, True, True), (True, False, False), (False, True, True), (False, False, True)]
)
def test_key_that_nobody_checks(source: bool, target: bool, equal: bool) -> None:
    """A restore makes every key enforced, so that a source's that is not is none that a copy could have."""
    key = ForeignKey("k", "public.c", "public.p", "FOREIGN KEY (p) REFERENCES p(id)", validated=True)
    ours, theirs = (
        Content("test", (), (), (), (dataclasses.replace(key, enforced=enforced),)) for enforced in (source, target)
    )
    verdict = compare(ours, theirs)
    assert verdict.equal == equal == verdict.foreign_keys[0].equal
    assert [one.object for one in verdict.differences] == ([] if equal else ["fk constraint public.c k"])


TABLE = b"CREATE TABLE public.t (\n    a integer\n);"
HEAP, OTHER = b"\n\n\nSET default_table_access_method = heap;", b"\n\n\nSET default_table_access_method = other;"


def schema(*entries: tuple[str, bytes]) -> list[Entry]:
    return [Entry(kind, f"public.{kind.lower()}{number}", text) for number, (kind, text) in enumerate(entries)]


def test_state_of_the_script_is_no_part_of_an_object() -> None:
    """It is said behind whatever object is the last before the first table."""
    ours = schema(("FUNCTION", b"CREATE FUNCTION"), ("COMMENT", b"COMMENT" + HEAP), ("TABLE", TABLE))
    theirs = schema(("FUNCTION", b"CREATE FUNCTION" + HEAP), ("COMMENT", b"COMMENT"), ("TABLE", TABLE))
    assert compare_schemas(ours, theirs)[1] == ()


def test_access_method_is_the_tables() -> None:
    ours = schema(("FUNCTION", b"F" + HEAP), ("TABLE", TABLE), ("VIEW", b"V"), ("TABLE", TABLE))
    theirs = schema(("FUNCTION", b"F" + HEAP), ("TABLE", TABLE + OTHER), ("VIEW", b"V"), ("TABLE", TABLE + HEAP))
    assert [str(one) for one in compare_schemas(ours, theirs)[1]] == [
        "table public.table3: defined otherwise on the target (- source, + target):\n    +USING other"
    ]
    assert compare_schemas(theirs, theirs)[1] == ()


def test_words_of_either_server() -> None:
    """What is defined in the source's own words is equal, and so is what is in the target's."""
    ours, reworded = (schema(("TABLE", TABLE), ("VIEW", one), ("SEQUENCE", b"S")) for one in (b"V", b"W"))
    theirs = schema(("TABLE", TABLE), ("VIEW", b"W"), ("SEQUENCE", b"S"))
    other = schema(("TABLE", b"U"), ("VIEW", b"W"), ("SEQUENCE", b"T"))
    assert [one.object for one in compare_schemas(ours, theirs)[1]] == ["view public.view1"]
    assert compare_schemas(ours, theirs, reworded=reworded)[1] == ()
    assert compare_schemas(ours, theirs, reworded=other)[1] == ()
    assert [one.object for one in compare_schemas(ours, other, reworded=reworded)[1]] == [
        "sequence public.sequence2",
        "table public.table0",
    ]


def test_a_functions_body_may_say_what_it_likes() -> None:
    body = b"CREATE FUNCTION AS $$\nSET default_table_access_method = other;\n$$;"
    other = body.replace(b"other", b"another")
    assert compare_schemas(schema(("FUNCTION", body)), schema(("FUNCTION", other)))[1] != ()


def test_answers() -> None:
    queries = [Query("a", "SELECT 1", "1"), Query("b", "SELECT 2", "same"), Query("c", "SELECT 3", "same")]
    assert compare_answers(queries, {"a": "0", "b": "2", "c": "3"}, {"a": "1", "b": "2", "c": "3"}) == ()
    found = compare_answers(queries, {"a": "1", "b": "2"}, {"a": "9", "b": "8", "c": "3"})
    assert [one.object for one in found] == ["query a", "query b", "query c"]
    # Nothing is an answer too.
    assert compare_answers([Query("d", "", "")], {}, {"d": ""}) == ()
    assert compare_answers([Query("d", "", "same")], {"d": ""}, {"d": "\\N"}) != ()


def test_allowed_is_what_is_named_to_the_letter() -> None:
    verdict = Verdict(
        differences=(Difference("table a.b", "x"), Difference("table a.b", "y"), Difference("table a", "z"))
    )
    allowed = verdict.allowing({"table a.b": "known", "table": "all of them", "TABLE a": "shouted"})
    assert allowed.differences == (Difference("table a", "z"),)
    assert [(one.message, one.reason) for one in allowed.allowed] == [("x", "known"), ("y", "known")]
    assert not allowed.equal
    assert allowed.allowing({"table a": "known"}).equal


def test_words_of_differing_rows() -> None:
    assert str(RowDifferences()) == ""
    found = RowDifferences(missing=1_234, changed=1, columns=("a", "b"))
    found.examples["missing"] = ["(1)", "(2)"]
    found.examples["changed"] = ["(3)"]
    assert str(found) == "1,234 missing: (1), (2), ...; 1 changed in a, b: (3)"
