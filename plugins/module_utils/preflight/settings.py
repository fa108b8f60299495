# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What holds for all stages of a run, as the engine wants it."""

from __future__ import annotations

import dataclasses
import typing as t

from ..archive.compression import Compression
from ..catalog.queries import Query
from ..catalog.selection import EVERYTHING, Patterns
from ..privileges.wanted import AS_BEFORE, Policy


@dataclasses.dataclass(frozen=True)
class Settings:
    """The option ``settings`` of a stage's module."""

    #: how many relations are read, loaded or compared at once
    jobs: int = 1
    #: reasons for differences that are allowed, by object
    allowed: t.Mapping[str, str] = dataclasses.field(default_factory=dict)
    #: what both sides must answer
    queries: tuple[Query, ...] = ()
    #: which tables the run is about
    patterns: Patterns = EVERYTHING
    #: how tables are filled under their foreign keys: ``auto`` or a strategy
    fk_strategy: str = "auto"
    #: what owners and grants of the target shall be
    policy: Policy = AS_BEFORE
    #: of how many rows of each table the keys are told where it is only said what would be done
    show_rows: int = 0
    #: the role that the application enters the target by, if it is named
    application_role: str = ""
    #: whether a switch may end the sessions of clients
    may_disconnect: bool = False
    #: whether the sums of columns are told as well
    sums: bool = False
    #: how rows lie in the archives that are written
    compression: Compression = "none"

    @classmethod
    def of(cls, options: t.Mapping[str, t.Any]) -> Settings:
        """Return the option's suboptions, typed."""
        role_map = {str(role): str(target) for role, target in options["role_map"].items()}
        return cls(
            jobs=options["jobs"],
            allowed={entry["object"]: entry["reason"] for entry in options["allowed_differences"]},
            queries=tuple(Query(q["name"], q["sql"], _spell(q["expect"])) for q in options["verify_queries"]),
            patterns=Patterns(tuple(options["include_tables"]), tuple(options["exclude_tables"])),
            fk_strategy=options["fk_strategy"],
            policy=Policy(options["grants"], options["owners"], role_map),
            show_rows=options["show_rows"],
            application_role=options["application_role"],
            may_disconnect=options["switch_disconnects_clients"],
            sums=options["report_sums"],
            compression=options["archive_compression"],
        )


def _spell(value: t.Any) -> str:
    """Return a YAML value as COPY would write it."""
    return {True: "t", False: "f"}[value] if isinstance(value, bool) else str(value)
