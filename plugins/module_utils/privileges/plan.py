# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The commands that make owners and grants what they shall be. Nothing here asks a server."""

from __future__ import annotations

import dataclasses
import operator
import typing as t

from psycopg import sql

from .acl import PUBLIC, Grants, Step, plan
from .catalog import DefaultPrivileges, Privileges, Securable
from .wanted import Wish, Wishes


@dataclasses.dataclass(frozen=True)
class Command:
    """A command, and the object that it is about."""

    object: str
    words: sql.Composed
    #: what says the same by the owner, where it is another role's to say: that one may not be able to find the object
    otherwise: sql.Composed | None = None


def commands(here: Privileges, wishes: Wishes, database: str) -> list[Command]:
    """Return what must be said, in order; nothing where all is as it shall be.

    Owners come first, since only a new owner's grants are its own; of these, schemas come last, so that it is still the
    session's user who lets new owners create in them. Then grants: schemas first, since names are looked up in them;
    what an owner takes from itself last, schemas' behind all others', since it may need it until then. What it keeps on
    a column comes after that, for it would go with what is taken on the table.

    :param database: the name of the database that ``here`` is
    """
    changing = [
        (o, wish)
        for o in here.objects
        for wish in [wishes.objects.get(o.key)]
        if wish and wish.owner != o.owner and not o.follows
    ]
    lent = _lent(here, changing)
    return [
        *(Command(f"schema {schema}", _create("GRANT", schema, role)) for schema, role in lent),
        *(_owner(o, wish.owner) for o, wish in changing if o.kind != "SCHEMA"),
        *(Command(f"schema {schema}", _create("REVOKE", schema, role)) for schema, role in lent),
        *(_owner(o, wish.owner) for o, wish in changing if o.kind == "SCHEMA"),
        *_grants(here, wishes, database),
        *_defaults(here, wishes),
    ]


def _lent(here: Privileges, changing: t.Iterable[tuple[Securable, Wish]]) -> list[tuple[str, str]]:
    """Return which roles must be let create in which schemas for the while: to be given an object there takes that."""
    user = here.roles.get(here.user)
    if user and user.superuser:
        return []
    schemas = {o.identity: o for o in here.objects if o.kind == "SCHEMA"}
    return sorted(
        {
            (o.schema, wish.owner)
            for o, wish in changing
            if o.schema in schemas
            and not any(
                grant.privilege == "CREATE" and grant.grantee in (wish.owner, PUBLIC)
                for grant in here.grants(schemas[o.schema])
            )
        }
    )


def _create(verb: str, schema: str, role: str) -> sql.Composed:
    preposition = "TO" if verb == "GRANT" else "FROM"
    return sql.SQL("{} CREATE ON SCHEMA {} {} {}").format(
        sql.SQL(verb), sql.SQL(schema), sql.SQL(preposition), _role(role)
    )


def _owner(securable: Securable, owner: str) -> Command:
    # ALTER TABLE takes any relation that has an owner (docs: ALTER TABLE).
    return Command(
        str(securable),
        sql.SQL("ALTER {} {} OWNER TO {}").format(
            sql.SQL("SERVER" if securable.kind == "FOREIGN SERVER" else securable.kind),
            sql.SQL(securable.identity),
            sql.Identifier(owner),
        ),
    )


def _grants(here: Privileges, wishes: Wishes, database: str) -> t.Iterator[Command]:
    assumable = {name for name, role in here.roles.items() if role.assumable}
    last: list[tuple[bool, Command]] = []
    for securable in sorted(here.objects, key=lambda o: o.kind != "SCHEMA"):
        wish = wishes.objects.get(securable.key)
        if wish is None:
            continue
        name = sql.Identifier(database) if securable.kind == "DATABASE" else sql.SQL(securable.identity)
        place = sql.SQL("ON {} {}").format(sql.SQL(securable.kind), name)
        now = after_owner(here.grants(securable), securable.owner, wish.owner)
        pairs: list[tuple[str, Grants, Grants]] = [("", now, wish.grants)]
        for column in sorted(securable.columns.keys() | wish.columns.keys()):
            granted = after_owner(securable.columns.get(column, frozenset()), securable.owner, wish.owner)
            pairs.append((column, granted, wish.columns.get(column, frozenset())))
        for column, there, wanted in pairs:
            for step in plan(wish.owner, there, wanted, assumable - {wish.owner}):
                command = Command(
                    str(securable),
                    _say(step, place, column),
                    _say(dataclasses.replace(step, by=""), place, column) if step.by else None,
                )
                if step.grantee == wish.owner and (step.verb == "REVOKE" or column):
                    last.append((securable.kind == "SCHEMA", command))
                else:
                    yield command
    yield from (command for _, command in sorted(last, key=operator.itemgetter(0)))


def after_owner(grants: Grants, old: str, new: str) -> Grants:
    """Return what is granted when another owner has taken the old one's place (aclnewowner in acl.c)."""
    if old == new:
        return grants
    return frozenset(
        dataclasses.replace(
            grant,
            grantee=new if grant.grantee == old else grant.grantee,
            grantor=new if grant.grantor == old else grant.grantor,
            grantable=grant.grantable and grant.grantee != old,
        )
        for grant in grants
    )


def _defaults(here: Privileges, wishes: Wishes) -> t.Iterator[Command]:
    there = {default.key: default for default in here.defaults}
    for key in sorted(there.keys() | wishes.defaults.keys()):
        role, schema, kind = key
        first = here.first_grants(DefaultPrivileges(role, schema, kind, frozenset()))
        now = there[key].grants if key in there else first
        wanted = wishes.defaults[key].grants if key in wishes.defaults else first
        # The words of a schema's are all the role's own; nobody else can say them.
        steps = plan(role, now, wanted, ())
        subject = sql.SQL("ALTER DEFAULT PRIVILEGES FOR ROLE {}{} ").format(
            sql.Identifier(role), sql.SQL(f" IN SCHEMA {schema}" if schema else "")
        )
        for step in steps:
            yield Command(str(wishes.defaults.get(key) or there[key]), subject + _say(step, sql.SQL(f"ON {kind}S"), ""))


def _say(step: Step, place: sql.Composable, column: str) -> sql.Composed:
    only = sql.SQL(" ({})").format(sql.Identifier(column)) if column else sql.SQL("")
    privileges = sql.SQL(", ").join(sql.SQL(privilege) + only for privilege in step.privileges)
    if step.verb == "REVOKE":
        # What was passed on of it goes, too.
        statement = sql.SQL("REVOKE {} {} FROM {} CASCADE").format(privileges, place, _role(step.grantee))
    else:
        statement = sql.SQL("GRANT {} {} TO {}{}").format(
            privileges, place, _role(step.grantee), sql.SQL(" WITH GRANT OPTION" if step.grantable else "")
        )
    if not step.by:
        return statement
    # GRANTED BY names nobody but the current user (docs: GRANT).
    return sql.SQL("SET LOCAL ROLE {}; {}; RESET ROLE").format(sql.Identifier(step.by), statement)


def _role(name: str) -> sql.Composable:
    return sql.SQL("PUBLIC") if name == PUBLIC else sql.Identifier(name)
