# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether the role that the application enters by can be tried once the database is live."""

from __future__ import annotations

import typing as t

from psycopg import sql

from ...server.inquiry import Inquiry
from ...verdict.findings import Finding

# From 16 on, to be a member is not to be allowed to become it (docs: GRANT, WITH SET).
_ROLE: t.Final = """
SELECT pg_catalog.pg_has_role(oid, CASE WHEN pg_catalog.current_setting('server_version_num')::int >= 160000
                                        THEN 'SET' ELSE 'MEMBER' END), current_user::text
FROM pg_catalog.pg_roles WHERE rolname = {}
"""


def ask_application_role(role: str) -> Inquiry[list[Finding]]:
    """Ask whether there is such a role, which the user may become."""
    (found,) = yield [sql.SQL(_ROLE).format(role)]
    if not found:
        remedy = "CREATE ROLE it there, or correct application_role."
        return [Finding("error", "application-role", f"role {role}", "the target does not have it.", remedy)]
    ((may, user),) = found
    if may:
        return []
    grant = sql.SQL("GRANT {} TO {}").format(sql.Identifier(role), sql.Identifier(user))
    message = f"the target's user {user} may not become it, and so cannot try whether it is served."
    return [Finding("error", "application-role", f"role {role}", message, f"{grant.as_string()}.")]
