# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The switch: staging becomes live, live becomes previous, in one transaction of the maintenance database."""

from __future__ import annotations

import contextlib
import dataclasses
import typing as t

import psycopg

from ..catalog.database import DatabaseProperties
from ..errors import MigrationError, Outcome, describe
from ..server.batches import Statement, execute_all
from ..server.endpoint import Endpoint, Session, connect
from ..server.inquiry import Inquiry, answer, together
from .databases import ask_staging, drop_database, drop_leftovers, maintenance_session
from .exchange import Rename, ask_places, check_places, exchange, places_after
from .names import MOST_KEPT, Generations
from .proof import Proof, read_through
from .properties import ask_carried

Done = t.TypeVar("Done")


@dataclasses.dataclass(frozen=True)
class Switched:
    """What a switch came to."""

    #: the kept databases, the newest first
    kept: tuple[str, ...]
    #: why databases that are kept no longer could not be dropped
    left: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True)
class RolledBack:
    """What a rollback came to."""

    #: the kept databases, the newest first
    kept: tuple[str, ...]
    #: of the database that is live now
    proof: Proof


def switch(
    target: Endpoint,
    source: DatabaseProperties,
    run_id: str,
    disconnect_clients: bool,
    keep_previous: int = 1,
    allowed: t.Container[str] = (),
    committed: t.Callable[[], None] = lambda: None,
    with_grants: bool = True,
    prove: t.Callable[[], None] = lambda: None,
) -> Switched:
    """Make the staging database the live one and the live one the previous one; drop what is kept no longer.

    :param disconnect_clients: whether the sessions of clients that use the live database may be ended
    :param keep_previous: how many databases that were live before are kept
    :param allowed: objects that may differ: of the database's properties, those are not carried over
    :param committed: called as soon as it has happened
    :param with_grants: whether the grants on the live database itself go with its name
    :param prove: makes sure that the new one serves, or raises MigrationError; nothing older is dropped before
    :raises MigrationError: when it cannot be done; the message says whether the live database is what it was
    """
    generations = Generations(target.dbname)
    with maintenance_session(target) as session:
        _, databases, carried = answer(
            session,
            together(
                ask_staging(generations, run_id),
                _ask_databases(generations),
                ask_carried(generations.staging, generations.live, source, with_grants),
            ),
        )
        if databases.pop(generations.discarded, None):
            drop_database(session, generations.discarded)
        renames, surplus = plan_renames(generations, databases.keys(), keep_previous)
        carried = [property_ for property_ in carried if property_.object not in allowed]
        properties = [property_.statement for property_ in carried if not property_.inside]
        interrupted = exchange(target, session, databases, renames, properties, disconnect_clients, committed)

        def finish(session: Session) -> Switched:
            now = _read_databases(session, generations)
            check_places(now, places_after(databases, renames))
            if interrupted:
                raise KeyboardInterrupt
            if inside := [property_ for property_ in carried if property_.inside]:
                with connect(target) as live:
                    execute_all(live, [Statement(f"give it its {p.object}", p.statement) for p in inside])
            prove()
            # Only now that the copy is known to be live, nothing older is needed.
            left = {name: refusal for name in surplus if (refusal := _try_to_drop(session, name))}
            dropped = {*surplus} - left.keys()
            return Switched(_kept(generations, now.keys() - dropped), tuple(left.values()))

        with _after(generations, generations.live in databases):
            return _finish(session, target, finish)


def roll_back(target: Endpoint, disconnect_clients: bool, committed: t.Callable[[], None] = lambda: None) -> RolledBack:
    """Make the previous database live again, and prove that it is.

    The live one becomes the previous one, so that it can be undone too.

    :param committed: called as soon as it has happened
    :raises MigrationError: when there is no previous database, or the server refuses; the message says whether the
        live database is what it was
    """
    generations = Generations(target.dbname)
    with maintenance_session(target) as session:
        drop_leftovers(session, generations)
        databases = _read_databases(session, generations)
        if generations.previous not in databases:
            raise MigrationError(
                f'There is no previous database "{generations.previous}" to go back to: no switch has replaced '
                f'"{generations.live}" yet, or it was dropped.'
            )
        before = read_through(target.at(generations.previous))
        renames = [(generations.previous, generations.discarded), (generations.discarded, generations.live)]
        if generations.live in databases:
            renames.insert(1, (generations.live, generations.previous))
        interrupted = exchange(target, session, databases, renames, [], disconnect_clients, committed)

        def finish(session: Session) -> RolledBack:
            now = _read_databases(session, generations)
            check_places(now, places_after(databases, renames))
            if interrupted:
                raise KeyboardInterrupt
            proof = read_through(target)
            if proof.oid != before.oid:
                raise MigrationError(f"Who enters it by its name enters database {proof.oid}, not {before.oid}.")
            return RolledBack(_kept(generations, now), proof)

        with _after(generations, generations.live in databases):
            return _finish(session, target, finish)


def plan_renames(
    generations: Generations, present: t.Container[str], keep_previous: int
) -> tuple[list[Rename], list[str]]:
    """Return the renames of a switch in their order, and which databases are to be dropped after it.

    The kept ones move up to the first free name; if there is none, the oldest is discarded. Names are freed before
    they are taken.
    """
    kept = generations.kept(MOST_KEPT)
    places = [generations.staging, generations.live, *kept[:keep_previous], generations.discarded]
    free = next(number for number, name in enumerate(places) if name not in present)
    renames = [(places[number - 1], places[number]) for number in range(free, 0, -1)]
    surplus = [name for name in kept[keep_previous:] if name in present]
    return renames, [*([generations.discarded] if places[free] == generations.discarded else []), *surplus]


def _read_databases(session: Session, generations: Generations) -> dict[str, int]:
    """Return the OIDs of the live database and of those beside it, by their names."""
    return answer(session, _ask_databases(generations))


def _ask_databases(generations: Generations) -> Inquiry[dict[str, int]]:
    names = [generations.live, generations.staging, generations.discarded, *generations.kept(MOST_KEPT)]
    (rows,) = yield [ask_places(names)]
    return dict(rows)


def _finish(session: Session, target: Endpoint, finish: t.Callable[[Session], Done]) -> Done:
    """Do what comes after a switch by the maintenance session or, if it has broken, anew by another one.

    That it was ended as soon as it had told of the commit, only the next statement tells.
    """
    if not session.closed:
        try:
            return finish(session)
        except (MigrationError, psycopg.Error):
            if not session.closed:
                raise
    with maintenance_session(target) as another:
        return finish(another)


def _kept(generations: Generations, databases: t.Container[str]) -> tuple[str, ...]:
    return tuple(name for name in generations.kept(MOST_KEPT) if name in databases)


@contextlib.contextmanager
def _after(generations: Generations, replaced: bool) -> t.Iterator[None]:
    """Whatever fails in the block after the switch says so, and so does its record.

    :param replaced: whether there had been a live database
    """
    try:
        yield
    except (MigrationError, psycopg.Error, KeyboardInterrupt) as error:
        reason = describe(error) if isinstance(error, psycopg.Error) else str(error) or "the run was interrupted."
        undo = f', and what it was is "{generations.previous}"' if replaced else ""
        raise MigrationError(
            f'The switch has happened: "{generations.live}" is the new one{undo}. What comes after it failed: {reason}',
            Outcome(
                changed=True,
                record={"live": generations.live, "previous": generations.previous if replaced else ""},
            ),
        ) from None


def _try_to_drop(session: Session, name: str) -> str:
    try:
        drop_database(session, name)
    except MigrationError as error:
        if session.closed:
            raise
        return str(error)
    return ""
