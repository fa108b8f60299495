# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Documentation of what holds for all stages of a run."""

from __future__ import annotations


class ModuleDocFragment:
    """Use with ``extends_documentation_fragment: pgconvoy.migrate.settings``."""

    DOCUMENTATION = r"""
options:
  settings:
    description: What holds for all stages of a run. Give each of them the same.
    type: dict
    suboptions:
      jobs:
        description: How many relations are read, loaded or compared at once.
        type: int
        default: 4
      allowed_differences:
        description:
          - Objects that may differ, each with the reason. No other difference is tolerated.
          - A foreign key that the source's own rows break is copied as NOT VALID if it is named here.
        type: list
        elements: dict
        default: []
        suboptions:
          object:
            description: The object as a difference or finding names it, for instance C(fk constraint public.c c_fkey).
            type: str
            required: true
          reason:
            description: Why the difference is right; the report repeats it.
            type: str
            required: true
      verify_queries:
        description: Queries whose answer on the target is part of the verdict. They run read-only.
        type: list
        elements: dict
        default: []
        suboptions:
          name:
            description: What the query asks, for messages and the report.
            type: str
            required: true
          sql:
            description: A SELECT.
            type: str
            required: true
          expect:
            description:
              - The answer, or V(same) if it must be the source's.
              - Several rows are lines, several columns are parted by tabs, as COPY writes them.
            type: raw
            required: true
      include_tables:
        description:
          - The tables that the run is about, as shell-style patterns (C(*), C(?), C([...])) over C(schema.table).
            They are compared with the names as they are stored, letter by letter; one without a dot is about the
            schema C(public).
          - A partitioned table stands for its partitions. Sequences that a table owns go with it.
          - A pattern that matches no table is an error. Without any, all tables are included, and with them large
            objects and materialized views.
        type: list
        elements: str
        default: []
      exclude_tables:
        description: Tables that the run is not about, although O(settings.include_tables) or its absence includes them.
        type: list
        elements: str
        default: []
      fk_strategy:
        description:
          - How tables are filled under their foreign keys. V(post_data) adds the keys last, over complete rows, and
            so has the schema replaced; the other two keep the live database's schema, which must be the source's.
          - V(dependency_order) fills parents before children, and the server checks each row. Keys that no order
            satisfies, since tables refer to each other in a circle, are dropped and added again in the same
            transaction.
          - V(disable_triggers) switches the server's checks off, which only a superuser may do; each key is checked
            afterwards.
          - V(auto) is V(dependency_order) where tables are selected, else V(post_data).
        type: str
        choices: [auto, post_data, dependency_order, disable_triggers]
        default: auto
      grants:
        description:
          - Whose grants and default privileges the target has. With V(live), whoever could do something with an
            object of the live database can do it afterwards; what is new gets the live database's default
            privileges.
          - V(source) carries the source's, V(none) none. Without a live database, V(live) is V(none).
          - A schema that is kept keeps its grants.
        type: str
        choices: [live, source, none]
        default: live
      owners:
        description:
          - To whom objects belong. V(live) keeps the owner of what the live database has by that name, V(source)
            carries the source's. With V(target_user), what the owner in the live database could do is granted to
            it.
        type: str
        choices: [target_user, live, source]
        default: target_user
      role_map:
        description: The target's roles by the source's, where their names differ.
        type: dict
        default: {}
      show_rows:
        description:
          - Of how many rows of each table, of those to insert, update and delete, the primary keys are shown in check
            mode with diff, where only what differs is to be brought.
        type: int
        default: 0
      application_role:
        description:
          - The role that the application enters the target by. When the live database has its new content,
            O(settings.verify_queries) are asked once more, by this role; the target's user must be a member of it.
          - Without it, the target's user asks.
        type: str
        default: ""
      switch_disconnects_clients:
        description:
          - Whether a switch may end the sessions of clients that use the live database, where they do not end
            within 5 seconds. If not, it fails while there are any.
        type: bool
        default: false
      report_sums:
        description:
          - Whether the report tells the sum, the least and the greatest value of each column of numbers or dates, on
            both sides, for people who know the business.
          - These are values of rows, which a report holds none of otherwise, and each table is read once more.
        type: bool
        default: false
      archive_compression:
        description:
          - How the files of rows are packed in the archives that are written, backups too. V(zstd) takes the Python
            package C(backports.zstd), from Python 3.14 on nothing. C(pg_dump) packs the schema's file in any case.
          - An archive of either kind is read without being told which it is, and one that is reused stays as it is.
            Rows that are streamed are not packed.
        type: str
        choices: [none, zstd]
        default: none
"""
