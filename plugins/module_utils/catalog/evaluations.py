# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Materialized views that are evaluated while their database is read: once, and once more what is not alike then."""

from __future__ import annotations

import functools
import typing as t

from ..schedule.progress import Step
from ..server.endpoint import Session
from .content import Measured, Rows
from .in_force import Settings
from .portions import Portion
from .relations import Relation
from .selection import Name
from .views import Definition, Evaluation, evaluate


class Evaluations:
    """What the queries of a database's materialized views have yielded so far.

    :param definitions: of the views that may be evaluated
    :param search_path: under which, with
    :param settings: these
    """

    def __init__(self, definitions: t.Mapping[Name, Definition], search_path: str, settings: Settings) -> None:
        """Begin with none."""
        self._definitions, self._search_path, self._settings = definitions, search_path, settings
        self._first: dict[Name, Evaluation] = {}
        self._second: dict[Name, Evaluation] = {}

    def __bool__(self) -> bool:
        """Whether there is any that may be evaluated."""
        return bool(self._definitions)

    def first(self, views: t.Iterable[Relation]) -> list[Portion]:
        """Return the evaluation of those of the views that may be."""
        return [self._portion(view, self._first) for view in views if view.full_name in self._definitions]

    def second(self, views: t.Iterable[Relation]) -> list[Portion]:
        """Return another evaluation, in another transaction, of views that were evaluated before."""
        return [self._portion(view, self._second) for view in views]

    def measured(self, relation: Relation, rows: Rows | None) -> Measured:
        """Return what a relation holds, with what its query has yielded, if it has one."""
        name = relation.full_name
        first, second, definition = self._first.get(name), self._second.get(name), self._definitions.get(name)
        return Measured(
            relation,
            rows,
            first.rows if first else None,
            second.rows if second else None,
            first.read if first else (),
            definition is not None and definition.timed,
        )

    def _portion(self, view: Relation, outcome: dict[Name, Evaluation]) -> Portion:
        return Portion(functools.partial(self._evaluate, view, outcome), Step(f"{view.kind} {view}"))

    def _evaluate(self, view: Relation, outcome: dict[Name, Evaluation], session: Session) -> None:
        definition = self._definitions[view.full_name]
        if found := evaluate(session, view, definition, self._search_path, self._settings):
            outcome[view.full_name] = found
