# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Databases of the target's server: made, marked, dropped. Each function takes a maintenance session."""

from __future__ import annotations

import contextlib
import typing as t

import psycopg
from psycopg import sql

from ..catalog.database import Locale
from ..errors import MigrationError, describe
from ..schedule.progress import Step, doing
from ..server.endpoint import Endpoint, Session, connect
from ..server.inquiry import Inquiry, answer
from .locks import try_lock_name
from .names import Generations

#: What holds a database's lock longer than that (an open ALTER DATABASE, a session whose client has vanished) may hold
#: it for ever.
_LOCK_TIMEOUT: t.Final = "10s"


@contextlib.contextmanager
def maintenance_session(
    target: Endpoint, settings: t.Mapping[str, str] | None = None, first: sql.Composed | None = None
) -> t.Iterator[Session]:
    """Open a session outside the live database, as renaming and dropping it require.

    :param settings: for the session besides
    :param first: what is executed first
    """
    outside = target.at("postgres" if target.dbname != "postgres" else "template1")
    with connect(outside, {"lock_timeout": _LOCK_TIMEOUT, **(settings or {})}, first) as session:
        yield session


def may_create_databases(target: Endpoint) -> bool:
    """Return whether the target's user may; to do so, it must be able to enter another database than the live one."""
    try:
        with maintenance_session(target) as session:
            row = session.execute(
                "SELECT rolcreatedb OR rolsuper FROM pg_catalog.pg_roles WHERE rolname = current_user"
            ).fetchone()
    except MigrationError:
        return False
    return bool(row and row[0])


def database_exists(session: Session, name: str) -> bool:
    """Return whether the server has a database of that name."""
    return session.execute("SELECT FROM pg_catalog.pg_database WHERE datname = %s", (name,)).fetchone() is not None


def create_staging(session: Session, generations: Generations, locale: Locale, run_id: str) -> None:
    """Make an empty staging database that belongs to the run; what earlier runs left is dropped.

    :raises MigrationError: when the server refuses, with its message
    """
    drop_leftovers(session, generations)
    create_database(session, generations.staging, locale)
    mark_staging(session, generations, run_id)


def mark_staging(session: Session, generations: Generations, run_id: str) -> None:
    """Make the staging database the run's."""
    session.execute(sql.SQL("COMMENT ON DATABASE {} IS {}").format(sql.Identifier(generations.staging), _mark(run_id)))


def staging_run(session: Session, generations: Generations) -> str | None:
    """Return the run whose staging database is there."""
    mark = _read_mark(session, generations)
    return mark.removeprefix(_mark("")) if mark and mark.startswith(_mark("")) else None


def create_database(session: Session, name: str, locale: Locale) -> None:
    """Make an empty database.

    :raises MigrationError: when the server refuses, with its message
    """
    try:
        session.execute(create_statement(name, locale, session.info.server_version))
    except psycopg.Error as error:
        raise MigrationError(f'Cannot create the database "{name}": {describe(error)}') from None


def create_statement(name: str, locale: Locale, server_version: int) -> sql.Composed:
    """Return CREATE DATABASE with the source's encoding and locale, in words that the server's version knows."""
    options = [
        sql.SQL("TEMPLATE template0 ENCODING {}").format(locale.encoding),
        sql.SQL("LC_COLLATE {} LC_CTYPE {}").format(locale.collate, locale.ctype),
        sql.SQL("LOCALE_PROVIDER {}").format(sql.Identifier(locale.provider)),
    ]
    if locale.locale is not None:
        keyword = "BUILTIN_LOCALE" if locale.provider == "builtin" else "ICU_LOCALE"
        options.append(sql.SQL("{} {}").format(sql.SQL(keyword), locale.locale))
    if locale.icu_rules is not None and server_version >= 160000:
        options.append(sql.SQL("ICU_RULES {}").format(locale.icu_rules))
    return sql.SQL("CREATE DATABASE {} {}").format(sql.Identifier(name), sql.SQL(" ").join(options))


def drop_leftovers(session: Session, generations: Generations, kept: t.Container[str] = ()) -> list[str]:
    """Drop what runs have left that were killed, and return its names. The caller's run has claimed the target.

    Runs of a role that may not create databases have left nothing.

    :param kept: names of what is not dropped
    :raises MigrationError: when the server refuses, with its message
    """
    dropped = []
    for name in answer(session, ask_leftovers(generations)):
        # Comparisons claim nothing: one may be at work in the scratch database.
        if name not in kept and (name != generations.scratch or try_lock_name(session, name)):
            drop_database(session, name)
            dropped.append(name)
    return dropped


def ask_leftovers(generations: Generations) -> Inquiry[list[str]]:
    """Ask which databases there are that runs have left, or have under way."""
    query = (
        "SELECT datname FROM pg_catalog.pg_database WHERE datname = ANY ({}::text[])"
        " AND (SELECT rolcreatedb OR rolsuper FROM pg_catalog.pg_roles WHERE rolname = current_user)"
    )
    names = [generations.staging, generations.discarded, generations.scratch]
    (rows,) = yield [sql.SQL(query).format(names)]
    return sorted((name for (name,) in rows), key=names.index)


@contextlib.contextmanager
def staging_session(target: Endpoint, generations: Generations, run_id: str) -> t.Iterator[Session]:
    """Open a session in the staging database, which is still this run's.

    :raises MigrationError: when it is gone or another run has taken it over
    """
    try:
        session = connect(target.at(generations.staging))
    except MigrationError:
        # Why, a session outside of it tells better.
        with maintenance_session(target) as outside:
            check_staging(outside, generations, run_id)
        raise
    with session:
        check_staging(session, generations, run_id)
        yield session


def check_staging(session: Session, generations: Generations, run_id: str) -> None:
    """Make sure that the staging database is still this run's.

    :param session: one of its server, in whatever database
    :raises MigrationError: when it is gone or another run has taken it over
    """
    answer(session, ask_staging(generations, run_id))


def ask_staging(generations: Generations, run_id: str) -> Inquiry[None]:
    """Ask a server, in whatever database, whether the staging database is still this run's; see `check_staging`."""
    mark = yield from _ask_mark(generations)
    if mark is None:
        raise MigrationError(
            f'There is no staging database "{generations.staging}" of this run: the stage schema_restore makes it, or '
            "another run has removed it. Run the playbook as a whole, one run at a time on a target."
        )
    if mark != _mark(run_id):
        raise MigrationError(
            f'The staging database "{generations.staging}" belongs to another run ({mark}). '
            "Wait until that run has ended, then run again."
        )


@contextlib.contextmanager
def dropped_on_failure(target: Endpoint, generations: Generations, run_id: str) -> t.Iterator[None]:
    """Drop the run's staging database if the block fails or is interrupted; another run's is left alone.

    Where the server cannot be reached any more, the next run drops it.
    """
    try:
        yield
    except BaseException:
        dropping = doing(Step(f'undo: drop "{generations.staging}"'))
        with contextlib.suppress(MigrationError, psycopg.Error), dropping, maintenance_session(target) as session:
            if _read_mark(session, generations) == _mark(run_id):
                drop_database(session, generations.staging)
        raise


def drop_database(session: Session, name: str) -> None:
    """Drop a database if it is there, ending the sessions in it.

    :raises MigrationError: when the server refuses, with its message
    """
    database = sql.Identifier(name)
    drop = sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(database)
    try:
        try:
            session.execute(drop)
        except psycopg.errors.WrongObjectType:
            # It was live once, and a template (dropdb in dbcommands.c).
            session.execute(sql.SQL("ALTER DATABASE {} IS_TEMPLATE false").format(database))
            session.execute(drop)
    except psycopg.Error as error:
        raise MigrationError(f'Cannot drop the database "{name}": {describe(error)}') from None


def _read_mark(session: Session, generations: Generations) -> str | None:
    return answer(session, _ask_mark(generations))


def _ask_mark(generations: Generations) -> Inquiry[str | None]:
    query = "SELECT pg_catalog.shobj_description(oid, 'pg_database') FROM pg_catalog.pg_database WHERE datname = {}"
    (rows,) = yield [sql.SQL(query).format(generations.staging)]
    return rows[0][0] if rows else None


def _mark(run_id: str) -> str:
    return f"pgconvoy: staging of run {run_id}"
