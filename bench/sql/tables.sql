-- Copyright (c) 2026 the pgconvoy contributors
-- GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
-- SPDX-License-Identifier: GPL-3.0-or-later
-- Many small tables; each has a serial, a unique key, an index and a few rows, and refers to the one before it in its
-- group of ten. At scale 1: 5,000 tables. One statement a transaction: a server's lock table is not that large.

SELECT greatest(1, (5000 * :scale)::int) AS tables \gset
\o /dev/null

SELECT format('CREATE TABLE t%s (id serial PRIMARY KEY, name text NOT NULL UNIQUE, day date, before int%s)', n,
        CASE WHEN n % 10 > 0 THEN format(' REFERENCES t%s', n - 1) END)
    FROM generate_series(0, :tables - 1) n ORDER BY n \gexec
SELECT format('CREATE INDEX ON t%s (day)', n) FROM generate_series(0, :tables - 1) n ORDER BY n \gexec
SELECT format('INSERT INTO t%s (name, day, before) SELECT format(''row %%s'', i), date ''2025-01-01'' + i, %s'
        ' FROM generate_series(1, 5) i', n, CASE WHEN n % 10 > 0 THEN 'i' ELSE 'NULL' END)
    FROM generate_series(0, :tables - 1) n ORDER BY n \gexec
VACUUM ANALYZE;
