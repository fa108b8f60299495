# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What all tests share: PostgreSQL servers, databases on them, and a machine that playbooks run on."""

import signal

import hypothesis
import pytest

pytest_plugins = ["tests.servers", "tests.databases", "tests.playbooks", "tests.containers"]

# How long an example takes tells how busy the machine is, and nothing of the code.
hypothesis.settings.register_profile("pgconvoy", deadline=None)
hypothesis.settings.load_profile("pgconvoy")

# A shell that starts the tests in the background has Ctrl-C ignored, and the runs that the tests start would ignore it.
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(autouse=True)
def interruptible() -> None:
    """Ctrl-C interrupts: ansible-runner leaves a handler behind that does not (signal_handler in its utils)."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
