# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether the same words mean the same: the operators and functions that expressions are bound to on both sides."""

from __future__ import annotations

import typing as t

from ..catalog.bindings import Binding
from ..catalog.selection import Selection
from .findings import Difference


def compare_bindings(
    source: t.Iterable[Binding],
    target: t.Iterable[Binding],
    selection: Selection | None = None,
    redefined: t.Collection[str] = (),
) -> tuple[Difference, ...]:
    """Return the objects that are bound to something else although they are defined alike.

    :param selection: tables which, with all that is part of them, are compared alone
    :param redefined: the objects that are not defined alike: what is part of one is bound otherwise anyway
    """
    ours, theirs = ({b.object: b for b in side if _counts(b, selection)} for side in (source, target))
    others = " ".join(f"{name} " for name in redefined)
    return tuple(
        Difference(name, f"its text is bound to something else: {change}")
        for name in sorted(ours.keys() | theirs.keys())
        if (change := _change(ours.get(name), theirs.get(name)))
        and not any(f" {part} " in others for part in _parts(ours.get(name) or theirs[name]))
    )


def _parts(binding: Binding) -> t.Iterator[str]:
    """Yield by which names pg_dump may tell of an object: its own, and that of the relation that it is part of."""
    yield binding.object.partition(" ")[2]
    if binding.relation:
        yield binding.relation


def _counts(binding: Binding, selection: Selection | None) -> bool:
    return selection is None or binding.relation in selection.labels


def _change(source: Binding | None, target: Binding | None) -> str:
    ours, theirs = (set(binding.uses) if binding else set() for binding in (source, target))
    if source and target and source.operators is not None and target.operators is not None:
        ours, theirs = ours.union(source.operators), theirs.union(target.operators)
    lost, won = (", ".join(sorted(some)) for some in (ours - theirs, theirs - ours))
    told = [f"{lost} on the source alone"] if lost else []
    return "; ".join(told + ([f"{won} on the target alone"] if won else []))
