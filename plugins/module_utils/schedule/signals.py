# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Signals: what is sent to the process, to its main thread and to those beside it."""

from __future__ import annotations

import signal
import threading

_INTERRUPTIONS = frozenset({signal.SIGINT, signal.SIGTERM})


def heed_all() -> None:
    """Undo what whoever has started ansible-playbook has left of signals: that is inherited (man 7 signal).

    Where SIGCHLD is ignored, a program that fails looks like one that ended well (subprocess takes 0 for a status that
    nobody can tell any more); what is blocked interrupts nothing.
    """
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _INTERRUPTIONS)


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
