# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Single changes in a copy of the incident's database, the lab's sample, and how the verdict must name each."""

from __future__ import annotations

import typing as t

from tests.mutations.catalogue import mutation

#: What is added to the source before it is copied: what the sample has none of, and what newer servers have.
ADDITIONS: t.Final = """
    CREATE TABLE doubled (v int, double int GENERATED ALWAYS AS (v * 2) VIRTUAL);
    CREATE TABLE readings (room int, at tstzrange, celsius float8, note bpchar, span interval, tags numeric[],
        CONSTRAINT noted NOT NULL note);
    CREATE TABLE walls (height int CONSTRAINT high CHECK (height > 0) NOT ENFORCED);
    INSERT INTO readings VALUES (1, '[2026-01-01 00:00+00,2026-01-02 00:00+00)', 0, 'a', '1 mon', '{1.0,NULL}'),
        (1, '[2026-01-01 00:00+00,2026-01-02 00:00+00)', 0, 'a', '1 mon', '{1.0,NULL}');
    CREATE TABLE scales (v numeric PRIMARY KEY); INSERT INTO scales VALUES (1.0), (2.50);
    CREATE TABLE zeros (v float8); INSERT INTO zeros VALUES ('-0');
    CREATE TABLE months (v interval); INSERT INTO months VALUES ('1 mon');
    CREATE TABLE lists (v int[]); INSERT INTO lists VALUES ('{1,2}');
    CREATE TABLE empties (v text); INSERT INTO empties VALUES ('');
    CREATE TABLE blanks (v bpchar); INSERT INTO blanks VALUES ('a');
    CREATE VIEW open_positions AS SELECT id, symbol FROM positions WHERE exit_date IS NULL;
    CREATE MATERIALIZED VIEW per_symbol AS SELECT symbol, count(*) FROM positions GROUP BY symbol;
    CREATE TABLE aging (n int); INSERT INTO aging VALUES (1), (2);
    CREATE MATERIALIZED VIEW aged AS SELECT sum(n) FROM aging; INSERT INTO aging VALUES (3);
    CREATE FUNCTION age_of(n int) RETURNS bigint LANGUAGE plpgsql STABLE AS
        'BEGIN RETURN n + (SELECT sum FROM public.aged); END';
    CREATE MATERIALIZED VIEW ages AS SELECT age_of(n) FROM aging;
    CREATE SCHEMA meaning; CREATE TYPE meaning.pair AS (a int, b int);
    CREATE FUNCTION meaning.alike(meaning.pair, meaning.pair) RETURNS bool LANGUAGE sql IMMUTABLE
        AS 'SELECT ($1).a = ($2).a';
    CREATE OPERATOR meaning.= (LEFTARG = meaning.pair, RIGHTARG = meaning.pair, FUNCTION = meaning.alike);
    CREATE TABLE pairs (a meaning.pair, b meaning.pair);
    SET search_path = public, meaning; CREATE VIEW unlike AS SELECT a IS DISTINCT FROM b AS told FROM pairs;
    SET search_path = public;
    CREATE FUNCTION touch() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN NEW.updated_at := now(); RETURN NEW; END';
    CREATE TRIGGER touch BEFORE UPDATE ON users FOR EACH ROW EXECUTE FUNCTION touch();
    CREATE SEQUENCE invoice_numbers; SELECT nextval('invoice_numbers');
    ALTER TABLE tags ENABLE ROW LEVEL SECURITY; CREATE POLICY own ON tags USING (NOT is_archived);
    CREATE PUBLICATION outgoing FOR TABLE users;
    SELECT lo_from_bytea(4711, '\\x00ff');
"""

MUTATIONS: t.Final = (
    # The incident itself: what was lost while all was green.
    mutation("no rows of 76", "DELETE FROM positions", "table public.positions"),
    mutation(
        "some rows of 29,262",
        "DELETE FROM position_factor_exposures WHERE ctid >= '(40,1)'",
        "table public.position_factor_exposures",
    ),
    mutation("no rows of 114", "TRUNCATE position_market_betas", "table public.position_market_betas"),
    mutation(
        "one row of many",
        "DELETE FROM pairwise_correlations WHERE ctid = (SELECT max(ctid) FROM pairwise_correlations)",
        "table public.pairwise_correlations",
    ),
    mutation(
        "updated_at of one row",
        "UPDATE factor_definitions SET updated_at = updated_at + interval '1 microsecond' WHERE display_order = 1",
        "table public.factor_definitions",
    ),
    mutation(
        "two users exchange their passwords",
        "UPDATE users u SET hashed_password = (SELECT hashed_password FROM users o WHERE o.id <> u.id"
        " ORDER BY o.id LIMIT 1) WHERE id IN (SELECT id FROM users ORDER BY id LIMIT 2)",
        "table public.users",
    ),
    mutation(
        "enum value",
        "UPDATE market_risk_scenarios SET scenario_type = 'historical' WHERE ctid IN"
        " (SELECT ctid FROM market_risk_scenarios WHERE scenario_type <> 'historical' LIMIT 1)",
        "table public.market_risk_scenarios",
    ),
    mutation(
        "jsonb key",
        "UPDATE company_profiles SET estimates = estimates - 'eps' WHERE symbol = 'SY001'",
        "table public.company_profiles",
    ),
    mutation(
        "float8 array",
        "UPDATE position_volatility SET har_coefficients = NULL WHERE ctid = '(0,1)'",
        "table public.position_volatility",
    ),
    mutation(
        "generated column dropped",
        "ALTER TABLE portfolio_target_prices ALTER expected_return_eoy DROP EXPRESSION",
        "table public.portfolio_target_prices",
    ),
    # What a value is, by the newest server's functions.
    mutation("numeric scale in a key", "UPDATE scales SET v = 1.00 WHERE v = 1", "table public.scales"),
    mutation("-0 to 0", "UPDATE zeros SET v = 0", "table public.zeros"),
    mutation("1 mon to 30 days", "UPDATE months SET v = '30 days'", "table public.months"),
    mutation("array lower bound", "UPDATE lists SET v = '[0:1]={1,2}'", "table public.lists"),
    mutation("empty to NULL", "UPDATE empties SET v = NULL", "table public.empties"),
    mutation("trailing blank", "UPDATE blanks SET v = 'a '", "table public.blanks"),
    mutation(
        "one of two equal rows",
        "UPDATE readings SET at = '[2026-01-01 00:00+00,2026-01-02 00:00+00]' WHERE ctid = '(0,1)'",
        "table public.readings",
    ),
    mutation("large object", "SELECT lo_put(4711, 0, '\\x01')", "large object 4711"),
    mutation("sequence", "SELECT nextval('invoice_numbers')", "sequence public.invoice_numbers"),
    # What the schema is.
    mutation(
        "virtual column's expression",
        "ALTER TABLE doubled ALTER double SET EXPRESSION AS (v + v)",
        "table public.doubled",
    ),
    mutation(
        "constraint enforced",
        "UPDATE pg_constraint SET conenforced = true WHERE conname = 'high'",
        "check constraint public.walls high",
    ),
    mutation(
        "not null constraint's name",
        "ALTER TABLE readings RENAME CONSTRAINT noted TO other",
        "table public.readings",
    ),
    mutation(
        "not null constraint not valid",
        "ALTER TABLE lists ADD CONSTRAINT filled NOT NULL v NOT VALID",
        "constraint public.lists filled",
    ),
    mutation(
        "foreign key dropped",
        "ALTER TABLE positions DROP CONSTRAINT positions_portfolio_id_fkey",
        "fk constraint public.positions positions_portfolio_id_fkey",
    ),
    mutation(
        "foreign key not enforced",
        "ALTER TABLE portfolios ALTER CONSTRAINT portfolios_user_id_fkey NOT ENFORCED",
        "fk constraint public.portfolios portfolios_user_id_fkey",
    ),
    mutation(
        "foreign key's triggers disabled",
        "ALTER TABLE correlation_clusters DISABLE TRIGGER ALL",
        "fk constraint public.correlation_clusters correlation_clusters_correlation_calculation_id_fkey",
        "fk constraint public.correlation_cluster_positions correlation_cluster_positions_cluster_id_fkey",
    ),
    mutation(
        "check constraint dropped",
        "ALTER TABLE positions DROP CONSTRAINT ck_positions_exit",
        "table public.positions",
    ),
    mutation(
        "check constraint's values",
        "ALTER TABLE portfolios DROP CONSTRAINT ck_portfolios_account, ADD CONSTRAINT ck_portfolios_account"
        " CHECK (account_type IN ('taxable','ira','roth_ira','401k','trust','other'))",
        "table public.portfolios",
    ),
    mutation(
        "unique constraint dropped",
        "ALTER TABLE factor_exposures DROP CONSTRAINT uq_fe",
        "constraint public.factor_exposures uq_fe",
    ),
    mutation(
        "primary key dropped",
        "ALTER TABLE position_tags DROP CONSTRAINT position_tags_pkey",
        "constraint public.position_tags position_tags_pkey",
    ),
    mutation("partial index dropped", "DROP INDEX ix_positions_open", "index public.ix_positions_open"),
    mutation(
        "partial index's predicate",
        "DROP INDEX uq_tags_user_name_active; CREATE UNIQUE INDEX uq_tags_user_name_active ON tags (user_id, name)",
        "index public.uq_tags_user_name_active",
    ),
    mutation(
        "index's order",
        "DROP INDEX ix_pmb_position_date;"
        " CREATE INDEX ix_pmb_position_date ON position_market_betas (position_id, calc_date)",
        "index public.ix_pmb_position_date",
    ),
    mutation(
        "index invalid",
        "UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'ix_pfe_factor_date'::regclass",
        "index public.ix_pfe_factor_date",
    ),
    mutation(
        "column default",
        "ALTER TABLE position_market_betas ALTER method SET DEFAULT 'OLS'",
        "table public.position_market_betas",
    ),
    mutation(
        "column type",
        "ALTER TABLE correlation_clusters ALTER total_value TYPE numeric(20,4)",
        "table public.correlation_clusters",
    ),
    mutation(
        "column type of another hash",
        "ALTER TABLE position_greeks ALTER vega TYPE text",
        "table public.position_greeks",
    ),
    mutation("enum value added", "ALTER TYPE calc_status ADD VALUE 'skipped'", "type public.calc_status"),
    mutation(
        "view's query",
        "CREATE OR REPLACE VIEW open_positions AS SELECT id, symbol FROM positions WHERE deleted_at IS NULL",
        "view public.open_positions",
    ),
    mutation(
        "materialized view without data",
        "REFRESH MATERIALIZED VIEW per_symbol WITH NO DATA",
        "materialized view public.per_symbol",
    ),
    mutation(
        "stale materialized view's content",
        "UPDATE aging SET n = n + 1; REFRESH MATERIALIZED VIEW aged; UPDATE aging SET n = n - 1",
        "materialized view public.aged",
        # It reads that one within a function.
        "materialized view public.ages",
    ),
    mutation(
        "operator behind the same text",
        "SET search_path = ''; CREATE OR REPLACE VIEW public.unlike AS SELECT a IS DISTINCT FROM b AS told"
        " FROM public.pairs; SET search_path = public",
        "view public.unlike",
    ),
    mutation(
        "function's body",
        "CREATE OR REPLACE FUNCTION touch() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END'",
        "function public.touch()",
    ),
    mutation("trigger disabled", "ALTER TABLE users DISABLE TRIGGER touch", "trigger public.users touch"),
    mutation("row security off", "ALTER TABLE tags DISABLE ROW LEVEL SECURITY", "row security public.tags"),
    mutation("policy dropped", "DROP POLICY own ON tags", "policy public.tags own"),
    mutation(
        "publication's columns",
        "ALTER PUBLICATION outgoing SET TABLE users (id)",
        "publication table public.outgoing users",
    ),
    mutation(
        "publication of generated columns",
        "ALTER PUBLICATION outgoing SET (publish_generated_columns = stored)",
        "publication outgoing",
    ),
    mutation(
        "comment on a column",
        "COMMENT ON COLUMN positions.position_type IS NULL",
        "comment public.COLUMN positions.position_type",
    ),
    mutation(
        "comment on a table",
        "COMMENT ON TABLE position_factor_exposures IS 'one row per position x factor x day'",
        "comment public.TABLE position_factor_exposures",
    ),
    mutation("table added", "CREATE TABLE tried_by_hand AS SELECT 1 AS one", "table public.tried_by_hand"),
)
