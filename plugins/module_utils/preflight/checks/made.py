# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a rehearsal has made without a word from the server, and otherwise than it is on the source."""

from __future__ import annotations

import dataclasses
import typing as t

import psycopg

from ...catalog.bindings import ask_bindings
from ...catalog.extension_rows import ask_extension_rows
from ...catalog.members import ask_members
from ...catalog.unsaid import ask_unsaid
from ...errors import MigrationError, describe
from ...server.endpoint import Session
from ...server.inquiry import answer, together
from ...verdict.bindings import compare_bindings
from ...verdict.findings import Finding
from ...verdict.original import Original
from .extensions import check_members, check_rows, check_unsaid


def check_made(
    source: Original, made: Session, allowed: t.Mapping[str, str], kept: t.Container[str] = ()
) -> list[Finding]:
    """Return what is otherwise: members of extensions, rows in their tables, what is unsaid, bindings.

    :param made: a session of a database in which the source's schema was made, all of it and without rows
    :param allowed: the user's reasons for differences, by object
    :param kept: extensions that are not made, since they stay in the live database
    """
    findings = []
    asked = together(ask_bindings(), ask_members(made.info.server_version), ask_extension_rows(), ask_unsaid())
    try:
        bindings, there, there_rows, unsaid = answer(made, asked)
    except psycopg.Error as error:
        raise MigrationError(f"Cannot read what was made in a rehearsal: {describe(error)}") from None
    if source.members:
        extensions = tuple(extension for extension in source.members.extensions if extension.name not in kept)
        members = dataclasses.replace(source.members, extensions=extensions)
        rows = [rows for rows in source.extension_rows if rows.extension not in kept]
        findings += check_members(members, there, allowed)
        findings += check_rows(rows, there_rows, allowed)
    findings += check_unsaid(source, unsaid, allowed)
    return findings + [
        Finding(
            "error",
            "other-binding",
            difference.object,
            f"{difference.message}: its definition names no schema for an operator, and another one is found.",
            "Say it by an operator with its schema (OPERATOR(schema.=)), or put the operator where search_path leads.",
        )
        for difference in compare_bindings(source.bindings, bindings, source.selection)
        if difference.object not in allowed
    ]
