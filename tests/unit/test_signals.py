# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who gets what is sent to the process."""

from __future__ import annotations

import signal
import threading

from ansible_collections.pgconvoy.migrate.plugins.module_utils.schedule.signals import start_beside


def test_a_thread_beside_the_main_one_gets_none() -> None:
    """So the main thread does, and no mask of its own is left."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, [])
    masks: list[set[int]] = []
    thread = threading.Thread(target=lambda: masks.append({*signal.pthread_sigmask(signal.SIG_BLOCK, [])}))
    start_beside(thread)
    thread.join()
    assert {signal.SIGINT, signal.SIGTERM} <= masks[0]
    assert signal.pthread_sigmask(signal.SIG_BLOCK, []) == before
