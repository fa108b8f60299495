# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One thing that is done beside another: a far server is waited for once for both."""

from __future__ import annotations

import concurrent.futures
import contextvars
import threading
import typing as t

from .signals import start_beside

Done = t.TypeVar("Done")


def begin_beside(work: t.Callable[[], Done]) -> t.Callable[[], Done]:
    """Let a thread of its own do something, and return what waits for it and gives, or raises, what came of it.

    It uses nothing that the caller uses meanwhile. Who fails before need not wait: it ends with the process.
    """
    done: concurrent.futures.Future[Done] = concurrent.futures.Future()

    def do() -> None:
        try:
            done.set_result(work())
        except BaseException as error:  # noqa: BLE001 - handed to who waits
            done.set_exception(error)

    # In the caller's context, which leads to whoever listens to the progress.
    start_beside(threading.Thread(target=contextvars.copy_context().run, args=(do,), daemon=True))
    return done.result
