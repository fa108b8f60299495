# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether two databases are alike in what they themselves are, and in their extensions' versions."""

from __future__ import annotations

import dataclasses
import typing as t

from ..catalog.database import DatabaseProperties
from ..catalog.locales import reword_locale
from ..catalog.requirements import Extension
from ..server.endpoint import Endpoint, connect
from .findings import Difference
from .pairs import Pair, say

#: Settings may hold keys and passwords of applications.
_OTHER_VALUE: t.Final = "another value on the target than on the source"


def compare_databases(
    source: DatabaseProperties, target: DatabaseProperties, with_settings: bool
) -> tuple[Difference, ...]:
    """Compare what the databases themselves are; settings and comment reach a copy only as it becomes live."""
    pairs = [
        Pair(f"database {field.name}", str(ours), str(theirs), ours == theirs)
        for field in dataclasses.fields(source.locale)
        for ours, theirs in [(getattr(source.locale, field.name), getattr(target.locale, field.name))]
    ]
    settings: tuple[Difference, ...] = ()
    if source.has_public != target.has_public:
        there = {True: "present", False: None}
        pairs.append(Pair("schema public", there[source.has_public], there[target.has_public], equal=False))
    if with_settings:
        ours, theirs = dict(source.settings), dict(target.settings)
        settings = tuple(
            Difference(f"database setting {name}", _OTHER_VALUE if name in theirs else "missing on the target")
            for name, value in ours.items()
            if theirs.get(name) != value
        )
        if source.comment is not None:
            pairs.append(Pair("database comment", source.comment, target.comment, source.comment == target.comment))
    return (*(Difference(pair.name, say(pair)) for pair in pairs if not pair.equal), *settings)


def compare_extensions(
    source: t.Iterable[Extension], target: t.Iterable[Extension], default_versions: t.Mapping[str, str]
) -> tuple[Difference, ...]:
    """Compare the versions, which no definition tells; a copy is made in the version that the target's server prefers.

    :param default_versions: that version, by the extensions' names
    """
    versions = {extension.name: extension.version for extension in source}
    return tuple(
        Difference(
            f"extension {found.name}",
            f"version {versions[found.name]} on the source, {found.version} on the target,"
            f" whose server would make it {default_versions.get(found.name, 'no longer')}",
        )
        for found in target
        if found.name in versions and found.version not in (versions[found.name], default_versions.get(found.name))
    )


def in_target_words(target: Endpoint, source: DatabaseProperties, found: DatabaseProperties) -> DatabaseProperties:
    """Return the source's properties, the locale as the target's server spells it, which is asked if need be.

    :param found: those of the target
    """
    if source.locale == found.locale:
        return source
    with connect(target) as session:
        return dataclasses.replace(source, locale=reword_locale(session, source.locale))
