# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a run came to, by what its stages left; and how a person is told."""

from __future__ import annotations

import copy
import json
import stat
import typing as t
from pathlib import Path

import pytest
from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.testing import patch_module_args
from ansible_collections.pgconvoy.migrate.plugins.module_utils.preflight.goals import GOALS
from ansible_collections.pgconvoy.migrate.plugins.module_utils.run.folder import Record, RunFolder
from ansible_collections.pgconvoy.migrate.plugins.module_utils.run.history import keep, read_history, sum_up
from ansible_collections.pgconvoy.migrate.plugins.module_utils.run.page import add_up, line_up, render
from ansible_collections.pgconvoy.migrate.plugins.module_utils.run.presentation import (
    consequence,
    explain,
    summarize,
    visible,
)
from ansible_collections.pgconvoy.migrate.plugins.module_utils.run.report import (
    REACHED,
    Failure,
    Report,
    Run,
    compose,
)
from ansible_collections.pgconvoy.migrate.plugins.modules import report as module
from hypothesis import given
from hypothesis import strategies as st

_TEMPLATES: t.Final = Path(__file__).resolve().parents[2] / "roles/report/templates"
_STAGES: t.Final = ("preflight", "dump", "schema_restore", "data_restore", "compare", "switch")
_STATUSES: t.Final = {
    "migrate": {"migrated", "unchanged", "refused", "failed"},
    "restore": {"migrated", "unchanged", "refused", "failed"},
    "verify": {"equal", "different", "failed"},
    "dump": {"dumped", "refused", "failed"},
    "rehearse": {"rehearsed", "unchanged", "refused", "failed"},
    "repair": {"repaired", "unchanged", "refused", "failed"},
    "rollback": {"rolled_back", "refused", "failed"},
}


def _server(**more: object) -> Record:
    return {"host": "db", "port": 5432, "dbname": "shop", "server_version": "15.18", "size": 7_654_321, **more}


def _table(name: str = "users", rows: int = 3, **more: object) -> Record:
    checksums = {"source_checksum": None, "target_checksum": None}
    counts = {"source_rows": rows, "target_rows": rows}
    return {"schema": "public", "name": name, "kind": "table", **counts, **checksums, "equal": True, **more}


_FINDING: t.Final = {"code": "tls", "object": "target", "message": "no TLS", "remedy": "switch it on"}
_CONTENT: t.Final[dict[str, Record]] = {
    "preflight": {
        "goal": "migrate",
        "host": "sandbox-db",
        "findings": [{**_FINDING, "severity": "warning"}],
        "source": _server(),
        "target": _server(exists=True),
        "tools": {"bindir": "/usr/bin", "version": "18.6"},
        "plan": ["create the staging database"],
    },
    "dump": {
        "archive": "/archives/a",
        "bytes": 100,
        "tables": [{"schema": "public", "name": "users", "snapshot_rows": 3, "sent_rows": 3, "bytes": 60}],
    },
    "schema_restore": {"staging": "shop_staging", "objects": 5},
    "data_restore": {
        "tables": [{"schema": "public", "name": "users", "sent_rows": 3, "received_rows": 3}],
        "large_objects": 0,
        "sequences": 1,
    },
    "compare": {
        "equal": True,
        "tables": [_table()],
        "differences": [],
        "sequences": [
            {"name": "public.users_id_seq", "source": "last value 3", "target": "last value 3", "equal": True}
        ],
        "large_objects": [{"name": "16384", "source": "5 bytes", "target": "5 bytes", "equal": True}],
        "foreign_keys": [
            {
                "name": "fk",
                "table": "public.a",
                "references": "public.b",
                "source_validated": True,
                "target_validated": True,
                "equal": True,
            }
        ],
        "objects": [{"type": "index", "source": 2, "target": 2, "equal": True}],
    },
    "switch": {"live": "shop", "previous": "shop_previous", "staging": "shop_staging"},
}
_WRONG: t.Final[dict[str, Record]] = {
    "compare": {
        **_CONTENT["compare"],
        "equal": False,
        "tables": [_table(target_rows=2, equal=False)],
        "differences": [{"object": "table public.users", "message": "3 rows on the source, 2 on the target"}],
    },
    "data_restore": {"tables": [{"schema": "public", "name": "users", "sent_rows": 3, "received_rows": 2}]},
}


def _record(stage: str, content: Record, error: str | None = None) -> Record:
    began_at = f"2026-11-22T10:00:0{_STAGES.index(stage)}.000000+00:00"
    changed = stage not in ("preflight", "compare") and not error
    return {"stage": stage, "began_at": began_at, "seconds": 0.5, "changed": changed, "error": error, **content}


def _records(outcomes: str) -> dict[str, Record]:
    """Make records of words: "dump" went well, "dump!" failed, "switch-" changed nothing, "compare~" found a loss."""
    records = {}
    for word in outcomes.split():
        stage = word.rstrip("!-~")
        content = _WRONG[stage] if word.endswith("~") else _CONTENT[stage]
        record = _record(
            stage, {} if word.endswith("!") else content, f"{stage} is broken" if word[-1] == "!" else None
        )
        records[stage] = {**copy.deepcopy(record), "changed": record["changed"] and word[-1] != "-"}
        if word == "preflight-":
            records[stage]["plan"] = []
    return records


def _report(outcomes: str, goal: str = "migrate", failure: Failure | None = None) -> Report:
    return compose(_records(outcomes), Run(goal, "sandbox-db", "20261122T100000Z-abc123", failure))


_ALL: t.Final = "preflight dump schema_restore data_restore compare switch"
_PHRASE: t.Final = Failure("The phrase was not typed.", "ansible.builtin.assert")
_UNKNOWN: t.Final = Failure("Something broke.")


def _killed(stage: str) -> Failure:
    return Failure("The module was killed.", f"pgconvoy.migrate.{stage}")


@pytest.mark.parametrize(
    ("goal", "outcomes", "failure", "status", "errors"),
    [
        # the good ends
        ("migrate", _ALL, None, "migrated", []),
        ("restore", "preflight schema_restore data_restore compare switch", None, "migrated", []),
        ("migrate", "preflight-", None, "unchanged", []),
        ("restore", "preflight-", None, "unchanged", []),
        ("verify", "preflight compare", None, "equal", []),
        ("dump", "preflight dump", None, "dumped", []),
        ("rollback", "preflight switch", None, "rolled_back", []),
        # nothing was attempted
        ("migrate", "preflight!", Failure("preflight is broken"), "refused", ["preflight"]),
        ("dump", "preflight!", None, "refused", ["preflight"]),
        ("rollback", "preflight!", None, "refused", ["preflight"]),
        ("migrate", "preflight", _PHRASE, "refused", ["play"]),
        ("restore", "preflight", _PHRASE, "refused", ["play"]),
        ("rollback", "preflight", _PHRASE, "refused", ["play"]),
        ("migrate", "preflight-", _PHRASE, "refused", ["play"]),
        ("migrate", "", _killed("preflight"), "refused", ["preflight"]),
        # a verification is never refused
        ("verify", "preflight!", None, "failed", ["preflight"]),
        ("verify", "preflight", _PHRASE, "failed", ["play"]),
        # a stage failed
        ("migrate", "preflight dump!", Failure("dump is broken"), "failed", ["dump"]),
        ("migrate", "preflight dump schema_restore!", None, "failed", ["schema_restore"]),
        ("migrate", "preflight dump schema_restore data_restore!", None, "failed", ["data_restore"]),
        ("migrate", "preflight dump schema_restore data_restore compare!", None, "failed", ["compare"]),
        ("migrate", f"{_ALL}!", None, "failed", ["switch"]),
        ("dump", "preflight dump!", None, "failed", ["dump"]),
        ("verify", "preflight compare!", None, "failed", ["compare"]),
        ("rollback", "preflight switch!", None, "failed", ["switch"]),
        # a stage was killed: it has no record
        ("migrate", "preflight", _killed("dump"), "failed", ["dump"]),
        ("migrate", "preflight dump", _killed("schema_restore"), "failed", ["schema_restore"]),
        ("restore", "preflight", _killed("schema_restore"), "failed", ["schema_restore"]),
        ("migrate", "preflight dump schema_restore data_restore", _killed("compare"), "failed", ["compare"]),
        ("migrate", "preflight dump schema_restore data_restore compare", _killed("switch"), "failed", ["switch"]),
        ("rollback", "preflight", _killed("switch"), "failed", ["switch"]),
        ("verify", "preflight", _killed("compare"), "failed", ["compare"]),
        # it is not known what the play had begun
        ("migrate", "preflight", _UNKNOWN, "failed", ["play"]),
        ("migrate", "", _UNKNOWN, "failed", ["play"]),
        # everything is recorded well, and yet the play failed
        ("migrate", _ALL, _UNKNOWN, "failed", ["play"]),
        ("verify", "preflight compare", _UNKNOWN, "failed", ["play"]),
        ("dump", "preflight dump", _UNKNOWN, "failed", ["play"]),
        ("rollback", "preflight switch", _UNKNOWN, "failed", ["play"]),
        # two errors: that of the stage, and that of putting things back
        ("migrate", "preflight dump!", _UNKNOWN, "failed", ["dump", "play"]),
        # the play went on to its end, but a record is missing or speaks against it
        ("migrate", "", None, "failed", ["play"]),
        ("migrate", "preflight", None, "failed", ["play"]),
        ("migrate", "preflight dump schema_restore data_restore compare", None, "failed", ["play"]),
        ("migrate", f"{_ALL}-", None, "failed", ["play"]),
        ("migrate", "preflight dump schema_restore data_restore switch", None, "failed", ["play"]),
        ("migrate", "preflight dump schema_restore data_restore compare~ switch", None, "failed", ["play"]),
        ("migrate", "preflight dump schema_restore data_restore~ compare switch", None, "failed", ["play"]),
        ("migrate", "preflight dump schema_restore compare switch", None, "failed", ["play"]),
        ("migrate", "preflight- dump", None, "failed", ["play"]),
        ("migrate", "preflight- compare~", None, "failed", ["play"]),
        ("verify", "preflight", None, "failed", ["play"]),
        ("dump", "preflight", None, "failed", ["play"]),
        ("rollback", "preflight switch-", None, "failed", ["play"]),
        # differences are a verdict, whether or not the play fails for them
        ("verify", "preflight compare~", None, "different", []),
        ("verify", "preflight compare~", Failure("1 difference"), "different", ["play"]),
    ],
)
def test_status(goal: str, outcomes: str, failure: Failure | None, status: str, errors: list[str]) -> None:
    """The status is a good one only if every record that it needs says so, and nothing speaks against it."""
    report = _report(outcomes, goal, failure)
    assert (report["status"], [error["stage"] for error in report["errors"]]) == (status, errors)
    assert all(error["message"] for error in report["errors"])


def test_finding_of_severity_error_is_an_error() -> None:
    """Even if preflight itself did not fail for it."""
    records = _records(_ALL)
    records["preflight"]["findings"] = [{**_FINDING, "severity": "error"}]
    report = compose(records, Run("migrate", "h", "r"))
    assert (report["status"], report["errors"]) == ("failed", [{"stage": "preflight", "message": "target: no TLS"}])


def test_keys_are_always_the_same() -> None:
    """A reader of report.json needs to ask for no key's presence."""
    keys = list(_report(_ALL))
    assert keys == list(_report("")) == list(_report("preflight!")) == list(_report("preflight compare~", "verify"))


def test_what_a_report_tells() -> None:
    """Everything is where its readers look for it."""
    report = _report(_ALL)
    assert report["began_at"] == "2026-11-22T10:00:00.000000+00:00"
    assert report["ended_at"] == "2026-11-22T10:00:05.500000+00:00"
    assert report["source"]["dbname"] == "shop"
    assert report["tables"] == [_table()]
    assert report["ledger"] == [
        {
            "schema": "public",
            "name": "users",
            "snapshot_rows": 3,
            "sent_rows": 3,
            "received_rows": 3,
            "target_rows": 3,
            "conserved": True,
        }
    ]
    assert report["timings"] == dict.fromkeys(_STAGES, 0.5)
    assert (report["archive"], report["live"], report["previous"]) == ("/archives/a", "shop", "shop_previous")


@pytest.mark.parametrize(
    ("goal", "outcomes", "stations", "conserved"),
    [
        ("migrate", _ALL, (3, 3, 3, 3), True),
        ("restore", "preflight schema_restore data_restore compare switch", (3, 3, 3, 3), True),
        ("dump", "preflight dump", (3, 3, None, None), True),
        ("migrate", "preflight dump", (3, 3, None, None), False),
        ("migrate", "preflight dump schema_restore data_restore", (3, 3, 3, None), False),
        ("migrate", "preflight dump schema_restore data_restore~ compare switch", (3, 3, 2, 3), False),
        ("migrate", "preflight dump schema_restore data_restore compare~", (3, 3, 3, 2), False),
    ],
)
def test_ledger(goal: str, outcomes: str, stations: tuple[int | None, ...], conserved: bool) -> None:
    """Rows are conserved only if each station of the way has counted the same."""
    (entry,) = _report(outcomes, goal)["ledger"]
    told = (entry["snapshot_rows"], entry["sent_rows"], entry["received_rows"], entry["target_rows"])
    assert (told, entry["conserved"]) == (stations, conserved)


def test_rows_lost_between_dump_and_archive_fail_a_dump() -> None:
    """The ledger is a gate for a dump too."""
    records = _records("preflight dump")
    records["dump"]["tables"] = [{"schema": "s", "name": "t", "snapshot_rows": 4, "sent_rows": 3, "bytes": 1}]
    report = compose(records, Run("dump", "h", "r"))
    assert report["status"] == "failed"
    assert report["errors"][0]["message"].startswith("s.t: rows were not conserved: snapshot rows 4, sent rows 3")


@pytest.mark.parametrize(
    ("dumped", "restored"),
    [((3, 3), (2, 3)), ((3, 2), (3, 3)), ((2, 3), (3, 3)), ((3, 3), (3, None)), ((None, None), (None, None))],
)
def test_rows_lost_on_the_way_fail_a_migration(dumped: tuple[int, int], restored: tuple[int, int]) -> None:
    """Whatever the verdict says, and a count that is missing is no count that agrees."""
    records = _records(_ALL)
    for stage, keys, counts in (
        ("dump", ("snapshot_rows", "sent_rows"), dumped),
        ("data_restore", ("sent_rows", "received_rows"), restored),
    ):
        records[stage]["tables"][0].update(zip(keys, counts, strict=True))
    report = compose(records, Run("migrate", "h", "r"))
    assert (report["status"], report["ledger"][0]["conserved"]) == ("failed", False)


@pytest.mark.parametrize(
    ("restored", "status"),
    [
        ({"sent_rows": 3, "received_rows": 3}, "migrated"),
        ({"sent_rows": 3, "received_rows": 2}, "failed"),
        ({"sent_rows": 2, "received_rows": 2}, "failed"),
        ({"received_rows": 3}, "failed"),
        ({}, "failed"),
    ],
)
def test_streamed_rows_are_accounted_for(restored: Record, status: str) -> None:
    """They are sent once: a dump that holds a snapshot has counted, and sent none."""
    records = _records(_ALL)
    table = {"schema": "public", "name": "users"}
    records["dump"] = _record("dump", {"snapshot": "00000004-1", "tables": [{**table, "snapshot_rows": 3}]})
    records["data_restore"]["tables"] = [{**table, **restored}]
    report = compose(records, Run("migrate", "h", "r"))
    (entry,) = report["ledger"]
    assert (report["status"], entry["conserved"], report["archive"]) == (status, status == "migrated", None)
    # A dump by itself is no dump without an archive.
    assert compose({"dump": records["dump"]}, Run("dump", "h", "r"))["status"] == "failed"


def test_databases_are_named_only_after_a_switch() -> None:
    """A failed switch left the names as they were; and without a live database before, none is kept."""
    records = _records(f"{_ALL}-")
    assert compose(records, Run("migrate", "h", "r"))["live"] is None
    records = _records(_ALL)
    records["switch"]["previous"] = ""
    report = compose(records, Run("migrate", "h", "r"))
    assert (report["live"], report["previous"]) == ("shop", None)


def test_rows_in_another_partition_are_conserved() -> None:
    """A leaf that is loaded through its root may hold other rows; the verdict has compared the tree."""
    records = _records(_ALL)
    records["compare"]["tables"] = [_table(target_rows=1)]
    report = compose(records, Run("migrate", "h", "r"))
    assert (report["status"], report["ledger"][0]["conserved"]) == ("migrated", True)


@pytest.mark.parametrize(
    ("goal", "outcomes", "failure", "summary"),
    [
        ("migrate", _ALL, None, "migrated: 1 table, 3 rows, all equal"),
        ("verify", "preflight compare", None, "equal: 1 table, 3 rows, all equal"),
        ("verify", "preflight compare~", None, "different: 1 difference"),
        ("dump", "preflight dump", None, "dumped: 1 table, 3 rows, in /archives/a"),
        ("migrate", "preflight-", None, "unchanged: there was nothing to do"),
        ("rollback", "preflight switch", None, "rolled back: the previous database is live again"),
        ("migrate", "preflight!", None, "refused: preflight: preflight is broken"),
        ("migrate", "preflight", Failure("first\nsecond"), "failed: play: first"),
    ],
)
def test_summary(goal: str, outcomes: str, failure: Failure | None, summary: str) -> None:
    """One line says what the run came to."""
    assert summarize(_report(outcomes, goal, failure)) == summary


@pytest.mark.parametrize(
    ("read", "unread", "known"),
    [
        (1200, 1, "1,200 of its 1,201 tables, views and sequences can be read"),
        (0, 2, "0 of its 2 tables, views and sequences can be read"),
        (0, 0, "it holds no table"),
    ],
)
def test_summary_of_a_proven_rollback(read: int, unread: int, known: str) -> None:
    """It says what is known of the database that is live now, and what is not."""
    records = _records("preflight switch")
    records["switch"]["proof"] = {"oid": 16384, "read": read, "unread": unread}
    told = f"rolled back: the previous database is live again, as database 16384; {known}"
    assert summarize(compose(records, Run("rollback", "h", "r"))) == told


def test_summary_counts_each_row_once() -> None:
    """The rows of a partitioned table are those of its partitions."""
    records = _records("preflight compare")
    kinds = ("table", "table", "partitioned table", "materialized view")
    records["compare"]["tables"] = [_table(f"t{n}", 1000, kind=kind) for n, kind in enumerate(kinds)]
    assert summarize(compose(records, Run("verify", "h", "r"))) == "equal: 2 tables, 2,000 rows, all equal"


_UNTOUCHED = "The live database was not touched."
_UNCERTAIN = "Whether the live database was replaced is not known. Run playbooks/verify.yml."


@pytest.mark.parametrize(
    ("goal", "outcomes", "failure", "expected"),
    [
        ("migrate", _ALL, None, '"shop" was replaced; the database that it was before is kept as "shop_previous".'),
        ("migrate", "preflight!", None, "Nothing was attempted: source and target are as they were."),
        ("migrate", "preflight dump schema_restore!", None, "The live database was not touched."),
        ("migrate", "preflight dump schema_restore data_restore compare~", None, "The live database was not touched."),
        ("migrate", _ALL, _UNKNOWN, '"shop" was replaced; the database that it was before is kept as "shop_previous".'),
        # The comparison itself breaks off, or is killed.
        ("migrate", "preflight dump schema_restore data_restore compare!", None, _UNTOUCHED),
        ("migrate", "preflight dump schema_restore data_restore", _killed("compare"), _UNTOUCHED),
        ("restore", "preflight schema_restore data_restore compare!", None, _UNTOUCHED),
        ("migrate", "preflight dump", _killed("data_restore"), _UNTOUCHED),
        ("migrate", "preflight dump", _killed("backup"), _UNTOUCHED),
        ("migrate", "preflight dump", _killed("replace"), _UNCERTAIN),
        # A switch that failed says that it did not happen; one that was killed may have happened.
        ("migrate", f"{_ALL}!", None, _UNTOUCHED),
        ("migrate", "preflight dump schema_restore data_restore compare", _killed("switch"), _UNCERTAIN),
        ("rollback", "preflight switch!", None, _UNTOUCHED),
        ("rollback", "preflight", _killed("switch"), _UNCERTAIN),
        ("rollback", "preflight!", None, "Nothing was attempted: source and target are as they were."),
        ("verify", "preflight compare", None, ""),
        ("verify", "preflight compare!", None, ""),
        ("dump", "preflight dump!", None, ""),
    ],
)
def test_consequence(goal: str, outcomes: str, failure: Failure | None, expected: str) -> None:
    """What is said of the live database is certain."""
    assert consequence(_report(outcomes, goal, failure)) == expected


def test_consequence_of_a_switch_that_nobody_knows_of() -> None:
    """The server could not be asked; or what came after the commit failed in a way that nobody has foreseen."""
    records = _records(f"{_ALL}!")
    records["switch"]["uncertain"] = True
    assert consequence(compose(records, Run("migrate", "h", "r"))) == _UNCERTAIN


def test_consequence_without_a_database_before() -> None:
    records = _records(_ALL)
    records["switch"]["previous"] = ""
    told = '"shop" is new; there was no database of that name before.'
    assert consequence(compose(records, Run("migrate", "h", "r"))) == told


def test_explanation_tells_everything() -> None:
    """The last lines of a run say why."""
    report = _report("preflight dump schema_restore data_restore compare~", failure=Failure("one\ntwo"))
    assert explain(report).splitlines() == [
        "The run failed.",
        "play: one",
        "two",
        "table public.users: 3 rows on the source, 2 on the target",
        "The live database was not touched.",
    ]


def test_explanation_tells_no_difference_twice() -> None:
    """The error of a comparison that failed has named them."""
    records = _records("preflight compare~")
    records["compare"]["error"] = "differs:\n- table public.users: 3 rows on the source, 2 on the target"
    report = compose(records, Run("verify", "h", "r"))
    assert explain(report) == f"Source and target differ.\ncompare: {records['compare']['error']}"


def test_visible() -> None:
    """A name cannot act on the terminal or turn around what follows it."""
    assert visible("a\nb\x1b[31m\u202e\u2028\u200bé表\U0001f600") == r"a\nb\x1b[31m\u202e\u2028\u200bé表" + "\U0001f600"
    assert visible("a\n\tb\r", keep="\n\t") == "a\n\tb\\r"


_text = st.text(max_size=12)
_count = st.none() | st.integers(0, 5)


@st.composite
def _any_records(draw: st.DrawFn) -> dict[str, Record]:
    """Draw a subset of a good run's records, each perhaps with an error, a wrong verdict or other counts."""
    records = {}
    for stage in draw(st.lists(st.sampled_from(_STAGES), unique=True)):
        error = draw(st.none() | st.none() | _text)
        content = {} if draw(st.booleans()) and error else copy.deepcopy(_CONTENT[stage])
        record = _record(stage, content, error)
        for table in content.get("tables", []):
            table["name"] = draw(st.sampled_from(["users", "<script>alert('x')</script>"]))
            for key in draw(st.sets(st.sampled_from([key for key in table if key.endswith("_rows")]))):
                table[key] = draw(_count)
        if stage == "compare" and content:
            content["equal"] = draw(st.booleans())
            content["differences"] = draw(
                st.lists(st.fixed_dictionaries({"object": _text, "message": _text}), max_size=2)
            )
        if stage == "preflight" and content:
            content["plan"] = draw(st.lists(_text, max_size=1))
            finding = {"code": "c", "object": "o", "message": draw(_text), "remedy": draw(_text)}
            severities = draw(st.lists(st.sampled_from(["error", "warning", "notice"]), max_size=2))
            content["findings"] = [{**finding, "severity": severity} for severity in severities]
            content["source"] = draw(st.none() | st.just(_server()))
        records[stage] = {**record, **content, "changed": draw(st.booleans())}
    return records


_any_failure = st.none() | st.builds(
    Failure,
    st.text(min_size=1),
    st.sampled_from(["", "ansible.builtin.assert", *(f"pgconvoy.migrate.{s}" for s in _STAGES)]),
)


@given(_any_records(), st.sampled_from(sorted(GOALS)), _any_failure)
def test_no_records_make_a_false_success(records: dict[str, Record], goal: str, failure: Failure | None) -> None:
    """Whatever the stages left: the status is one of the goal's, a success is recorded, and all can be shown."""
    report = compose(records, Run(goal, "h", "r", failure))
    assert report["status"] in _STATUSES[goal]
    failed_stages = [stage for stage, record in records.items() if record["error"]]
    if report["status"] in REACHED:
        assert not failure
        assert not failed_stages
        assert not report["errors"]
    if report["status"] in ("migrated", "repaired"):
        assert records["compare"]["equal"] is True
        assert records["switch"]["changed"] is True
        assert all(entry["conserved"] for entry in report["ledger"])
    if report["status"] == "refused":
        assert not records.keys() & {"dump", "schema_restore", "data_restore", "switch"}
    if report["status"] in ("refused", "failed"):
        assert report["errors"]
    assert "\n" not in summarize(report)
    assert explain(report)
    page = render(report, _TEMPLATES)
    assert page.count("<script") == 1


@pytest.mark.parametrize(
    "hostile", ["<script>x</script>", "\"'><img src=x>", "a\nb", "\u202egnp.exe", "{{ 7 * 7 }}", "&amp;"]
)
def test_page_escapes_what_comes_from_databases(hostile: str) -> None:
    """Names and messages are text, never markup, and show what they are made of."""
    table = {"schema": hostile, "name": hostile}
    records = _records(_ALL)
    records["preflight"]["source"]["dbname"] = hostile
    records["preflight"]["findings"] = [{"severity": "notice", **dict.fromkeys(_FINDING, hostile)}]
    records["compare"]["tables"] = [_table(**table)]  # type: ignore[arg-type]
    records["compare"]["differences"] = [{"object": hostile, "message": hostile}]
    for kind in ("sequences", "large_objects", "foreign_keys", "objects"):
        (entry,) = records["compare"][kind]
        records["compare"][kind] = [dict.fromkeys(entry, hostile) | {"equal": False}]
    records["dump"]["tables"][0].update(table)
    records["data_restore"]["tables"][0].update(table)
    records["dump"]["archive"] = hostile
    lists = {"load_order": [hostile], "cycles": [[hostile]], "readded_keys": [hostile]}
    records["preflight"]["load"] = {"fk_strategy": "dependency_order", **lists}
    report = compose(records, Run("migrate", hostile, hostile, Failure(hostile)))
    page = render(report, _TEMPLATES)
    body = page[page.index("<body>") :]
    assert page.count("<script") == 1
    assert "<img" not in page
    assert "\u202e" not in page
    assert "49" not in body.replace("5432", "")
    assert "&amp;amp;" in page if hostile == "&amp;" else "&amp;" not in body


def test_how_tables_were_loaded() -> None:
    """As the run did it, or as preflight planned it; the page shows it."""
    planned = {"fk_strategy": "dependency_order", "load_order": ["a.b", "c.d"], "cycles": [], "readded_keys": []}
    done = {**planned, "cycles": [["x.y", "x.z"]], "readded_keys": ["fk constraint x.y k"]}
    records = _records("preflight")
    assert compose(records, Run("migrate", "h", "r"))["load"] is None
    records["preflight"]["load"] = planned
    assert compose(records, Run("migrate", "h", "r"))["load"] == planned
    report = compose({**records, "replace": {**records["preflight"], "load": done}}, Run("migrate", "h", "r"))
    assert report["load"] == done
    page = render(report, _TEMPLATES)
    assert [text for text in ("a.b, c.d", "x.y, x.z", "fk constraint x.y k") if text not in page] == []


@pytest.mark.parametrize(
    ("outcomes", "told"),
    [
        (_ALL, "&#10003; conserved"),
        ("preflight dump schema_restore data_restore compare~", "&#10007; not conserved"),
        ("preflight dump schema_restore data_restore~", "&#10007; not conserved"),
        ("preflight dump schema_restore data_restore", ">unfinished<"),
        ("preflight dump", ">unfinished<"),
    ],
)
def test_page_tells_rows_on_their_way_from_lost_ones(outcomes: str, told: str) -> None:
    """A run that broke off has not lost every row that it did not come to."""
    page = render(_report(outcomes, failure=_UNKNOWN), _TEMPLATES)
    assert [s for s in ("&#10003; conserved", "&#10007; not conserved", ">unfinished<") if s in page] == [told]


def test_page_needs_nothing_from_elsewhere() -> None:
    """It can be mailed and opened anywhere."""
    page = render(_report(_ALL), _TEMPLATES)
    assert not [word for word in ("<script src", "<link", "http:", "https:", "url(", "@import") if word in page]


class Module:
    """The module as Ansible runs it, on a run's folder."""

    def __init__(self, base: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.folder = RunFolder.create(base, "sandbox-db")
        self._capsys = capsys

    def run(self, **arguments: object) -> dict[str, t.Any]:
        """Run it and return its result."""
        given_arguments = {
            "run_dir": str(self.folder.path),
            "templates": str(_TEMPLATES),
            "goal": "migrate",
            "host": "sandbox-db",
        }
        with patch_module_args({**given_arguments, **arguments}), pytest.raises(SystemExit):
            module.main()
        result = json.loads(self._capsys.readouterr().out)
        assert isinstance(result, dict)
        return result


@pytest.fixture
def report_module(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Module:
    """Return the module with a run's folder that holds the records of a good run."""
    made = Module(tmp_path, capsys)
    for stage, record in _records(_ALL).items():
        made.folder.write_record(stage, record)
    return made


def test_module_writes_the_report_for_its_owner(report_module: Module) -> None:
    """Both files are there, private, and never a change; a second report takes the place of the first."""
    folder = report_module.folder.path
    for _ in range(2):
        result = report_module.run()
        assert (result["changed"], result["status"]) == (False, "migrated")
    files = [folder / "report.json", folder / "report.html"]
    assert json.loads(files[0].read_text(encoding="utf-8"))["tables"] == result["tables"] == [_table()]
    assert [stat.S_IMODE(file.stat().st_mode) for file in files] == [0o600, 0o600]
    assert sorted(path.name for path in folder.iterdir()) == [*("report.html", "report.json", "stages", "summary.json")]


def test_latest_leads_to_the_last_report(report_module: Module) -> None:
    """Also where it led to another run; and the link survives a move of all runs."""
    host_folder = report_module.folder.path.parent
    (host_folder / "latest").symlink_to("another run")
    report_module.run()
    assert (host_folder / "latest").readlink() == Path(report_module.folder.run_id)
    assert sorted(path.name for path in host_folder.iterdir()) == [report_module.folder.run_id, "latest"]


def test_check_mode_writes_nothing(report_module: Module) -> None:
    """But returns the same."""
    assert report_module.run(_ansible_check_mode=True)["status"] == "migrated"
    assert [path.name for path in report_module.folder.path.iterdir()] == ["stages"]
    assert not (report_module.folder.path.parent / "latest").exists()


@pytest.mark.parametrize(
    ("failure", "error"),
    [
        ({}, None),
        ("", None),
        ("it broke", "it broke"),
        ({"task": "Do it", "message": "it broke"}, "it broke"),
        ({"task": "Do it", "message": ""}, 'The task "Do it" failed and gave no message.'),
    ],
)
def test_module_takes_the_failure_of_the_play(report_module: Module, failure: object, error: str | None) -> None:
    """In either form; an empty one is none."""
    result = report_module.run(failure=failure)
    assert [told["message"] for told in result["errors"]] == ([error] if error else [])
    assert result["status"] == ("failed" if error else "migrated")


def test_explanation_ends_with_the_path(report_module: Module) -> None:
    """The person knows where to read on."""
    result = report_module.run(failure="it broke")
    assert result["explanation"].endswith(f"\nReport: {report_module.folder.path}/report.html")


def test_report_that_cannot_be_made(report_module: Module) -> None:
    """Neither reason is lost: why there is no report, and why the play had failed."""
    (report_module.folder.path / "stages/dump.json").write_text("{", encoding="utf-8")
    result = report_module.run(failure="it broke")
    assert result["failed"] is True
    assert str(report_module.folder.path) in result["msg"]
    assert result["msg"].endswith("The run itself was stopped by this: it broke")


def test_history(report_module: Module) -> None:
    """All hosts' runs, for the owner alone; what is no run's, or broken, does no harm."""
    runs_root = report_module.folder.path.parent.parent
    other = runs_root / "other <host>/20261122T100000Z-abc123"
    other.mkdir(parents=True)
    entry = sum_up(_report("preflight!", failure=_UNKNOWN))
    (other / "summary.json").write_text(json.dumps({**entry, "host": "other <host>"}), encoding="utf-8")
    for name, content in (("older", "{"), ("oldest", "[]"), ("newer", '{"host": "other <host>"}')):
        (other.with_name(name)).mkdir()
        (other.with_name(name) / "summary.json").write_text(content, encoding="utf-8")
    (runs_root / "file").touch()
    (runs_root / "empty").mkdir()
    report_module.run()
    page = (runs_root / "index.html").read_text(encoding="utf-8")
    assert stat.S_IMODE((runs_root / "index.html").stat().st_mode) == 0o600
    assert [
        told for told in ("1 table, 3 rows, all equal", "other &lt;host&gt;", "6 s", "7.3 MiB") if told not in page
    ] == []
    assert {host: [run["status"] for run in runs] for host, runs in read_history(runs_root).items()} == {
        "other <host>": ["refused"],
        "sandbox-db": ["migrated"],
    }
    assert f'href="sandbox-db/{report_module.folder.run_id}/report.html"' in page
    assert 'href="other%20%3Chost%3E/20261122T100000Z-abc123/report.html"' in page


def test_history_does_not_grow_for_ever(tmp_path: Path) -> None:
    """Of each host the newest runs are read, however many there are."""
    for number in range(105):
        folder = RunFolder(tmp_path / f"db/20261122T100{number:03}Z-abc123")
        folder.path.mkdir(parents=True)
        keep(sum_up(compose({}, Run("migrate", "db", folder.run_id))), folder)
    (tmp_path / "db/latest").symlink_to("20261122T100104Z-abc123")
    (runs,) = read_history(tmp_path).values()
    assert [runs[0]["run_id"], runs[-1]["run_id"], len(runs)] == [
        *("20261122T100104Z-abc123", "20261122T100005Z-abc123", 100)
    ]


def test_history_that_cannot_be_written(report_module: Module, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is told, and the run is none the worse."""
    warnings: list[str] = []
    monkeypatch.setattr(AnsibleModule, "warn", lambda self, warning: warnings.append(warning))
    (report_module.folder.path.parent.parent / "index.html").mkdir()
    result = report_module.run()
    assert result["status"] == "migrated"
    assert "index.html, cannot be written" in warnings[0]


def test_pictures() -> None:
    """Stages follow each other; of stations, those that rows have come to."""
    assert line_up({"dump": 3.0, "switch": 1.0}) == [("dump", 3.0, 0.0, 0.75), ("switch", 1.0, 0.75, 0.25)]
    assert line_up({"dump": 0.0}) == [("dump", 0.0, 0, 0)]
    ledger = _report("preflight dump schema_restore data_restore~", failure=_UNKNOWN)["ledger"]
    assert add_up(ledger) == [("Snapshot", 3, 1), ("Sent", 3, 1), ("Received", 2, 2 / 3)]
    assert add_up([]) == []
