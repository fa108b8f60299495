# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who holds a lock, in words for people: a session, or a prepared transaction, which has none."""

from __future__ import annotations

import typing as t

#: To follow ``pg_locks l``. A prepared transaction has kept the number of its session's virtual transaction, and not
#: the one that the manual tells of (MarkAsPreparingGuts in twophase.c); its own number it has locked.
JOINED: t.Final = """
LEFT JOIN pg_catalog.pg_stat_activity a ON a.pid = l.pid
LEFT JOIN pg_catalog.pg_locks o ON l.pid IS NULL AND o.pid IS NULL AND o.locktype = 'transactionid' AND o.granted
      AND o.virtualtransaction = l.virtualtransaction
LEFT JOIN pg_catalog.pg_prepared_xacts x ON x.transaction = o.transactionid
"""
#: The holder of such a lock.
HOLDER: t.Final = """
CASE WHEN l.pid IS NULL THEN pg_catalog.format(
         'the prepared transaction %L of %s, which COMMIT PREPARED or ROLLBACK PREPARED ends', x.gid, x.owner)
     ELSE pg_catalog.format('session %s of %s (%s)', l.pid, coalesce(a.usename, '?'),
                            coalesce(nullif(a.application_name, ''), 'no application name')) END
"""
