# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What to do where a database cannot be entered."""

from __future__ import annotations


def advise(side: str, password: str, said: str) -> str | None:
    """Return what to do about a refusal, if more can be told than which variables there are.

    :param said: by the server, or on the way to it
    """
    if not password and "no password supplied" in said:
        return (
            f"The server asks for a password, and {side}_password is empty, or not set. Put it into the vault, between "
            "quotes: YAML takes a ~, or what follows a #, for nothing (docs/runbooks/passwords.md)."
        )
    return None
