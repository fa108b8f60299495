# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What to do where a database cannot be entered."""

from __future__ import annotations

import re
import typing as t

#: As libpq words it (fe-secure-common.c); of an address it looks for the subject's name, too.
_LOCALHOST: t.Final = re.compile(
    r'server certificate for "localhost"(?: \(and 1 other name\))? does not match host name'
)
#: psycopg's words, and libpq's.
_UNKNOWN_HOST: t.Final = re.compile(r"failed to resolve host|could not translate host name")


def advise(side: str, host: str, password: str, said: str) -> str | None:
    """Return what to do about a refusal, if more can be told than which variables there are.

    :param said: by the server, or on the way to it
    """
    if not password and "no password supplied" in said:
        return (
            f"The server asks for a password, and {side}_password is empty, or not set. Put it into the vault, between "
            "quotes: YAML takes a ~, or what follows a #, for nothing (docs/runbooks/passwords.md)."
        )
    if host.endswith(".internal") and _UNKNOWN_HOST.search(said):
        return (
            f"{host} is a private address, known within the provider's network alone. Name the public host and port in "
            f"{side}_host and {side}_port (at Railway those of DATABASE_PUBLIC_URL), or open a tunnel and name its end "
            "on this machine (docs/runbooks/railway.md)."
        )
    if _LOCALHOST.search(said):
        return (
            f"The server's certificate is made out to localhost, as Railway's is, so verify-full can never hold by "
            f"the name {host}. Set {side}_sslmode to require, or to verify-ca; or open a tunnel and set "
            f"{side}_host to localhost, by which verify-full holds (docs/runbooks/railway.md)."
        )
    if "server does not support SSL" in said:
        return (
            f"The server speaks no TLS. If it is on this machine, set {side}_sslmode to prefer. A remote one must: "
            "switch ssl on there, or open a tunnel and name its end on this machine."
        )
    return None
