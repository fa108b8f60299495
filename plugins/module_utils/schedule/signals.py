# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Threads beside the main one, and what is sent to the process."""

from __future__ import annotations

import signal
import threading

_INTERRUPTIONS = frozenset({signal.SIGINT, signal.SIGTERM})


def start_beside(thread: threading.Thread) -> None:
    """Start a thread that is interrupted by nothing.

    The kernel gives a signal to any thread that does not block it, and Python handles it in the main thread alone,
    which sleeps on if another one has got it (docs: signal, Signals and threads). Programs that the thread started
    would block these signals as well.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _INTERRUPTIONS)
    try:
        thread.start()
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
