# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""In which encoding the words are that the shared catalogs hold of a database."""

from __future__ import annotations

import typing as t

#: To be joined to ``pg_database d``, with the database's name: by ``e.name``, convert_from reads what textsend makes of
#: its words. Those of a database of another encoding than ours, its server hands out as bytes alone; those of SQL_ASCII
#: are read as sessions of ours in it read them.
ENCODED: t.Final = """
JOIN LATERAL (SELECT CASE pg_encoding_to_char(d.encoding) WHEN getdatabaseencoding() THEN pg_client_encoding()
    WHEN 'SQL_ASCII' THEN 'LATIN1' ELSE pg_encoding_to_char(d.encoding) END) e(name) ON d.datname = {}
"""
