# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every column of every catalog: why it need not be compared, or that it is; and what a database's catalogs hold.

A judge of its own: nothing here is the engine's. What refers to another object is told by that one's name.
"""

from __future__ import annotations

import collections
import re
import typing as t

import psycopg

#: Catalogs whose rows are no definitions, and why.
NO_DEFINITIONS: t.Final = {
    "of the cluster: what a run does with roles is told by its findings": {
        *("pg_auth_members", "pg_authid", "pg_parameter_acl", "pg_replication_origin", "pg_shdescription"),
        *("pg_shseclabel", "pg_tablespace"),
    },
    "of the database itself: engine/test_carrying_over.py, engine/test_properties.py": {
        *("pg_database", "pg_db_role_setting"),
    },
    "told as not copied: subscription": {"pg_subscription", "pg_subscription_rel"},
    "owners and grants: engine/test_privileges.py": {"pg_default_acl", "pg_init_privs", "pg_shdepend"},
    "content, compared as rows are": {"pg_largeobject", "pg_largeobject_metadata"},
    "found out by ANALYZE": {"pg_statistic", "pg_statistic_ext_data"},
}

_NO_DEFINITIONS: t.Final = frozenset().union(*NO_DEFINITIONS.values())

#: What only a server that was built with ICU can hold.
OF_ICU: t.Final = {"pg_collation.collicurules", "pg_collation.collisdeterministic"}

#: Columns that need not be compared, and why.
REASONS: t.Final = {
    "it tells an object, or a part of one, from others: with another value, it is another one": {
        "pg_aggregate": "aggfnoid",
        "pg_am": "amname",
        "pg_amop": "amopfamily amoplefttype amoprighttype amopstrategy",
        "pg_amproc": "amprocfamily amproclefttype amprocrighttype amprocnum",
        "pg_attrdef": "adrelid",
        "pg_attribute": "attrelid attname",
        "pg_cast": "castsource casttarget",
        "pg_class": "relname relnamespace relkind",
        "pg_collation": "collname collnamespace",
        "pg_constraint": "conname conrelid contypid",
        "pg_conversion": "conname connamespace",
        "pg_depend": "refclassid refobjid refobjsubid",
        "pg_enum": "enumtypid enumlabel",
        "pg_event_trigger": "evtname",
        "pg_extension": "extname",
        "pg_foreign_data_wrapper": "fdwname",
        "pg_foreign_server": "srvname",
        "pg_foreign_table": "ftrelid",
        "pg_index": "indexrelid indrelid",
        "pg_inherits": "inhrelid inhparent",
        "pg_language": "lanname",
        "pg_namespace": "nspname",
        "pg_opclass": "opcname opcnamespace opcmethod",
        "pg_operator": "oprname oprnamespace oprkind oprleft oprright",
        "pg_opfamily": "opfname opfnamespace opfmethod",
        "pg_partitioned_table": "partrelid",
        "pg_policy": "polname polrelid",
        "pg_proc": "proname pronamespace proargtypes",
        "pg_publication": "pubname",
        "pg_publication_namespace": "pnpubid pnnspid",
        "pg_publication_rel": "prpubid prrelid",
        "pg_range": "rngtypid",
        "pg_rewrite": "rulename ev_class",
        "pg_seclabel": "provider",
        "pg_sequence": "seqrelid",
        "pg_statistic_ext": "stxname stxnamespace stxrelid",
        "pg_transform": "trftype trflang",
        "pg_trigger": "tgname tgrelid",
        "pg_ts_config": "cfgname cfgnamespace",
        "pg_ts_config_map": "mapcfg maptokentype mapseqno",
        "pg_ts_dict": "dictname dictnamespace",
        "pg_ts_parser": "prsname prsnamespace",
        "pg_ts_template": "tmplname tmplnamespace",
        "pg_type": "typname typnamespace",
        "pg_user_mapping": "umserver umuser",
    },
    "a number, or the place of one, and nobody's name": {
        "pg_class": "relfilenode reltoastrelid relrewrite",
        "pg_attribute": "attnum attcacheoff",
        "pg_attrdef": "adnum",
    },
    "found out or remembered by the server, to do its work": {
        "pg_class": "relpages reltuples relallvisible relallfrozen relfrozenxid relminmxid relhasindex relhasrules"
        " relhastriggers relhassubclass relchecks",
        "pg_attribute": "atthasdef atthasmissing attmissingval",
        "pg_index": "indcheckxmin indisready indislive",
    },
    "columns that were dropped stay in the source's rows, and are not made again": {
        "pg_class": "relnatts",
        "pg_attribute": "attisdropped",
    },
    "how many are before it depends on how it has grown, and their order is compared": {
        "pg_enum": "enumsortorder",
        "pg_inherits": "inhseqno",
    },
    "no server heeds how many dimensions were declared (docs: 8.15.1)": {
        "pg_attribute": "attndims",
        "pg_type": "typndims",
    },
    "follows from another column": {
        "pg_class": "reltype relisshared",
        "pg_attribute": "attlen attbyval attalign attinhcount",
        "pg_constraint": "connamespace conindid coninhcount conparentid conpfeqop conppeqop conffeqop",
        "pg_index": "indnatts indisprimary indisexclusion indimmediate",
        "pg_partitioned_table": "partnatts partdefid",
        "pg_type": "typarray typrelid",
        "pg_proc": "pronargs pronargdefaults",
        "pg_trigger": "tgisinternal tgconstrindid tgnargs tgparentid tgconstraint",
        "pg_amop": "amopmethod",
        "pg_am": "amtype",
        "pg_depend": "deptype",
        "pg_language": "lanispl",
    },
    "any encoding, or the database's: in one database, that is the same": {"pg_collation": "collencoding"},
    "of this machine: collation-version tells it": {"pg_collation": "collversion"},
    "owners and grants: engine/test_privileges.py": {
        "pg_class": "relowner relacl",
        "pg_attribute": "attacl",
        "pg_collation": "collowner",
        "pg_conversion": "conowner",
        "pg_event_trigger": "evtowner",
        "pg_extension": "extowner",
        "pg_foreign_data_wrapper": "fdwowner fdwacl",
        "pg_foreign_server": "srvowner srvacl",
        "pg_language": "lanowner lanacl",
        "pg_namespace": "nspowner nspacl",
        "pg_opclass": "opcowner",
        "pg_operator": "oprowner",
        "pg_opfamily": "opfowner",
        "pg_proc": "proowner proacl",
        "pg_publication": "pubowner",
        "pg_statistic_ext": "stxowner",
        "pg_ts_config": "cfgowner",
        "pg_ts_dict": "dictowner",
        "pg_type": "typowner typacl",
    },
    "told: tablespace": {"pg_class": "reltablespace"},
    "told: invalid-index": {"pg_index": "indisvalid"},
    "told: detach-pending": {"pg_inherits": "inhdetachpending"},
    "an extension's version has it so: extension-version tells that": {
        "pg_extension": "extrelocatable extversion extconfig extcondition",
    },
}

_CATALOGS: t.Final = """
    SELECT c.relname, array(
        SELECT array[a.attname::text, coalesce(f.pktable::text, ''), coalesce(f.is_array::text, ''), f.fkcols[1]::text]
        FROM pg_attribute a LEFT JOIN pg_get_catalog_foreign_keys() f
             ON f.fktable = c.oid AND a.attname = f.fkcols[cardinality(f.fkcols)]
        WHERE a.attrelid = c.oid AND a.attnum > 0 ORDER BY a.attnum)
    FROM pg_class c WHERE c.relnamespace = 'pg_catalog'::regnamespace AND c.relkind = 'r'
"""

#: What tells the rows of one object apart.
_PARTS: t.Final = {
    "pg_attribute": "attname",
    "pg_depend": "concat(deptype, ' ', pg_describe_object(refclassid, refobjid, refobjsubid))",
    "pg_description": "coalesce((SELECT attname FROM pg_attribute WHERE attrelid = objoid AND attnum = objsubid"
    " AND classoid = 'pg_class'::regclass), '')",
    "pg_enum": "enumlabel",
    "pg_inherits": "inhparent::regclass",
    "pg_seclabel": "provider",
    # The server's own have no names but numbers.
    "pg_trigger": "CASE WHEN tgisinternal THEN concat(pg_get_constraintdef(tgconstraint), tgfoid::regproc,"
    " (SELECT concat(conrelid::regclass, conname) FROM pg_constraint k WHERE k.oid = tgconstraint)) END",
    "pg_ts_config_map": "concat(maptokentype, ' ', mapseqno)",
}
#: What is said otherwise than the row holds it: trees, in words.
_WORDS: t.Final = {
    "adbin": "pg_get_expr(adbin, adrelid)",
    # Of keys, it says nothing (docs: 53.13 pg_constraint).
    "connoinherit": "connoinherit AND contype IN ('c', 'n')",
    "conbin": "pg_get_expr(conbin, conrelid)",
    "ev_action": "pg_get_ruledef(oid)",
    "ev_qual": "ev_qual <> '<>'",
    "indexprs": "pg_get_expr(indexprs, indrelid)",
    "indpred": "pg_get_expr(indpred, indrelid)",
    "partexprs": "pg_get_expr(partexprs, partrelid)",
    "polqual": "pg_get_expr(polqual, polrelid)",
    "polwithcheck": "pg_get_expr(polwithcheck, polrelid)",
    "proargdefaults": "pg_get_function_arguments(oid)",
    "prosqlbody": "pg_get_function_sqlbody(oid)",
    "prqual": "pg_get_expr(prqual, prrelid)",
    "relpartbound": "pg_get_expr(relpartbound, oid)",
    "stxexprs": "pg_get_expr(stxexprs, stxrelid)",
    "tgqual": "pg_get_triggerdef(oid)",
    "typdefaultbin": "pg_get_expr(typdefaultbin, 0)",
}
#: Numbers in the names of what the server has named, and what one of 15.20 keeps for itself among a column's options.
_OF_THE_SERVER: t.Final = re.compile(r"(?<=ConstraintTrigger_)[ac]?_?\d+|pg_attver=\d+,?")

#: A row by its catalog, its object and its part, as often as it is there; and what it holds by column.
Rows: t.TypeAlias = dict[tuple[str, str, str, int], dict[str, str | None]]


def reasons_of(catalog: str) -> dict[str, str]:
    """Return why columns of a catalog need not be compared, by column; an object's number is known by its name."""
    numbers = dict.fromkeys(("oid", "classid", "objid", "objsubid", "classoid", "objoid"), "whose row it is")
    return numbers | {name: reason for reason, of in REASONS.items() for name in of.get(catalog, "").split()}


def compared_columns(connection: psycopg.Connection[t.Any]) -> set[str]:
    """Return the columns of a server's catalogs that are to be compared, as catalog and column."""
    return {
        f"{name}.{column}"
        for name, columns in connection.execute(_CATALOGS).fetchall()
        if name not in _NO_DEFINITIONS
        for column, *_ in columns
        if column not in reasons_of(name)
    }


def read_attributes(connection: psycopg.Connection[t.Any]) -> Rows:
    """Return what the catalogs hold of the database's objects, without what need not be compared."""
    connection.execute("SET search_path = ''")
    catalogs = dict(connection.execute(_CATALOGS).fetchall())
    found: Rows = {}
    for name in catalogs.keys() - _NO_DEFINITIONS:
        seen: collections.Counter[tuple[str, str]] = collections.Counter()
        for identity, part, fields in connection.execute(_query(name, catalogs[name]).encode()).fetchall():
            row = (_OF_THE_SERVER.sub("", identity), _OF_THE_SERVER.sub("", part))
            if "pg_toast" in identity or "pg_temp" in identity:
                continue
            found[(name, *row, seen[row])] = {
                column: value and (_OF_THE_SERVER.sub("", value).removesuffix("{}") or None)
                for column, value in fields.items()
            }
            seen[row] += 1
    return found


def _query(catalog: str, columns: list[list[str]]) -> str:
    names = [name for name, *_ in columns]
    owner = next(((ref, name) for name, ref, array, _ in columns if ref and not array.startswith("t")), ("", ""))
    if "classoid" in names or "classid" in names:
        address = ("classoid", "objoid") if "classoid" in names else ("classid", "objid")
    elif "oid" in names and catalog != "pg_enum":
        address = (f"'{catalog}'::regclass", "oid")
    else:
        address = (f"'{owner[0]}'::regclass", f"{owner[1]}::oid")
    exempt = reasons_of(catalog)
    fields = ", ".join(f"array['{c[0]}', ({_say(*c)})::text]" for c in columns if c[0] not in exempt)
    # What is dropped is gone, and the system's columns are every table's.
    condition = "AND attnum > 0 AND NOT attisdropped" if catalog == "pg_attribute" else ""
    return f"""
        SELECT i.type || ' ' || i.identity, coalesce(({_PARTS.get(catalog, "''")})::text, ''),
               jsonb_object(array[{fields}]::text[])
        FROM pg_catalog.{catalog} r CROSS JOIN LATERAL pg_identify_object({", ".join(address)}, 0) i
        WHERE {address[1]} >= 16384 {condition} ORDER BY 1, 2, 3
    """


def _say(name: str, refers_to: str, is_array: str, first: str) -> str:
    """Return the expression for the value of a column.

    :param first: the column that names whose columns it refers to by their numbers, if it does
    """
    if name in _WORDS:
        return _WORDS[name]
    each = name if is_array.startswith("t") else f"array[{name}]"
    if refers_to == "pg_attribute":
        return f"""SELECT string_agg(coalesce(attname, ''), ', ' ORDER BY place)
            FROM unnest({each}::int2[]) WITH ORDINALITY u(number, place)
            LEFT JOIN pg_attribute ON attrelid = r.{first} AND attnum = number"""
    if refers_to:
        return f"""SELECT string_agg(coalesce(o.type || ' ' || o.identity, ''), ', ' ORDER BY place)
            FROM unnest({each}::oid[]) WITH ORDINALITY u(number, place)
            LEFT JOIN LATERAL pg_identify_object('{refers_to}'::regclass, number, 0) o ON number <> 0"""
    return name
