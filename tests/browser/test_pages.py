# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The report and the history of runs in a real browser, as people use it: by eye, by keyboard, on paper, on a phone."""

from __future__ import annotations

import datetime
import shutil
import typing as t
from pathlib import Path

import pytest
from ansible_collections.pgconvoy.migrate.plugins.module_utils.run.folder import Record
from ansible_collections.pgconvoy.migrate.plugins.module_utils.run.history import Entry
from ansible_collections.pgconvoy.migrate.plugins.module_utils.run.page import render, render_history
from ansible_collections.pgconvoy.migrate.plugins.module_utils.run.report import Run, compose
from selenium import webdriver
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.remote.webelement import WebElement

_TEMPLATES: t.Final = Path(__file__).resolve().parents[2] / "roles/report/templates"
_AXE: t.Final = Path(__file__).parent / "node_modules/axe-core/axe.min.js"
_TABLES: t.Final = 5000
#: Of so many tables, every one whose number this divides is different.
_DIFFERENT: t.Final = 1000
_PHONE: t.Final = 320


class Browser:
    """A Chromium without a window."""

    def __init__(self, driver: webdriver.Chrome) -> None:
        self.driver = driver

    def open(self, page: Path) -> None:
        self.driver.get(page.as_uri())

    def emulate(self, *, dark: bool = False, printed: bool = False, width: int = 1280) -> None:
        """Look at the page otherwise."""
        features = [{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}]
        media = {"media": "print" if printed else "screen", "features": features}
        self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", media)
        metrics = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": False}
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)

    def run(self, script: str, *arguments: object) -> t.Any:
        return self.driver.execute_script(script, *arguments)

    def find(self, selector: str) -> list[WebElement]:
        return self.driver.find_elements(By.CSS_SELECTOR, selector)

    def rows(self, section: str) -> list[str]:
        """Return the rows that can be seen of a section's table, as text."""
        script = """
            const region = document.querySelector(`[role=region][aria-label="${arguments[0]}"]`);
            const rows = [...region.querySelectorAll("tbody tr")];
            return rows.filter(row => row.checkVisibility()).map(row => row.innerText);
        """
        found: list[str] = self.run(script, section)
        return found

    def violations(self) -> list[str]:
        """Return what axe-core finds wrong, each with the first place."""
        if not _AXE.exists():
            pytest.skip("axe-core is not installed (npm ci --prefix tests/browser)")
        # By the debugger: the page's own policy lets no script in.
        self.driver.execute_cdp_cmd("Runtime.evaluate", {"expression": _AXE.read_text(encoding="utf-8")})
        found = self.driver.execute_cdp_cmd(
            "Runtime.evaluate",
            {"expression": "axe.run({resultTypes: ['violations']})", "awaitPromise": True, "returnByValue": True},
        )
        return [f"{v['id']}: {v['help']}: {v['nodes'][0]['html']}" for v in found["result"]["value"]["violations"]]


@pytest.fixture(scope="module")
def browser() -> t.Iterator[Browser]:
    """Start a browser, once for all tests."""
    chromium, driver_program = shutil.which("chromium"), shutil.which("chromedriver")
    if not chromium or not driver_program:
        pytest.skip("Chromium is not installed (Debian's chromium and chromium-driver)")
    options = webdriver.ChromeOptions()
    options.binary_location = chromium
    # The sandbox needs namespaces, which root in a container does not get; what is opened is ours.
    for argument in ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu"):
        options.add_argument(argument)
    driver = webdriver.Chrome(options=options, service=webdriver.ChromeService(driver_program))
    try:
        yield Browser(driver)
    finally:
        driver.quit()


def _record(stage: str, **content: object) -> Record:
    began_at = "2026-11-22T10:00:00.000000+00:00"
    return {"stage": stage, "began_at": began_at, "seconds": 1.5, "changed": False, "error": None, **content}


def _records(tables: int) -> dict[str, Record]:
    names = [f"table_{number:04}" for number in range(tables)]
    server = {"host": "db", "port": 5432, "dbname": "shop", "server_version": "18.1", "size": 7_654_321}
    finding = {"code": "tls", "object": "target", "message": "no TLS", "remedy": "Switch it on.", "severity": "warning"}
    compared = [
        {"schema": "public", "name": name, "kind": "table", "source_rows": 7, "target_rows": 7 - (not n % _DIFFERENT)}
        | {"source_checksum": "", "target_checksum": "", "equal": bool(n % _DIFFERENT)}
        for n, name in enumerate(names)
    ]
    right = {
        "role": "app",
        "privilege": "SELECT",
        "kind": "table",
        "before": 2,
        "after": 1,
        "lost": ["t"],
        "gained": [],
    }
    return {
        "preflight": _record(
            "preflight", findings=[finding], source=server, target={**server, "exists": True}, plan=["verify"]
        ),
        "dump": _record(
            "dump",
            archive="/archives/a",
            tables=[{"schema": "public", "name": name, "snapshot_rows": 7, "sent_rows": 7} for name in names],
        ),
        "data_restore": _record(
            "data_restore",
            tables=[{"schema": "public", "name": name, "sent_rows": 7, "received_rows": 7} for name in names],
        ),
        "compare": _record(
            "compare",
            equal=False,
            tables=compared,
            differences=[{"object": "table public.table_0000", "message": "7 rows on the source, 6 on the target"}],
            sequences=[{"name": "public.s", "source": "last value 3", "target": "last value 3", "equal": True}],
            privileges=[right],
            sums=[
                {"schema": "public", "table": "t", "column": "c", "source": dict.fromkeys(("sum", "least"), "7")}
                | {"target": None, "equal": False}
            ],
        ),
    }


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the page of a run over thousands of tables."""
    page = tmp_path_factory.mktemp("report") / "report.html"
    composed = compose(_records(_TABLES), Run("migrate", "sandbox-db", "20261122T100000Z-abc123"))
    page.write_text(render(composed, _TEMPLATES), encoding="utf-8")
    return page


@pytest.fixture(scope="module")
def history(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the page of some hosts' runs."""
    page = tmp_path_factory.mktemp("runs") / "index.html"
    began = datetime.datetime(2026, 11, 22, 10, tzinfo=datetime.UTC)
    runs: list[Entry] = [
        {
            "host": "sandbox-db",
            "run_id": f"20261122T1000{n:02}Z-abc123",
            "goal": "migrate",
            "status": "failed" if n == 3 else "migrated",
            "summary": "failed: dump: <b>disk full</b>" if n == 3 else "migrated: 21 tables, 39,103 rows, all equal",
            "began_at": (began + datetime.timedelta(days=n)).isoformat(),
            "seconds": 61.5,
            "size": (n + 1) << 20,
            "rows": None if n == 3 else 39103,
        }
        for n in reversed(range(12))
    ]
    page.write_text(render_history({"sandbox-db": runs, "other": runs[:1]}, _TEMPLATES), encoding="utf-8")
    return page


def test_what_differs_comes_first(browser: Browser, report: Path) -> None:
    """All tables are there; where some differ, nobody has to look for them."""
    browser.emulate()
    browser.open(report)
    rows = browser.rows("Tables")
    assert len(rows) == _TABLES
    assert [("different" in row) for row in rows[:6]] == [True] * 5 + [False]


def test_search(browser: Browser, report: Path) -> None:
    """By parts of names, and by what differs; how many were found is told, also to who cannot see it."""
    browser.emulate()
    browser.open(report)
    search, only = browser.find("details:has([aria-label=Tables]) .filter input")
    search.send_keys("_49 TABLE")
    assert browser.rows("Tables")[0].startswith("public.table_4900")
    (told,) = browser.find("details:has([aria-label=Tables]) output")
    assert told.text == "100 of 5,000"
    search.send_keys(Keys.CONTROL, "a", Keys.NULL, Keys.DELETE)
    assert len(browser.rows("Tables")) == _TABLES
    only.click()
    assert [row.split()[0] for row in browser.rows("Tables")] == [f"public.table_{n}000" for n in range(5)]


def test_keyboard(browser: Browser, report: Path) -> None:
    """Everything can be reached, opened and searched without a mouse, and where one is can be seen."""
    browser.emulate()
    browser.open(report)
    reached = []
    for _ in range(40):
        browser.driver.switch_to.active_element.send_keys(Keys.TAB)
        here = browser.driver.switch_to.active_element
        reached.append(here.get_attribute("aria-label") or here.get_attribute("type") or here.text.partition("\n")[0])
        if here.tag_name == "summary" and here.text.startswith("Sequences"):
            assert browser.run("return getComputedStyle(arguments[0]).outlineStyle", here) == "solid"
            assert browser.rows("Sequences") == []
            here.send_keys(Keys.ENTER)
            assert len(browser.rows("Sequences")) == 1
            break
    assert reached[:5] == ["Differences", "Tables 5,000 tables: ✗ 5 different", "search", "checkbox", "Tables"], reached


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("page", ["report", "history"])
def test_accessible(browser: Browser, tmp_path: Path, history: Path, page: str, dark: bool) -> None:
    """axe-core has nothing to say, whatever is open, in either colours."""
    browser.emulate(dark=dark)
    if page == "report":
        path = tmp_path / "report.html"
        composed = compose(_records(30), Run("migrate", "sandbox-db", "20261122T100000Z-abc123"))
        path.write_text(render(composed, _TEMPLATES), encoding="utf-8")
        browser.open(path)
        browser.run("document.querySelectorAll('details').forEach(details => { details.open = true; })")
    else:
        browser.open(history)
    background = browser.run("return getComputedStyle(document.body).backgroundColor")
    assert (background == "rgb(255, 255, 255)") is not dark
    assert browser.violations() == []


def test_paper(browser: Browser, report: Path) -> None:
    """What is printed is whole, whatever was opened or searched, and shows nothing to type in."""
    browser.emulate()
    browser.open(report)
    search, _ = browser.find("details:has([aria-label=Tables]) .filter input")
    search.send_keys("table_4999")
    assert browser.rows("Sequences") == []
    browser.emulate(printed=True)
    assert len(browser.rows("Tables")) == _TABLES
    assert len(browser.rows("Sequences")) == 1
    assert not any(field.is_displayed() for field in browser.find("input"))


def test_narrow_screen(browser: Browser, report: Path, history: Path) -> None:
    """Nobody scrolls a whole page sideways; at most a table."""
    browser.emulate(width=_PHONE)
    for page in (report, history):
        browser.open(page)
        browser.run("document.querySelectorAll('details').forEach(details => { details.open = true; })")
        assert browser.run("return document.documentElement.scrollWidth") <= _PHONE


def test_pictures(browser: Browser, report: Path) -> None:
    """Stages follow each other; a station to which rows did not come is shorter, and shows it."""
    browser.emulate()
    browser.open(report)
    bars = browser.run("""
        return [...document.querySelectorAll("tr:has(> .bar)")].map(row => [
            row.cells[0].innerText, [...row.querySelectorAll("rect")].map(rect => rect.width.baseVal.value)]);
    """)
    assert dict(bars)["Target"] == [pytest.approx(100 * 34995 / 35000, abs=0.01), 1]
    assert dict(bars)["Sent"] == [100]
    assert dict(bars)["dump"] == [25]


def test_history(browser: Browser, history: Path) -> None:
    """What came of each run, with the way to its report, and how the source has grown."""
    browser.emulate()
    browser.open(history)
    rows = browser.rows("Runs of sandbox-db")
    assert len(rows) == 12
    assert "2026-12-03 10:00" in rows[0]
    assert "<b>disk full</b>" in rows[8]
    links = [link.get_attribute("href") for link in browser.find("[aria-label='Runs of other'] a")]
    assert links == [(history.parent / "other/20261122T100011Z-abc123/report.html").as_uri()]
    (picture,) = browser.find("svg[role=img]")
    told = picture.get_attribute("aria-label")
    assert told == "Size of the source of sandbox-db over 12 runs: from 1.0 MiB to 12.0 MiB, at most 12.0 MiB"
    (only,) = browser.find(".filter input[type=checkbox]")
    only.click()
    assert len(browser.rows("Runs of sandbox-db")) == 1


def test_nothing_foreign_runs(browser: Browser, tmp_path: Path) -> None:
    """Were a name from a database ever taken for markup, the browser would still not run it."""
    browser.emulate()
    page = tmp_path / "report.html"
    composed = compose(_records(1), Run("migrate", "sandbox-db", "20261122T100000Z-abc123"))
    script = "<script>document.title = 'foreign';</script>"
    page.write_text(render(composed, _TEMPLATES).replace("<h1>", f"<h1>{script}"), encoding="utf-8")
    browser.open(page)
    assert browser.driver.title == "sandbox-db: failed"
