# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every database of the corpus arrives equal by the oracle, or is refused in preflight for the reason written here."""

from __future__ import annotations

import re
import tempfile
import typing as t
from pathlib import Path

import pytest
from psycopg import sql

from tests import corpus, oracle
from tests.migration import Outcome, migrate, prepare, run
from tests.servers import PostgresServer, Servers

#: As `corpus.shared` takes them; written down so that they are seen to be skipped where the corpus is absent.
CASES: t.Final[dict[str, tuple[str, dict[str, str]]]] = {
    "aact": ("aact", {}),
    "adventureworks": ("adventureworks", {}),
    "apflora": ("apflora", {}),
    "chinook": ("chinook", {}),
    "danbooru": ("danbooru", {}),
    "grafast": ("grafast", {}),
    "iso3166": ("iso3166", {}),
    "kitchensink": ("kitchensink", {}),
    "netflix": ("netflix", {}),
    "northwind": ("northwind", {}),
    "pagila": ("pagila", {}),
    "pgcopydb_blobs": ("pgcopydb_blobs", {}),
    "pgcopydb_unit": ("pgcopydb_unit", {}),
    "sakila": ("sakila", {}),
    "sigmasight_gen": ("sigmasight_gen", {}),
    "temporal_visibility": ("temporal_visibility", {}),
    "torture": ("torture", {}),
    "zabbix": ("zabbix", {}),
    "torture_hostile": ("torture", {"hostile": "1"}),
    "bulk": ("bulk", {"scale": "0.01"}),
}

#: What load on the wheels' servers, which have few extensions or none.
PLAIN: t.Final = (
    "chinook",
    "iso3166",
    "netflix",
    "northwind",
    "pagila",
    "pgcopydb_blobs",
    "sakila",
    "sigmasight_gen",
    "zabbix",
)

Refusals = set[tuple[str, str]]

# The wheel's server of 18 is built without ICU, libxml, lz4, OpenSSL (pgcrypto) and uuid (uuid-ossp).
_CRYPTO: t.Final = ("extension-missing", "extension pgcrypto")
_UUID: t.Final = ("extension-missing", "extension uuid-ossp")
_TORTURE_ON_18: t.Final[Refusals] = {
    _CRYPTO,
    _UUID,
    ("icu", "collation types.Sort Numeric"),
    ("icu", "collation types.nd_ci"),
    ("lz4", "column types.toasty.lz4"),
    ("xml", "column types.all_types.x"),
}
#: Each of them would fail in the middle of a run.
_HOSTILE: t.Final[Refusals] = {
    ("expression", "check constraint hostile.h1_check via_path"),
    ("expression", "column hostile.h3_gen.n"),
    ("expression", "index hostile.h3_norm"),
    ("expression", "materialized view hostile.h4_mv"),
    ("expression-rows", "check constraint hostile.h6_chk h6_chk_v_check"),
    ("orphans", "fk constraint hostile.h6_c h6_c_p_fkey"),
    ("self-referring-view", "view hostile.h12_self"),
}

#: Why preflight refuses a database, by the target's major.
REFUSED: t.Final[dict[tuple[str, str], Refusals]] = {
    ("torture_hostile", "15"): _HOSTILE,
    ("aact", "18"): {("xml", "column support.study_xml_records.content")},
    ("adventureworks", "18"): {
        _UUID,
        ("xml", "column humanresources.jobcandidate.resume"),
        ("xml", "column person.person.additionalcontactinfo"),
        ("xml", "column person.person.demographics"),
        ("xml", "column production.illustration.diagram"),
        ("xml", "column production.productmodel.catalogdescription"),
        ("xml", "column production.productmodel.instructions"),
        ("xml", "column sales.store.demographics"),
    },
    ("apflora", "18"): {_CRYPTO, _UUID},
    ("danbooru", "18"): {_CRYPTO},
    ("grafast", "18"): {_CRYPTO, _UUID},
    ("kitchensink", "18"): {
        _CRYPTO,
        _UUID,
        # An argument is called so, which a server of 15 does not quote and one of 17 takes for a keyword.
        ("cannot-create", "function c.json_identity(json)"),
        ("cannot-create", "function c.json_identity_mutation(json)"),
        ("cannot-create", "function c.jsonb_identity(jsonb)"),
        ("cannot-create", "function c.jsonb_identity_mutation(jsonb)"),
    },
    ("pgcopydb_unit", "18"): {
        _UUID,
        ("collation", "table column public.colls.f1"),
        ("collation", "table column public.colls.f2"),
        ("collation", "table column public.mycoltab.f2"),
        ("icu", "collation public.mycol"),
    },
    ("torture", "18"): _TORTURE_ON_18,
    ("torture_hostile", "18"): _TORTURE_ON_18 | _HOSTILE,
}


def test_no_database_of_the_corpus_is_forgotten() -> None:
    corpus.require()
    generated = {"sigmasight_gen", "torture", "torture_hostile", "bulk"}
    assert set(corpus.names()) | generated == set(CASES)


@pytest.mark.parametrize("case", sorted(CASES))
@pytest.mark.parametrize("major", ["15", "18"])
def test_from_15(servers: Servers, case: str, major: str) -> None:
    check(servers.source("15"), servers.target(major), case)


@pytest.mark.parametrize("case", PLAIN)
def test_from_16(servers: Servers, case: str) -> None:
    """From 18 to 18 the same databases go in test_plain_role.py."""
    check(servers.source("16"), servers.target(), case)


@pytest.mark.parametrize("case", ["iso3166", "pagila", "pgcopydb_blobs", "sakila"])
def test_from_18(servers: Servers, case: str) -> None:
    """Some that are small and full of things."""
    check(servers.source(), servers.target(), case)


def test_missing_roles_are_refused(servers: Servers) -> None:
    """Roles belong to a server: those that policies, user mappings and values name must be there."""
    source, target = servers.source("15"), servers.target("16")
    outcome = migrate(source, corpus.shared(source, "torture"), target, "no_roles")
    assert {object_ for code, object_ in outcome.refusals if code == "role-missing"} == {
        'role Tort "Odd" Rôle',
        "role tort_group",
        "role tort_owner",
        "role tort_reader",
    }
    assert outcome.status == "refused"


def check(source: PostgresServer, target: PostgresServer, case: str) -> None:
    """Migrate one database and judge the outcome; afterwards the target has no other database than before.

    What has arrived is found equal (no false alarm), and the next run finds nothing to do.
    """
    name, options = CASES[case]
    source_db, target_db = corpus.shared(source, name, **options), f"corpus_{case}"
    create_roles(source, target)
    before = oracle.databases(target)
    with tempfile.TemporaryDirectory(prefix="pgconvoy-test-") as folder:
        migration = prepare(source, source_db, target, target_db, Path(folder) / "archive")
        outcome = run(migration)
    refused = REFUSED.get((case, target.major), set())
    assert outcome.refusals == refused, outcome
    # What is not refused arrives: nothing fails later for a reason that the rehearsal could have shown.
    assert outcome.status == ("refused" if refused else "migrated"), outcome
    if not refused:
        check_ledger(source, source_db, outcome)
        oracle.assert_equal(source, source_db, target, target_db)
        assert migration.compare().differences == ()
        assert migrate(source, source_db, target, target_db).status == "unchanged"
        target.drop_database(target_db)
    assert oracle.databases(target) == before


def create_roles(source: PostgresServer, target: PostgresServer) -> None:
    """Give the target the roles of the source; they belong to the server and nobody carries them."""
    query = "SELECT rolname FROM pg_roles WHERE rolname !~ '^pg_'"
    with source.connect() as ours, target.connect() as theirs:
        present = set(theirs.execute(query).fetchall())
        for (role,) in set(ours.execute(query).fetchall()) - present:
            theirs.execute(sql.SQL("CREATE ROLE {}").format(sql.Identifier(role)))


def check_ledger(source: PostgresServer, source_db: str, outcome: Outcome) -> None:
    """Conservation (P1): rows of the source = rows of the manifest = rows received = rows counted on the target."""
    lines = [re.fullmatch(r"tab (.*) rows=(\d+) .*", line) for line in corpus.fingerprint(source, source_db)]
    held = {found[1]: int(found[2]) for found in lines if found}
    assert outcome.manifest
    assert outcome.verdict
    sent = {(table.schema, table.name): table.rows for table in outcome.manifest.tables}
    assert outcome.received == sent
    assert {named(*table): rows for table, rows in sent.items()} == {name: rows for name, rows in held.items() if rows}
    counted = {named(v.schema, v.name): v.target_rows for v in outcome.verdict.tables if v.kind == "table"}
    assert counted == held


def named(schema: str, name: str) -> str:
    """Return a table's name as the fingerprint writes it."""
    return f"{schema}.{name}".replace("\n", "\\n")
