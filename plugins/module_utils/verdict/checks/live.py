# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The live database: what is going on in it that the switch will meet."""

from __future__ import annotations

from ...endpoint import Session
from ...staging.names import Generations
from ..findings import Finding


def check_live(session: Session, generations: Generations, may_disconnect: bool) -> list[Finding]:
    row = session.execute("SELECT oid FROM pg_database WHERE datname = %s", (generations.live,)).fetchone()
    name = f'database "{generations.live}"'
    if row is None:
        return [Finding("notice", "target-missing", name, "the target has none of that name yet; it will be made.")]
    findings = [
        Finding(
            "error",
            "target-subscription",
            f"subscription {subscription}",
            "it is in the live database, and would go on in the previous one after the switch.",
            "Drop it on the target first.",
        )
        for (subscription,) in session.execute("SELECT subname FROM pg_subscription WHERE subdbid = %s", row).fetchall()
    ]
    return [*findings, *check_clients(session, generations, may_disconnect)]


def check_clients(session: Session, generations: Generations, may_disconnect: bool) -> list[Finding]:
    clients = session.execute(
        "SELECT count(*) FROM pg_stat_activity WHERE datname = %s AND backend_type = 'client backend'",
        (generations.live,),
    ).fetchone()
    if not clients or not clients[0]:
        return []
    return [
        Finding(
            "warning",
            "target-clients",
            f'database "{generations.live}"',
            f"clients are connected to it, {clients[0]} in number; "
            + ("the switch ends their sessions." if may_disconnect else "the switch fails while they are."),
            "" if may_disconnect else "Stop them, or set switch_disconnects_clients.",
        )
    ]
