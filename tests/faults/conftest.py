# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Servers that nobody else minds if they die, and the way of a run between them."""

from __future__ import annotations

import typing as t
from pathlib import Path

import pytest

from tests.faults.scene import Scene, new_scene
from tests.servers import Servers


@pytest.fixture(scope="session")
def fault_servers(tmp_path_factory: pytest.TempPathFactory) -> t.Iterator[Servers]:
    """Give servers of their own."""
    started = Servers(tmp_path_factory.mktemp("servers"))
    yield started
    started.stop()


@pytest.fixture
def scene(fault_servers: Servers, tmp_path: Path) -> t.Iterator[Scene]:
    """Give two databases and a run's way between them."""
    with new_scene(fault_servers.source(), fault_servers.target(), tmp_path) as made:
        yield made
