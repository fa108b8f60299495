# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What docs/runbooks/railway.md has one type; only Railway's own command is not here to be run."""

from __future__ import annotations

import re
import shlex
import typing as t

import pytest
import yaml

from tests.databases import Database
from tests.playbooks import ROOT, Controller

_PAGE: t.Final = (ROOT / "docs/runbooks/railway.md").read_text(encoding="utf-8")
#: Language and text of each block of code.
_BLOCKS: t.Final = re.findall(r"^ *```(\w*)\n(.*?)^ *```$", _PAGE, re.MULTILINE | re.DOTALL)
_VARIABLES: t.Final = [yaml.safe_load(text) for language, text in _BLOCKS if language == "yaml"]


def test_playbooks(sandbox: Controller, source: Database, target: Database) -> None:
    """With the variables of the way by a tunnel, whose end is the target's server here, and those of the room."""
    proxy, tunnel, room = _VARIABLES
    assert proxy.keys() - tunnel.keys() == {"target_sslmode"}
    assert (tunnel["target_host"], tunnel["target_user"]) == ("localhost", target.server.user)
    sandbox.vary(**tunnel | {"target_port": target.server.port, "target_dbname": target.name} | room)
    sandbox.vary(target_sslmode=None)
    commands = [shlex.split(line) for line in _lines("ansible-playbook ")]
    assert commands
    for _, playbook, *options in commands:
        at = options.index("-l")
        assert options[at + 1] == "sandbox"
        run = sandbox.run(playbook, *options[:at], *options[at + 2 :])
        assert run.rc == 0, run.output
    assert target.contents() == source.contents()


def test_statements(target: Database) -> None:
    """The server takes them, one by one."""
    statements = [one for language, text in _BLOCKS if language == "sql" for one in text.split(";\n") if one.strip()]
    assert len(statements) > 5
    with target.server.connect() as session:
        for statement in statements:
            session.execute(statement.encode())


def test_every_other_command_is_railway_s() -> None:
    """What nobody could try here is no command of ours."""
    plain = [line for language, text in _BLOCKS if not language for line in text.splitlines()]
    assert {line.split()[0] for line in plain} == {"ansible-playbook", "railway"}


@pytest.mark.parametrize(("plan", "log"), [("Hobby", 1 << 30), ("Pro", 1 << 30), ("Free", 128 << 20)])
def test_room(plan: str, log: int) -> None:
    """Live database, copy and previous one, with the log, are what the volume holds, less 3 %."""
    (row,) = re.findall(rf"^\| {plan}.* \| ([\d.]+) GB \| `(\d+)` \| .*?([\d.]+) GB \|$", _PAGE, re.MULTILINE)
    assert int(row[1]) == round(float(row[0]) * 0.97 * 10**9)
    tenths = (int(row[1]) - log) / 3 // 10**8
    assert float(row[2]) == tenths / 10


def _lines(beginning: str) -> list[str]:
    return [line for _, text in _BLOCKS for line in text.splitlines() if line.startswith(beginning)]
