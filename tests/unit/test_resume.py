# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What makes a copy that was left one of another version."""

from __future__ import annotations

import yaml
from ansible_collections.pgconvoy.migrate.plugins.module_utils.staging.resume import VERSION

from tests.playbooks import ROOT


def test_version_is_the_collections() -> None:
    """It is raised with the collection's."""
    assert yaml.safe_load((ROOT / "galaxy.yml").read_text(encoding="utf-8"))["version"] == VERSION
