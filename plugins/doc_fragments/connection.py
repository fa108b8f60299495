# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Documentation of the options by which modules reach the two databases."""

from __future__ import annotations

import typing as t

#: What both sides have in common.
_DATABASE = r"""      dbname:
        description: Name of the database.
        type: str
        required: true
      user:
        description: Role to connect as.
        type: str
        required: true
      password:
        description: The role's password; without one, the server must trust the connection.
        type: str
      sslmode:
        description:
          - TLS mode as libpq names it.
          - Without one, V(require) for a remote host and V(prefer) for a local one. For a remote host nothing less
            than V(require) is accepted.
        type: str
        choices: [disable, allow, prefer, require, verify-ca, verify-full]
      sslrootcert:
        description: File with the certificates to verify the server by.
        type: path
"""


class ModuleDocFragment:
    """Use with ``extends_documentation_fragment: pgconvoy.migrate.connection.source`` or ``.target``."""

    SOURCE: t.Final = (
        r"""
options:
  source:
    description: The database to copy. It is opened read-only.
    type: dict
    suboptions:
      container:
        description:
          - Name or identifier of the running container that the server is in, in place of O(source.host).
          - It is reached through C(docker) or C(podman), directly where its port is published on this machine, else
            through a tunnel (C(docker exec)). Nothing is put into the container.
        type: str
      host:
        description:
          - Name or address of the server, or the directory of its socket.
          - Needed unless there is O(source.container).
        type: str
      port:
        description: Port of the server; with O(source.container), the one inside.
        type: int
        default: 5432
"""
        + _DATABASE
    )

    TARGET: t.Final = (
        r"""
options:
  target:
    description: The live database to replace. It is made where the server has none of that name.
    type: dict
    suboptions:
      host:
        description: Name or address of the server, or the directory of its socket.
        type: str
        required: true
      port:
        description: Port of the server.
        type: int
        default: 5432
"""
        + _DATABASE
    )
