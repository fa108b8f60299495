# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the switch carries over from the live database and the source: the very statements, tried and undone."""

from __future__ import annotations

import contextlib
import typing as t

import psycopg
from psycopg import sql

from ...catalog.database import DatabaseProperties
from ...errors import summarize
from ...server.batches import find_refusal
from ...server.endpoint import Session
from ...staging.properties import Property, name_setting
from ...verdict.findings import Finding


def check_carrying_over(
    session: Session,
    live: str,
    source: DatabaseProperties,
    carried: t.Iterable[Property],
    allowed: t.Mapping[str, str],
) -> list[Finding]:
    """Return the properties of a database that the target's user may not give to the copy.

    An administrator has given them to the live database. They are given to it once more, as if it were the copy, which
    belongs to the user.

    Without a live database, nothing but the source's settings is carried, which are tried by themselves (settings.py).

    :param session: a maintenance session, which is left as it was
    :param carried: those that the live database has now
    :param allowed: reasons for differences that are allowed, by object: what is named is not carried over
    """
    findings: dict[str, Finding] = {}
    tried = {name_setting(None, name) for name, _ in source.settings}
    own = sql.SQL("ALTER DATABASE {} OWNER TO CURRENT_USER").format(sql.Identifier(live))
    carried = [property_ for property_ in carried if property_.object not in tried]
    findings |= {p.object: _left(p, allowed[p.object]) for p in carried if p.object in allowed}
    given = [property_ for property_ in carried if property_.object not in allowed]
    if find_refusal(session, own, *(property_.statement for property_ in given)) is None:
        return list(findings.values())
    # Which ones are refused, each must tell by itself.
    with contextlib.suppress(psycopg.Rollback, psycopg.Error), session.transaction():
        # Who may not even do this does not own it, which is a finding already.
        session.execute(own)
        for property_ in given:
            if property_.object not in findings and (refusal := _refusal_of(session, property_)):
                findings[property_.object] = refusal
        raise psycopg.Rollback
    return list(findings.values())


def _refusal_of(session: Session, property_: Property) -> Finding | None:
    try:
        with session.transaction():
            session.execute(property_.statement)
    except psycopg.errors.LockNotAvailable:
        # Somebody else alters the database just now.
        return None
    except psycopg.Error as error:
        return Finding(
            "error",
            "carry-over",
            property_.object,
            f"the switch gives it to the new live database, and {session.info.user} may not: {summarize(error)}.",
            _remedy(session, property_, error),
        )
    return None


def _left(property_: Property, reason: str) -> Finding:
    message = f"it is not carried over to the new live database. Allowed: {reason}"
    return Finding("notice", "not-carried", property_.object, message)


def _remedy(session: Session, property_: Property, error: psycopg.Error) -> str:
    user = sql.Identifier(session.info.user).as_string(session)
    kept = "or name it in allowed_differences, with a reason, to have it left out."
    subject, _, setting = property_.object.rpartition("database setting ")
    if setting and not isinstance(error, psycopg.errors.InsufficientPrivilege):
        return f"Correct it on the target; {kept}"
    if subject:
        role = subject.removeprefix("role ").strip()
        return (
            f"Let an administrator run GRANT {sql.Identifier(role).as_string(session)} TO {user} WITH ADMIN OPTION, or "
            f"GRANT SET ON PARAMETER {setting} TO {user}; {kept}"
        )
    if setting:
        return f"Let an administrator run GRANT SET ON PARAMETER {setting} TO {user}; {kept}"
    return f"Use a superuser or the database's owner as target_user; {kept}"
