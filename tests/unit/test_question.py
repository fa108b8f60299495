# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a person is told before the live database is replaced."""

from __future__ import annotations

import dataclasses

from ansible_collections.pgconvoy.migrate.plugins.module_utils.preflight.question import (
    History,
    Past,
    Standing,
    put_question,
)

_STANDING = Standing(
    live="shop",
    exists=True,
    theirs={("public", "item"): 12, ("public", "owner"): 3, ("public", "forgotten"): 1, ("public", "same"): 5},
    ours={("public", "item"): 9, ("public", "owner"): 5, ("public", "new"): 7, ("public", "same"): 5},
    clients="",
    undo="it stays",
    size=2_000_000,
)
_RUN = Past("shop-db", "R1", "migrated", "2026-11-20T10:15:30+00:00", 1_000_000, copying=100.0, switching=0.2)


def test_all_that_is_known() -> None:
    tried = dataclasses.replace(_RUN, host="sandbox-db", run_id="R2", status="failed")
    assert put_question(_STANDING, History(_RUN, _RUN, (tried,))) == [
        'live now   "shop", 4 tables with 21 rows; its content is of 2026-11-20 10:15 UTC (run R1) and of what clients '
        "did since",
        "lost       public.item: 3 rows fewer",
        "           public.forgotten: 1 row fewer, and the table goes",
        "           (rows are counted here: one that is replaced by another is not seen)",
        "gained     public.new: 7 rows more, in a table that is new",
        "           public.owner: 2 rows more",
        "connected  nobody, as far as the target's user may see",
        "the undo   it stays",
        "time       about 3 min for the copy, by run R1",
        "           clients wait for about 1 s, as they did then",
        "tried      on sandbox-db at 2026-11-20 10:15 UTC: failed (run R2)",
    ]


def test_what_is_not_known_is_said() -> None:
    standing = dataclasses.replace(_STANDING, theirs="permission denied for table item", clients="2 in number: ...")
    assert put_question(standing, History()) == [
        'live now   "shop"; no run that is known here has filled it',
        "rows       which tables lose or gain some is not known: permission denied for table item",
        "connected  2 in number: ...",
        "the undo   it stays",
        "time       not known: no earlier run of this host tells; playbooks/rehearse.yml would",
        "tried      not yet on another target, as far as the reports here tell",
    ]


def test_many_tables() -> None:
    """The largest losses are named."""
    theirs = {("public", f"t{number:02}"): number for number in range(1, 21)}
    told = put_question(dataclasses.replace(_STANDING, theirs=theirs, ours={}), History())
    assert told[1] == "lost       public.t20: 20 rows fewer, and the table goes"
    assert told[9] == "           and 12 tables more"


def test_nothing_there_yet() -> None:
    standing = dataclasses.replace(_STANDING, exists=False, theirs={}, undo="none is needed")
    assert [line.partition("  ")[0] for line in put_question(standing, History())] == [
        "live now",
        "the undo",
        "time",
        "tried",
    ]
