# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The live database's own tables, emptied and filled again: its schema is kept, and must be the source's.

All of it is one transaction. The foreign keys are there while rows are loaded: either the tables come in an order in
which each row finds the one that it refers to, or the server's checks are switched off and made up for afterwards.
"""

from __future__ import annotations

import contextlib
import dataclasses
import pathlib
import typing as t

import psycopg
from psycopg import sql

from ..archive.folder import read_manifest
from ..archive.manifest import ArchivedRows, Manifest
from ..archive.schema import read_schema
from ..catalog.database import read_database
from ..catalog.foreign_keys import Link, list_foreign_keys, list_links, take_census
from ..catalog.relations import Relation, list_relations
from ..catalog.selection import Name, Selection
from ..catalog.sequences import Sequence, set_sequences
from ..endpoint import Session
from ..errors import MigrationError, describe
from ..rows.receiver import Receiver
from ..staging.properties import take_over
from ..staging.restore import TableLoader, load_large_objects, refresh
from ..verdict.comparison import Difference, Verdict, compare_foreign_keys, compare_schemas
from ..verdict.judge import Judge
from .constraints import without_constraints
from .locks import impatient
from .order import LoadOrder, order_tables
from .replacement import reword
from .transaction import Transaction
from .triggers import event_triggers_silenced, silenced
from .untouched import others_untouched

Strategy = t.Literal["dependency_order", "disable_triggers"]


@dataclasses.dataclass(frozen=True)
class Refilled:
    """What was done: in which order, which keys were dropped and added again, the rows received, and the verdict."""

    order: LoadOrder
    readded: tuple[Link, ...]
    received: list[tuple[ArchivedRows, int]]
    verdict: Verdict


def refill(transaction: Transaction, judge: Judge, folder: pathlib.Path, strategy: Strategy) -> Refilled:
    """Put an archive's rows, or those of the selected tables, in the place of the target's own.

    The caller must roll back unless the verdict says equal.

    :param judge: with the patterns that select the tables, and the differences that are allowed
    :raises MigrationError: when the schemas differ, the server refuses anything, or a row is lost
    """
    manifest, session = read_manifest(folder), transaction.session
    selection = manifest.select(judge.patterns)
    # Whatever is deferrable is checked at the end of each statement: a table with pending checks cannot be altered.
    session.execute("SET CONSTRAINTS ALL IMMEDIATE")
    everything = list_relations(session)
    relations = [relation for relation in everything if selection is None or _name(relation) in selection]
    tables = [_name(relation) for relation in relations if relation.kind != "materialized view"]
    _lock(session, tables)
    kept = _judge_kept_schema(transaction, judge, folder, manifest, selection)
    definitions, links = judge.read_definitions(transaction), list_links(session)
    order = order_tables(
        [_name(relation) for relation in relations if relation.kind == "table"],
        links,
        {_name(relation): relation.partitions for relation in everything if relation.kind == "partitioned table"},
    )
    readded = _choose_keys(order, links, tables, strategy, judge.allowed)
    with contextlib.ExitStack() as stack:
        if selection is not None:
            stack.enter_context(others_untouched(session, selection))
        stack.enter_context(event_triggers_silenced(session))
        stack.enter_context(_readable(session, tables))
        with (
            without_constraints(session, readded, tables, judge.allowed),
            silenced(session, tables, strategy == "disable_triggers"),
        ):
            _clear(session, relations, order, links)
            received = _load(transaction, folder, manifest, order, selection)
        content = judge.judge_content(transaction, manifest, selection)
        orphans = _find_orphans(transaction, selection)
    _, changes = compare_schemas(definitions, judge.read_definitions(transaction))
    verdict = kept.joined(content).joined(orphans).joined(Verdict(differences=changes)).allowing(judge.allowed)
    return Refilled(order, readded, received, verdict)


def _judge_kept_schema(
    transaction: Transaction,
    judge: Judge,
    folder: pathlib.Path,
    manifest: Manifest,
    selection: Selection | None,
) -> Verdict:
    """Return the verdict on the schema that is kept; the database's settings and comment are taken over first.

    :raises MigrationError: when it is not the source's, with what differs
    """
    if selection is None:
        verdict = _judge_whole_schema(transaction, judge, folder, manifest)
    else:
        verdict = judge.judge_definitions(transaction, folder, manifest, selection)
    ours, theirs = (
        [key for key in keys if selection is None or key.table in selection.labels]
        for keys in (manifest.content.foreign_keys, list_foreign_keys(transaction.session))
    )
    verdict = verdict.joined(compare_foreign_keys(ours, theirs)).allowing(judge.allowed)
    if not verdict.equal:
        raise MigrationError(
            "The target's schema is to be kept, but it is not the source's. Nothing was changed. Bring it up to date "
            "first, or leave out fk_strategy and the selection of tables to have it replaced:\n"
            + "\n".join(f"- {difference}" for difference in verdict.differences)
        )
    return verdict


def _judge_whole_schema(transaction: Transaction, judge: Judge, folder: pathlib.Path, manifest: Manifest) -> Verdict:
    """Return the verdict on all definitions.

    Where only the words may differ, the live database says them, and not a scratch database, as it does for a
    selection: where all is filled in place, none can be made.
    """
    for statement in take_over(read_database(transaction.session), manifest.database):
        _execute(transaction.session, "set what the source's database has", statement)
    same_words = dataclasses.replace(judge, reworded=read_schema(judge.tools, folder / manifest.schema.name))
    verdict = same_words.judge_definitions(transaction, folder, manifest, None)
    if verdict.equal:
        return verdict
    own_words = dataclasses.replace(judge, reworded=reword(transaction, judge.tools, folder, manifest))
    return own_words.judge_definitions(transaction, folder, manifest, None)


# The others are locked as they are altered.
_OWN: t.Final = """
SELECT n.nspname, c.relname
FROM unnest(%s::text[], %s::text[]) wanted(schema, name)
JOIN pg_namespace n ON n.nspname = wanted.schema
JOIN pg_class c ON c.relnamespace = n.oid AND c.relname = wanted.name
WHERE pg_has_role(c.relowner, 'USAGE')
ORDER BY 1, 2
"""


def _lock(session: Session, tables: t.Collection[Name]) -> None:
    """Keep everybody else out of the tables until the transaction ends."""
    own = session.execute(_OWN, ([schema for schema, _ in tables], [name for _, name in tables])).fetchall()
    if own:
        names = sql.SQL(", ").join(sql.SQL("ONLY {}").format(sql.Identifier(*name)) for name in own)
        with impatient(session):
            session.execute(sql.SQL("LOCK TABLE {}").format(names))


def _name(relation: Relation) -> Name:
    return relation.schema, relation.name


def _choose_keys(
    order: LoadOrder,
    links: t.Iterable[Link],
    tables: t.Container[Name],
    strategy: Strategy,
    allowed: t.Container[str],
) -> tuple[Link, ...]:
    """Return the keys that must be dropped meanwhile.

    TRUNCATE refuses those by which other tables refer to these, even if they have no rows. Those that are allowed to
    have orphans come back as NOT VALID. Where the server checks each row, it does so for NOT VALID keys as well, whose
    rows may break them, and within a cycle some row always comes before the one that it refers to.
    """
    dropped = [*order.leading_in]
    dropped += [link for link in links if link.referring in tables and str(link.key) in allowed]
    if strategy == "dependency_order":
        dropped += order.within_cycles
        dropped += [link for link in links if link.referring in tables and not link.key.validated]
    return tuple(dict.fromkeys(dropped))


def _clear(session: Session, relations: t.Collection[Relation], order: LoadOrder, links: t.Iterable[Link]) -> None:
    """Empty the tables.

    TRUNCATE wants all that refer to each other in one statement, and a partitioned table by its own name if it has a
    key. Foreign tables are no partitions of such a one. Of an extension's table only the user's rows go.
    """
    by_name = {_name(relation): relation for relation in relations}
    linked = {side for link in links for side in (link.referring, link.referenced)}
    whole = [by_name[name] for name in order.tables if not by_name[name].condition]
    names: list[sql.Composable] = [sql.SQL("ONLY {}").format(relation.identifier) for relation in whole]
    names += [r.identifier for r in relations if r.kind == "partitioned table" and _name(r) in linked]
    if names:
        _execute(session, "empty the tables", sql.SQL("TRUNCATE {}").format(sql.SQL(", ").join(names)))
    for name in reversed(order.tables):
        if by_name[name].condition:
            _execute(session, f"empty table {by_name[name]}", sql.SQL("DELETE FROM {}").format(by_name[name].own_rows))


def _load(
    transaction: Transaction,
    folder: pathlib.Path,
    manifest: Manifest,
    order: LoadOrder,
    selection: Selection | None,
) -> list[tuple[ArchivedRows, int]]:
    archived = {(table.schema, table.name): table for table in manifest.tables}
    loaded = [archived[name] for name in order.tables if name in archived]
    content = manifest.content if selection is None else manifest.content.of(selection)
    # Each row locks the one that it refers to, which may be in use where the parents are not loaded.
    with impatient(transaction.session), transaction.open_session() as session:
        receiver = Receiver(session, manifest.database.search_path)
        relations = {_name(measured.relation): measured.relation for measured in content.relations}
        received: dict[ArchivedRows, int] = {}
        loader = TableLoader(receiver, folder, relations, manifest.database.locale.encoding, received)
        for table in loaded:
            loader.run(table)
        _set_sequences(session, content.sequences)
        if selection is None:
            session.execute("SELECT pg_catalog.lo_unlink(oid) FROM pg_catalog.pg_largeobject_metadata")
            if manifest.large_objects:
                load_large_objects(receiver, folder, manifest, manifest.large_objects)
            refresh(session, manifest.refresh_order)
            _empty_views(session, manifest)
        for name in order.tables:
            session.execute(sql.SQL("ANALYZE {}").format(sql.Identifier(*name)))
    return list(received.items())


def _set_sequences(session: Session, sequences: t.Sequence[Sequence]) -> None:
    """Put the sequences where they stood, so that a rollback undoes it.

    setval does not obey transactions; but RESTART gives the sequence a new file, on which setval then acts, and a
    rollback returns to the old one (docs: ALTER SEQUENCE, Notes).
    """
    for sequence in sequences:
        statement = sql.SQL("ALTER SEQUENCE {} RESTART").format(sql.Identifier(sequence.schema, sequence.name))
        _execute(session, f"set sequence {sequence}", statement)
    set_sequences(session, sequences)


def _empty_views(session: Session, manifest: Manifest) -> None:
    for measured in manifest.content.relations:
        view = measured.relation
        if view.kind == "materialized view" and not view.populated:
            statement = sql.SQL("REFRESH MATERIALIZED VIEW {} WITH NO DATA").format(view.identifier)
            _execute(session, f"empty materialized view {view}", statement)


_FORCED: t.Final = """
SELECT wanted.schema, wanted.name
FROM unnest(%s::text[], %s::text[]) wanted(schema, name)
JOIN pg_namespace n ON n.nspname = wanted.schema
JOIN pg_class c ON c.relnamespace = n.oid AND c.relname = wanted.name
WHERE c.relforcerowsecurity AND row_security_active(c.oid)
ORDER BY 1, 2
"""


@contextlib.contextmanager
def _readable(session: Session, tables: t.Collection[Name]) -> t.Iterator[None]:
    """Let the tables' owner load and read all rows of those whose row security is forced upon the owner, too."""
    names = [schema for schema, _ in tables], [name for _, name in tables]
    forced = session.execute(_FORCED, names).fetchall()
    for name in forced:
        session.execute(sql.SQL("ALTER TABLE ONLY {} NO FORCE ROW LEVEL SECURITY").format(sql.Identifier(*name)))
    yield
    for name in forced:
        session.execute(sql.SQL("ALTER TABLE ONLY {} FORCE ROW LEVEL SECURITY").format(sql.Identifier(*name)))


def _find_orphans(transaction: Transaction, selection: Selection | None) -> Verdict:
    """Return the keys that claim to be valid over rows that break them, whoever was to check these rows."""
    census = take_census(transaction, 1, only=selection)
    return Verdict(
        differences=tuple(
            Difference(
                str(counted.key),
                f"{counted.orphans:,} rows refer to a row of {counted.key.references} that is not on the target: "
                + ", ".join(counted.examples),
            )
            for counted in census
            if counted.orphans and counted.key.validated
        )
    )


def _execute(session: Session, what: str, statement: sql.Composed) -> None:
    try:
        session.execute(statement)
    except psycopg.Error as error:
        raise MigrationError(f"Cannot {what}: {describe(error)}") from None
