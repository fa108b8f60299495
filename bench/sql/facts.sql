-- Copyright (c) 2026 the pgconvoy contributors
-- GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
-- SPDX-License-Identifier: GPL-3.0-or-later
-- A few narrow tables that nearly all rows depend on, and two long ones of facts. At scale 1: 5 million rows, 1 GB,
-- half of it indexes. The variable scale makes it larger or smaller.

SELECT setseed(0.42);
SELECT greatest(1, (1000 * :scale)::int) AS accounts, greatest(1, (500 * :scale)::int) AS instruments \gset

CREATE TABLE account (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    email text NOT NULL UNIQUE,
    opened timestamptz NOT NULL DEFAULT now()
);
CREATE TABLE holding (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    account uuid NOT NULL REFERENCES account,
    symbol text NOT NULL,
    quantity numeric(18, 4),
    bought date,
    about jsonb
);
CREATE INDEX ON holding (account);
CREATE TABLE factor (
    id serial PRIMARY KEY,
    name text NOT NULL UNIQUE
);
CREATE TABLE exposure (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    holding uuid NOT NULL REFERENCES holding,
    factor int NOT NULL REFERENCES factor,
    day date NOT NULL,
    beta numeric(14, 8),
    value numeric(20, 6),
    computed timestamptz NOT NULL DEFAULT now(),
    note text,
    UNIQUE (holding, factor, day)
);
CREATE INDEX ON exposure (day);
CREATE INDEX ON exposure (factor);
CREATE TABLE price (
    symbol text,
    day date,
    open float8,
    high float8,
    low float8,
    close float8,
    volume bigint,
    PRIMARY KEY (symbol, day)
);

INSERT INTO account (email) SELECT format('user%s@example.org', n) FROM generate_series(1, :accounts) n;
INSERT INTO holding (account, symbol, quantity, bought, about)
    SELECT id, format('S%s', n), (random() * 1000)::numeric(18, 4), date '2024-01-01' + n,
        jsonb_build_object('tags', ARRAY['core', 'growth'], 'weight', random())
    FROM account, generate_series(1, 30) n;
INSERT INTO factor (name) SELECT format('factor %s', n) FROM generate_series(1, 10) n;
INSERT INTO exposure (holding, factor, day, beta, value, note)
    SELECT h.id, f.id, date '2025-01-01' + n, (random() * 2 - 1)::numeric(14, 8), (random() * 1e6)::numeric(20, 6),
        md5(random()::text)
    FROM holding h, factor f, generate_series(1, 10) n;
INSERT INTO price
    SELECT format('S%s', s), date '2010-01-01' + n, random() * 100, random() * 100, random() * 100, random() * 100,
        (random() * 1e7)::bigint
    FROM generate_series(1, :instruments) s, generate_series(1, 4000) n;
VACUUM ANALYZE;
