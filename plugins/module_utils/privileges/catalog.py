# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Owners, grants and default privileges of a database, by names that are the same on every server."""

from __future__ import annotations

import dataclasses
import functools
import typing as t

from .acl import PUBLIC, Grant, Grants

#: What objects are known by: the kind as GRANT and ALTER say it, and the name as SQL.
Key = tuple[str, str]

#: The schema that every new database has.
PUBLIC_SCHEMA: t.Final[Key] = ("SCHEMA", "public")

#: The kinds of objects that are the server's, not a database's, or the database itself: their owner stays. So does an
#: extension's, whose is whoever has made it.
PLACES: t.Final = ("DATABASE", "PARAMETER", "EXTENSION")


#: Columns that each table has, on which grants are told where there are any (docs: 5.6 System Columns).
_SYSTEM_COLUMNS: t.Final = frozenset({"tableoid", "cmax", "xmax", "cmin", "xmin", "ctid"})


@dataclasses.dataclass(frozen=True)
class Securable:
    """An object that has an owner and perhaps grants; ``word`` is what people call its kind."""

    kind: str
    identity: str
    word: str
    #: the schema that it is in, as SQL, or nothing
    schema: str
    owner: str
    #: None where nobody has granted or revoked anything
    acl: Grants | None
    #: of a table: the grants on each of its columns
    columns: dict[str, Grants]
    #: what it was made with, where the server or an extension has made it: owner and grants are theirs, and only what
    #: was changed is the user's
    made_with: Grants | None = None
    #: what has the same owner: the table of a sequence that belongs to a column, or of the type of its rows; the range
    #: of a multirange
    follows: str = ""
    #: whether what an extension or the server has made was given to a role that needs to own it: to no superuser
    given_away: bool = False

    @property
    def key(self) -> Key:
        """What the object is known by on every server."""
        return self.kind, self.identity

    def has_column(self, name: str) -> bool:
        """Whether it is a table, and has this column."""
        return name in self.columns or (self.kind == "TABLE" and name in _SYSTEM_COLUMNS)

    @property
    def is_implied(self) -> bool:
        """Whether it is a type that came with another object, which is told only where something is granted on it."""
        return self.kind == "TYPE" and bool(self.follows)

    @property
    def keeps_owner(self) -> bool:
        """Whether its owner is not the user's to choose."""
        return self.made_with is not None or self.kind in PLACES

    def __str__(self) -> str:
        return f"{self.word} {self.identity}" if self.identity else self.word


@dataclasses.dataclass(frozen=True)
class DefaultPrivileges:
    """What objects of a kind are granted when a role makes them: all of it or, in a schema, what is added to that."""

    role: str
    #: as SQL; nothing for all schemas
    schema: str
    kind: str
    grants: Grants

    @property
    def key(self) -> tuple[str, str, str]:
        """What they are known by on every server."""
        return self.role, self.schema, self.kind

    def __str__(self) -> str:
        place = f" in schema {self.schema}" if self.schema else ""
        return f"default privileges of role {self.role} on each {self.kind.lower()}{place}"


@dataclasses.dataclass(frozen=True)
class Role:
    """A role of the server; the last two say what the session's user may do by it."""

    can_login: bool
    superuser: bool
    #: whether the user can assume it
    assumable: bool = False
    #: whether the user has its rights without assuming it
    inherited: bool = False


@dataclasses.dataclass(frozen=True)
class Initial:
    """What an object of a kind is granted when nobody says anything: to its owner all there is, and to everybody."""

    owner: tuple[str, ...]
    public: tuple[str, ...]

    # Of thousands of objects there are few kinds and owners.
    @functools.lru_cache(maxsize=100)  # noqa: B019 - one instance a kind of object and side is all that it keeps alive
    def grants(self, owner: str) -> Grants:
        """Return that of an owner's object."""
        return frozenset(
            [Grant(owner, privilege, False, owner) for privilege in self.owner]
            + [Grant(PUBLIC, privilege, False, owner) for privilege in self.public]
        )


@dataclasses.dataclass(frozen=True)
class Privileges:
    """All owners, grants and default privileges of a database, and the roles of its server by name."""

    user: str
    objects: tuple[Securable, ...]
    defaults: tuple[DefaultPrivileges, ...]
    roles: dict[str, Role]
    #: by kind
    initial: dict[str, Initial]

    @functools.cached_property
    def by_key(self) -> dict[Key, Securable]:
        """The objects by what they are known by."""
        return {securable.key: securable for securable in self.objects}

    def followed_by(self, securable: Securable) -> Securable | None:
        """Return what has the same owner as that; a table and a type are never called alike."""
        found = (self.by_key.get((kind, securable.follows)) for kind in ("TABLE", "TYPE"))
        return next(filter(None, found), None)

    def known(self, kind: str) -> frozenset[str]:
        """Return the privileges that the server's version knows of a kind of object: its owner has all of them."""
        return frozenset(self.initial[kind].owner) if kind in self.initial else frozenset()

    def initial_grants(self, kind: str, owner: str) -> Grants:
        """Return what an object is granted when nobody says anything."""
        return self.initial.get(kind, Initial((), ())).grants(owner)

    def grants(self, securable: Securable) -> Grants:
        """Return what is granted on an object, the owner's own rights included."""
        if securable.acl is not None:
            return securable.acl
        return self.initial_grants(securable.kind, securable.owner)

    def first_grants(self, default: DefaultPrivileges) -> Grants:
        """Return what default privileges are as long as nobody has altered them."""
        return frozenset() if default.schema else self.initial_grants(default.kind, default.role)
