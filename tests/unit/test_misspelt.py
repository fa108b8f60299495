# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which names are slips of the inventory's variables, and which are somebody's own."""

from __future__ import annotations

import re
import typing as t

import pytest
import yaml
from ansible_collections.pgconvoy.migrate.plugins.lookup.misspelt import LookupModule, nearest

from tests.playbooks import ROOT


def _misspelt(*names: str) -> list[str]:
    lookup = LookupModule()
    found: list[str] = lookup.run([], variables=dict.fromkeys(names, "x"))
    return found


def _variables() -> list[str]:
    names: set[str] = set()
    for role in ("connection", "variables"):
        specification = yaml.safe_load((ROOT / f"roles/{role}/meta/argument_specs.yml").read_text(encoding="utf-8"))
        names.update(*(entry["options"] for entry in specification["argument_specs"].values()))
    return sorted(names)


_VARIABLES: t.Final = _variables()


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("taget_host", "target_host"),
        ("traget_host", "target_host"),
        ("target_hst", "target_host"),
        ("targt_prot", "target_port"),
        ("source_pasword", "source_password"),
        ("source_passwd", "source_password"),
        ("source_db_name", "source_dbname"),
        ("source_ssl_mode", "source_sslmode"),
        ("Target_Host", "target_host"),
        ("load_mod", "load_mode"),
        ("laod_mode", "load_mode"),
        ("loadmode", "load_mode"),
        ("fk_startegy", "fk_strategy"),
        ("exclude_table", "exclude_tables"),
        ("include_tabels", "include_tables"),
        ("confirm_answr", "confirm_answer"),
        ("switch_disconnect_clients", "switch_disconnects_clients"),
        ("allowed_difference", "allowed_differences"),
        ("keep_previos", "keep_previous"),
        ("archve", "archive"),
        ("archive_rot", "archive_root"),
        ("jbos", "jobs"),
        ("load_node", "load_mode"),
        ("target_gost", "target_host"),
        ("verify_query", "verify_queries"),
        ("target_db", "target_dbname"),
        ("source_database", "source_dbname"),
        ("source_database_name", "source_dbname"),
        ("target_username", "target_user"),
        ("source_user_name", "source_user"),
        ("target_hostname", "target_host"),
        ("source_pass", "source_password"),
        ("target_pwd", "target_password"),
        ("exclude-tables", "exclude_tables"),
        ("target-host", "target_host"),
    ],
)
def test_slips(name: str, meant: str) -> None:
    """Letters added, left out, replaced, exchanged; words joined or parted; the singular; other words for the same."""
    assert _misspelt(name) == [f"{name} (did you mean {meant}?)"]


_WORDS: t.Final = re.findall(
    r"\w+",
    "target_hosts target_host2 target_name target_root target_cert target_cost target_path target_env target_dir "
    "source_hosts source_name source_root source_path source_sort source_dir source_type source_url source_pool "
    "source target host port user password dbname database job log_mode node_mode loader runs archives "
    "backup_root verify_ssl verify include exclude tables transfers client_dir clients confirm phrase answer role_map "
    "jobs_max max_jobs keep keep_releases previous region environment_name db_host db_port db_user db_password "
    "owner grant db username hostname pass pwd query queries "
    "db_name db_username db_hostname app_db app_username target_db_host target_db_user target_db_port source_db_url "
    "target_user_id target_user_email target_hostnames target_databases target_schema target_table source_schema "
    "source_tables source_version source_branch source_commit source_code target_arch target_branch target_os "
    "target_group target_state target_type target_zone target_region build_mode code_mode load_balancer load_average "
    "run_mode read_mode file_mode lock_mode dark_mode node_role node_map hosts_root roots_root logs_root web_root "
    "keep_days verify_certs verify_host verify_mode verify_url health_query monitoring_queries exclude_paths "
    "include_files include_roles transfer_dir transfer_user restore_user show_diff show_logs post_host build_host "
    "proxy_host proxy_port mail_host source_proxy",
)


def test_words_of_one_s_own() -> None:
    """Whoever has a variable of his own must not be stopped for it, and an owner or a job is a word of many."""
    assert _misspelt(*_WORDS) == []


def test_of_what_is_set_another_word_is_one_s_own() -> None:
    """target_dbname: "{{ target_db }}" is how many write it; a slip is one all the same."""
    assert _misspelt("target_dbname", "target_db", "source_user", "source_username") == []
    assert _misspelt("target_host", "taget_host") == ["taget_host (did you mean target_host?)"]


def test_what_exists_is_no_slip() -> None:
    """Neither a variable of the inventory, nor a role's own, nor one of Ansible's."""
    roles = ("preflight_jobs", "lab_dir", "report_goal", "ansible_host", "preflight_result", "archive_path")
    assert _misspelt(*_VARIABLES, *roles) == []


def test_every_letter_left_out_is_noticed() -> None:
    """Of every word of four letters or more, in any variable."""
    for name in _VARIABLES:
        for word in re.finditer("[a-z]{4,}", name):
            for at in range(*word.span()):
                slip = name[:at] + name[at + 1 :]
                assert slip in ("job", "grant", "owner") or nearest(slip, _VARIABLES, ()), slip


def test_reference_tells_of_every_variable() -> None:
    """And of none that is not checked."""
    text = (ROOT / "docs/reference.md").read_text(encoding="utf-8")
    section = text.partition("\n## Variables of the inventory\n")[2].partition("\n### The lab\n")[0]
    rows = re.findall(r"^\| (`.*?) \|", section, re.MULTILINE)
    told = {name for row in rows for name in re.findall(r"`(\w+)`", row)}
    assert told - {"post_data", "dependency_order", "disable_triggers", "auto"} == set(_VARIABLES)
