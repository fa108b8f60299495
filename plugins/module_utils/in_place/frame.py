# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Rows of the live database are replaced and its schema is kept, which must be the source's: what is around that.

All of it is one transaction. The foreign keys are there while rows come: either in an order in which each row finds the
one that it refers to, or the server's checks are switched off and made up for afterwards.
"""

from __future__ import annotations

import contextlib
import dataclasses
import pathlib
import typing as t

from psycopg import sql

from ..archive.archive import Archive
from ..archive.manifest import Manifest
from ..archive.schema import Entry, read_schema
from ..catalog.content import Content, Rows
from ..catalog.database import DatabaseProperties
from ..catalog.earlier import Earlier
from ..catalog.far_trees import refuse_far_trees
from ..catalog.foreign_keys import Joined, Link, ask_joined, list_joined
from ..catalog.identity import ask_identity
from ..catalog.orphans import take_census
from ..catalog.relations import Relation, ask_relations
from ..catalog.selection import Name, Selection
from ..catalog.transaction import Transaction
from ..privileges.lending import ask_missing_rights, lent
from ..server.endpoint import Session, pin_settings, set_search_path
from ..server.inquiry import answer, together
from ..staging.row_security import ask_forced, owner_unbound
from ..staging.schema import left_unvalidated
from ..verdict.comparison import Verdict
from ..verdict.definitions import compare_schemas
from ..verdict.findings import Difference
from ..verdict.judge import Judge
from ..verdict.note import Note
from ..verdict.original import archived_original
from ..work_folder import WorkFolder
from .constraints import ask_not_valid, without_constraints
from .kept_schema import judge_kept_schema
from .locks import impatient, telling_holders
from .order import LoadOrder, order_selected
from .triggers import ask_event_triggers, ask_triggers, event_triggers_silenced, silenced
from .untouched import list_untouched, others_untouched

Strategy = t.Literal["dependency_order", "disable_triggers"]
Done = t.TypeVar("Done")


@dataclasses.dataclass(frozen=True)
class LockedDatabase:
    """The live database before its rows are replaced: locked, and its schema is the source's."""

    transaction: Transaction
    #: what must be there, of the selected tables or of all
    manifest: Manifest
    #: the database itself before its settings and comment became what they must be, and pg_dump's file of its schema,
    #: or of the source's, which is known to be the same
    database: DatabaseProperties
    schema: pathlib.Path
    selection: Selection | None
    #: all that holds rows, and those of it whose rows are replaced
    everything: list[Relation]
    relations: list[Relation]
    #: the tables and partitioned tables among them
    tables: list[Name]
    #: of each partitioned table of the database, the tables that hold its rows
    partitions: t.Mapping[Name, t.Collection[Name]]
    #: all foreign keys of the database
    links: list[Link]
    order: LoadOrder
    #: the keys that are allowed to have orphans, as ``fk constraint <table> <name>``
    not_valid: frozenset[str]
    #: what it held before, if that is known
    earlier: Earlier | None


@dataclasses.dataclass(frozen=True)
class RowsPlan(t.Generic[Done]):
    """How rows are replaced."""

    #: the tables that are written to, and the partitioned ones by whose names that is done
    written: t.Collection[Name]
    #: the keys that cannot stay meanwhile
    dropped: t.Iterable[Link]
    #: gets the statements with which that begins, and those with which it ends
    do: t.Callable[[t.Sequence[sql.Composable], sql.Composed], Done]
    #: what must be there afterwards
    manifest: Manifest
    #: what was read of the database in the same transaction, if it was
    found: Content | None = None


@dataclasses.dataclass(frozen=True)
class RowsReplaced(t.Generic[Done]):
    """In which order rows came, which keys were dropped and added again, what was done, and the verdict."""

    order: LoadOrder
    readded: tuple[Link, ...]
    done: Done
    verdict: Verdict
    #: what must be there now
    manifest: Manifest


def _with_calls(relations: t.Iterable[Relation], manifest: Manifest) -> list[Relation]:
    """Return the relations with what only the dump of the source tells: what functions read for their rows."""
    calls = {measured.relation.full_name: measured.relation.calls_for for measured in manifest.content.relations}
    return [dataclasses.replace(relation, calls_for=calls.get(relation.full_name, ())) for relation in relations]


def keep_schema(
    transaction: Transaction,
    judge: Judge,
    archive: Archive,
    strategy: Strategy,
    plan: t.Callable[[LockedDatabase], RowsPlan[Done]],
    kept: Verdict | None = None,
    locks: t.Sequence[sql.Composable] = (),
) -> RowsReplaced[Done]:
    """Have rows replaced, those of the selected tables or all, with nothing of the schema in their way.

    The tables must be locked by the transaction. The caller must roll back unless the verdict says equal.

    :param locks: the statements that lock them, where they are not locked yet
    :param judge: with the patterns that select the tables, and the differences that are allowed
    :param archive: what must be there then, or the description of it
    :param plan: tells how they are replaced, of the database as it is then
    :param kept: the verdict on the schema, where that is known: of a copy that nobody uses yet. Of it the rows are not
        judged here, by one session, but by the caller after the commit
    :raises MigrationError: when the schemas differ, the server refuses anything, or a row is lost
    """
    session, judge = transaction.session, dataclasses.replace(judge, jobs=1)
    manifest = archive.manifest
    selection, serving_path = manifest.select(judge.patterns), manifest.database.serving_path
    version = session.info.server_version
    original = archived_original(archive, judge.patterns)
    ask_schema = judge.ask_schema(original, version)
    asked = [ask_relations(), ask_identity(), ask_joined(), ask_event_triggers(), ask_forced(), ask_missing_rights()]
    with telling_holders(session) if locks else contextlib.nullcontext():
        everything, identity, keys, event_triggers, forced, lacking, of_schema = answer(
            session, together(*asked, ask_schema), locks
        )
    earlier = judge.earlier and judge.earlier.of(identity.hash)
    links = [joined.link for joined in keys]
    relations = [relation for relation in everything if selection is None or relation.full_name in selection]
    refuse_far_trees(relations)
    tables = [relation.full_name for relation in relations if relation.kind != "materialized view"]
    order = order_selected(_with_calls(everything, manifest), links, selection)
    not_valid = left_unvalidated(everything, judge.allowed, version)
    with contextlib.ExitStack() as stack:
        stack.enter_context(lent(lacking, lambda: contextlib.nullcontext(session)))
        note, schema, definitions = Note(judge.noted, identity.hash), archive.schema, judge.definitions
        proven = selection is None and note.proves_equal(original, read_schema(judge.tools_for(transaction), schema))
        if not proven:
            schema = stack.enter_context(WorkFolder()) / "target.dump"
            definitions = definitions or judge.read_definitions(transaction, schema)
        verdict = kept or judge_kept_schema(
            transaction,
            dataclasses.replace(judge, definitions=definitions),
            archive,
            selection,
            dataclasses.replace(of_schema, note=note),
            [joined.key for joined in keys],
        )
        if selection is not None:
            stack.enter_context(others_untouched(session, selection))
        stack.enter_context(event_triggers_silenced(session, event_triggers))
        with impatient(session) if forced else contextlib.nullcontext():
            stack.enter_context(owner_unbound(session, tables, forced))
        live = LockedDatabase(
            transaction=transaction,
            manifest=manifest.of(selection),
            database=of_schema.database,
            schema=schema,
            selection=selection,
            everything=everything,
            relations=relations,
            tables=tables,
            partitions={r.full_name: r.partitions for r in everything if r.kind == "partitioned table"},
            links=links,
            order=order,
            not_valid=not_valid,
            earlier=earlier,
        )
        filling = plan(live)
        readded = tuple(dict.fromkeys(filling.dropped))
        with _unwatched(live, strategy, readded, filling.written):
            # Whatever is deferrable is checked at the end of each statement: a table with pending checks cannot be
            # altered. And to empty a table is to build its indexes anew.
            first = [sql.SQL("SET CONSTRAINTS ALL IMMEDIATE"), set_search_path(serving_path)]
            # Rows come under the source's settings, and are read under what is pinned.
            done = filling.do(first, pin_settings(transaction.endpoint))
        if kept is None:
            known, sequences = _known(session, filling.found), filling.found.sequences if filling.found else ()
            # Of what was written to, all is read.
            content = dataclasses.replace(judge, earlier=None).judge_content(
                transaction, filling.manifest, selection, _still(everything), known, sequences
            )
            orphans = _find_orphans(live, keys if not readded else list_joined(session), filling.written)
            verdict = verdict.joined(content).joined(orphans)
    # Where no key was dropped and added again, the catalogs are what they were, row for row. So what was read of them
    # before the rows moved is true afterwards, or the verdict says otherwise.
    if not identity.is_still_of(session):
        verdict = verdict.joined(_find_changes(transaction, judge, archive, definitions))
    return RowsReplaced(order, readded, done, verdict.allowing(judge.allowed), filling.manifest)


def _find_changes(
    transaction: Transaction, judge: Judge, archive: Archive, before: t.Sequence[Entry] | None
) -> Verdict:
    """Return the verdict that the definitions are what they were.

    :param before: these; None where they were known to be the source's, and were not read
    """
    if before is None:
        return judge.judge_definitions(transaction, archive)
    return Verdict(differences=compare_schemas(before, judge.read_definitions(transaction))[1])


@contextlib.contextmanager
def _unwatched(
    live: LockedDatabase, strategy: Strategy, dropped: t.Collection[Link], written: t.Collection[Name]
) -> t.Iterator[None]:
    """Have neither constraints nor triggers in the way of rows for as long as the block lasts.

    :param dropped: the keys that cannot stay meanwhile
    :param written: the tables that are written to
    """
    session, of_keys, path = (
        live.transaction.session,
        strategy == "disable_triggers",
        live.manifest.database.serving_path,
    )
    checks, triggers = answer(session, together(ask_not_valid(written), ask_triggers(written, of_keys)))
    with without_constraints(session, dropped, checks, written, path, live.not_valid):
        if dropped and of_keys:
            # A key's own are gone with it.
            triggers = answer(session, ask_triggers(written, of_keys))
        with silenced(session, triggers, of_keys):
            yield


def _still(relations: t.Sequence[Relation]) -> t.Sequence[Relation] | None:
    """Return what relations there still are; None where a refresh may have filled a view, or emptied it."""
    return None if any(relation.kind == "materialized view" for relation in relations) else relations


def _known(session: Session, found: Content | None) -> dict[Name, Rows]:
    """Return the rows of tables that were read in this transaction, which has not written to them."""
    untouched = list_untouched(session) if found else set()
    relations = found.relations if found else ()
    return {
        measured.relation.full_name: measured.rows
        for measured in relations
        if measured.rows and measured.relation.kind == "table" and measured.relation.full_name in untouched
    }


def _find_orphans(live: LockedDatabase, keys: t.Iterable[Joined], written: t.Collection[Name]) -> Verdict:
    """Return the keys that claim to be valid over rows that break them, whoever was to check these rows.

    Of those by which no table that was written to refers to another, or is referred to, nothing has changed.
    """
    touched = [
        joined
        for joined in keys
        if any(
            {side, *live.partitions.get(side, ())}.intersection(written)
            for side in (joined.link.referring, joined.link.referenced)
        )
    ]
    census = take_census(live.transaction, 1, live.manifest.database.serving_path, live.selection, touched)
    return Verdict(
        differences=tuple(
            Difference(
                str(counted.key),
                f"{counted.orphans:,} rows refer to a row of {counted.key.references} that is not on the target, "
                f"{', '.join(counted.examples)} for instance",
            )
            for counted in census
            if counted.orphans and counted.key.validated
        )
    )
