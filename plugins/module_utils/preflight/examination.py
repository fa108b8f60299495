# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What preflight has learned of the two sides."""

from __future__ import annotations

import dataclasses
import typing as t

from ..catalog.database import DatabaseProperties
from ..catalog.in_force import Settings
from ..catalog.orphans import Census
from ..catalog.requirements import Requirements
from ..catalog.selection import Selection
from ..errors import MigrationError
from ..in_place.order import LoadOrder
from ..server.client_tools import ClientTools
from ..server.endpoint import Endpoint, Session
from ..verdict.findings import Finding
from ..verdict.words import Words
from .checks.refill import FkStrategy
from .checks.target import Offers
from .goals import IN_PLACE, LoadMode
from .handed_on import HandedOn
from .transfer import Transfer

#: Errors after which rows cannot be read, or not by several sessions.
_HIDING: t.Final = frozenset(
    {"connections", "locked", "no-connection", "not-readable", "pooler", "replica-unlogged", "row-security", "snapshot"}
)


@dataclasses.dataclass
class Examination:
    """What preflight learned; a side that it could not reach, or that takes no part, is None."""

    findings: list[Finding] = dataclasses.field(default_factory=list)
    #: the source as it was reached: of one in a container, by which way
    reached: Endpoint | None = None
    source: DatabaseProperties | None = None
    requirements: Requirements | None = None
    #: schema and name of the source's tables
    tables: frozenset[tuple[str, str]] = frozenset()
    #: those of them that the live database lacks which is to be replaced
    lacking: frozenset[tuple[str, str]] = frozenset()
    target_version: int | None = None
    target_exists: bool = False
    #: settings of the users' own that a session of the live database begins with; true if only in that database
    target_own: t.Mapping[str, bool] = dataclasses.field(default_factory=dict)
    #: those of PostgreSQL's own that it cannot have as the source's sessions begin with them, and what it has
    missing_settings: Settings = ()
    #: what its server offers of what the source needs
    offers: Offers | None = None
    #: the databases that runs have left, or have under way
    leftovers: list[str] = dataclasses.field(default_factory=list)
    #: how the live database gets its new content; None where the run gives it none
    load_mode: LoadMode | None = None
    #: the tables that the run is about; all if None
    selection: Selection | None = None
    #: how tables are filled whose foreign keys are there
    fk_strategy: FkStrategy = "post_data"
    #: in which order, where the schema is kept
    order: LoadOrder | None = None
    #: why no copy can be built beside it
    obstacles: list[Finding] = dataclasses.field(default_factory=list)
    #: the extensions of the live database that stay where it is cleared
    kept_extensions: tuple[str, ...] = ()
    #: what the live database has told of who can read it, where it was asked with other things
    access: t.Sequence[t.Any] = ()
    #: whether the live database can be compared
    target_readable: bool = False
    #: what to tell of it if it is not equal: that not all of it could be backed up, or compared with a lock alone
    unless_equal: list[Finding] = dataclasses.field(default_factory=list)
    tools: ClientTools | None = None
    #: how the source's rows come to where they are wanted; None where nobody wants them, or their size is not known
    transfer: Transfer | None = None
    #: whether an earlier run's changes are taken back, and its undo stands for the source
    undoes: bool = False
    #: whether the source is frozen at the end, and what it has got meanwhile is brought
    freezes: bool = False
    #: what is true of the source's foreign keys
    census: list[Census] = dataclasses.field(default_factory=list)
    #: what the target's server makes of the source's definitions, where the verdict on the copy is to know
    words: Words | None = None
    #: what the stage is spared that fills a schema which is kept
    handed_on: HandedOn | None = None
    #: sessions in the live database, in whatever transaction, and outside of it, if they are kept for what comes next
    live_session: Session | None = None
    server_session: Session | None = None
    #: another one in the live database, to read it by beside the first, and the server process that serves it
    reader: Session | None = None
    reader_pid: int = 0

    @property
    def keeps_schema(self) -> bool:
        """Whether the live database's own tables are filled, as they are."""
        return self.in_place and self.fk_strategy != "post_data"

    @property
    def in_place(self) -> bool:
        """Whether the live database itself is changed, and no other takes its place."""
        return self.load_mode in IN_PLACE

    @property
    def can_read_rows(self) -> bool:
        """Whether nothing found by now keeps the source's rows from being read, all of them and at once."""
        return not any(finding.severity == "error" and finding.code in _HIDING for finding in self.findings)

    def has(self, code: str) -> bool:
        """Whether there is a finding of that code."""
        return any(finding.code == code for finding in self.findings)

    def select(self, choose: t.Callable[[], Selection | None]) -> None:
        """Settle which tables the run is about; patterns that cannot do so are a finding like any other."""
        try:
            self.selection = choose()
        except MigrationError as error:
            self.findings.append(Finding("error", "selection", "include_tables and exclude_tables", str(error)))

    def of_selected(self, findings: list[Finding]) -> list[Finding]:
        """Leave out what hides large objects, sequences, and rows of tables that are not selected.

        pg_dump must lock all tables, which takes the right to read them. A sequence belongs to whom its table belongs
        to.
        """
        selection = self.selection
        if selection is None:
            return findings
        return [
            finding
            for finding in findings
            if not finding.object.startswith(("sequence ", "large object "))
            and (finding.code != "row-security" or finding.object.partition(" ")[2] in selection.labels)
        ]
