# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What keeping a password secret does to output: Ansible replaces it wherever it occurs, in the middle of words too."""

from __future__ import annotations

import typing as t

#: Anything shorter is in every other line.
_SHORTEST: t.Final = 4

#: Words that our results, messages and reports are made of.
_OWN_WORDS: t.Final = """
allowed_differences archive changed checksum client_bindir column constraint database different equal error failed
finding index large_objects materialized migrated notice password pgconvoy postgres postgresql previous production
public refused remedy report restore role sandbox schema sequence server source staging superuser switch table target
unchanged user verdict view warning
"""


def spoils(password: str, words: t.Iterable[str]) -> bool:
    """Return whether output would be unreadable without the password: words of ours, or these, contain it."""
    if not password:
        return False
    return len(password) < _SHORTEST or any(password in word for word in (_OWN_WORDS, *words))
