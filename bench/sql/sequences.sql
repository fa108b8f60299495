-- Copyright (c) 2026 the pgconvoy contributors
-- GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
-- SPDX-License-Identifier: GPL-3.0-or-later
-- Many sequences, each at another position, half of them never used. At scale 1: 6,000.

SELECT greatest(1, (6000 * :scale)::int) AS sequences \gset
\o /dev/null

SELECT format('CREATE SEQUENCE s%s', n) FROM generate_series(1, :sequences) n ORDER BY n \gexec
SELECT format('SELECT setval(''s%s'', %s)', n, n * 10) FROM generate_series(1, :sequences, 2) n ORDER BY n \gexec
