# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Each side of a session looks after the other: a machine that vanishes does not leave it waiting for hours."""

from __future__ import annotations

import os
import socket

import pytest
from ansible_collections.pgconvoy.migrate.plugins.module_utils.server.endpoint import connect

from tests.migration import endpoint
from tests.servers import Servers


@pytest.mark.skipif(not hasattr(socket, "TCP_KEEPIDLE"), reason="the system does not tell when it probes")
def test_both_sides_probe(servers: Servers) -> None:
    """A minute of silence, then a probe every ten seconds, six times."""
    server = servers.target()
    with (
        connect(endpoint("target", server, "postgres")) as session,
        socket.socket(fileno=os.dup(session.fileno())) as own,
    ):
        assert own.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
        ours = [
            own.getsockopt(socket.IPPROTO_TCP, getattr(socket, f"TCP_KEEP{what}")) for what in ("IDLE", "INTVL", "CNT")
        ]
        assert ours == [60, 10, 6]
        theirs = [session.execute(f"SHOW tcp_keepalives_{what}").fetchone() for what in ("idle", "interval", "count")]
        assert theirs == [("60",), ("10",), ("6",)]
