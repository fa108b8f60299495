# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The picture of a run in the README: of a run that went well, and of no machine in particular."""

from __future__ import annotations

import html
import re
import typing as t

from tests.picture import PICTURE, draw
from tests.playbooks import ROOT

_LAB: t.Final = "/home/somebody/lab"
_OUTPUT: t.Final = f"""
PLAY [Move] ****

TASK [pgconvoy.migrate.preflight : Examine both sides] ****
\x1b[0;32mok: [sandbox-db]\x1b[0m

TASK [pgconvoy.migrate.data_restore : Validating arguments against arg spec 'main'] ****
\x1b[0;32mok: [sandbox-db]\x1b[0m

TASK [pgconvoy.migrate.data_restore : Restore the data beside the live database] ****
\x1b[0;33mchanged: [sandbox-db]\x1b[0m

TASK [pgconvoy.migrate.backup : Back up the live database] ****
\x1b[0;36mskipping: [sandbox-db]\x1b[0m

TASK [pgconvoy.migrate.report : Say what the run came to] ****
Report: {_LAB}/runs/sandbox-db/1/report.html
"""


def _text(svg: str) -> str:
    return html.unescape(" ".join(re.findall(r"<text[^>]*>([^<]*)</text>", svg))).replace("\xa0", " ")


def test_what_is_drawn() -> None:
    """The end of the run, without what had nothing to do and without the folder; and in colours."""
    svg = draw(_OUTPUT, _LAB)
    text = _text(svg)
    assert "Restore the data" in text
    assert "Report: .lab/runs/sandbox-db/1/report.html" in text
    for absent in ("Examine", "Validating", "Back up", _LAB, "\x1b"):
        assert absent not in text
    assert len(set(re.findall(r"\.(pgconvoy-r\d+) \{ fill", svg))) > 1


def test_picture_of_the_readme() -> None:
    """It shows a whole run, and nothing of who has drawn it or where; nobody else's server is asked for a font."""
    svg = PICTURE.read_text(encoding="utf-8")
    text = _text(svg)
    assert f"({PICTURE.relative_to(ROOT)})" in (ROOT / "README.md").read_text(encoding="utf-8")
    assert "$ ansible-playbook -i .lab/inventory.yml migrate.yml -l sandbox" in text
    assert "rows, all equal" in text
    assert "failed=0" in text
    assert "font-face" not in svg
    assert "url(http" not in svg
    assert not re.findall(r"(?<![\w.*-])/\w+/", text)
