# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The gate before a target is replaced, closed by default: a skipped task or an empty answer opens nothing."""

from __future__ import annotations

import typing as t

from ..errors import MigrationError
from ..server.endpoint import Endpoint

PRODUCTION_PHRASE: t.Final = "MIGRATE PRODUCTION"


def require_confirmation(production: bool, phrase: str, answer: str, target: Endpoint) -> None:
    """Make sure that the phrase was typed, if one is asked for; production always asks for one.

    :raises MigrationError: when it was not
    """
    wanted = phrase or (PRODUCTION_PHRASE if production else "")
    if answer != wanted and wanted:
        raise MigrationError(
            f'The {target} is left as it was: the phrase "{wanted}" was not typed. Run from a terminal and type it, or '
            f'give -e \'{{"confirm_answer": "{wanted}"}}\'.'
        )
