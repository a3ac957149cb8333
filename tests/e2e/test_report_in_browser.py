"""The report in a real browser: the slider and the choices work, nothing is fetched, nothing goes wrong."""

from __future__ import annotations

import dataclasses
import importlib.util
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from closerlook import measures as m
from closerlook.number_text import number_text
from closerlook.report import build_report
from closerlook.report.study_page import build_study_page
from closerlook.results.run import RunResults
from closerlook.results.run_dir import load_run
from closerlook.results.tables import rows_of
from closerlook.study.claims import claims_of
from closerlook.study.conditions import conditions_of
from closerlook.study.join import load_study
from closerlook.study.main_table import summarise

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
HEATMAP = '[data-slot="label_distances"]'

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium is installed (Debian: apt-get install chromium)"),
]


@pytest.fixture(scope="module")
def results(digits_run: Path) -> RunResults:
    return load_run(digits_run)


@pytest.fixture(scope="module")
def report(results: RunResults, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_report(results, tmp_path_factory.mktemp("report") / "report.html")


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM)
        yield browser
        browser.close()


class Visit:
    """An open report, with everything that went wrong or out."""

    def __init__(self, browser: Any, report: Path, **settings: Any) -> None:
        self.page = browser.new_page(**settings)
        self.trouble: list[str] = []
        self.requests: list[str] = []
        self.page.on("console", lambda message: self.trouble.append(f"{message.type}: {message.text}"))
        self.page.on("pageerror", lambda error: self.trouble.append(str(error)))
        self.page.on("dialog", lambda dialog: (self.trouble.append("dialog"), dialog.dismiss()))
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.page.goto(report.as_uri())
        self.page.wait_for_selector("body[data-drawn]")

    def fine(self, report: Path) -> None:
        assert self.trouble == []
        assert self.requests == [report.as_uri()], "the page itself and nothing else"
        self.page.close()

    def cells(self) -> list[str]:
        """Numbers written in the visible heat map."""
        return sorted(filter(None, self.page.locator(f"{HEATMAP} .heatmap-label").all_text_contents()))


@pytest.fixture
def visit(browser: Any, report: Path) -> Iterator[Visit]:
    visit = Visit(browser, report, viewport={"width": 1400, "height": 900})
    yield visit
    visit.fine(report)


def stored(results: RunResults, step: int, layer: int = 2, split: str = "train") -> list[str]:
    rows = rows_of(results.table, m.LABEL_DISTANCE, layer=layer, split=split)
    values = rows[rows["step"] == step]["value"].dropna()
    return sorted(number_text(m.LABEL_DISTANCE, value) for value in values for _ in range(2))


def test_the_slider_shows_the_distances_of_each_snapshot(visit: Visit, results: RunResults):
    assert visit.cells() == stored(results, 80), "the last snapshot is shown first"
    rail = visit.page.locator(f"{HEATMAP} .slider-rail-touch-rect")
    picture = visit.page.locator(HEATMAP).screenshot()
    rail.scroll_into_view_if_needed()
    box = rail.bounding_box()  # after the picture, which scrolls
    visit.page.mouse.click(box["x"] + 2, box["y"] + box["height"] / 2)
    visit.page.wait_for_selector(f"{HEATMAP} .slider-label:has-text('epoch 0')")
    assert visit.cells() == stored(results, 0)
    assert visit.cells() != stored(results, 80)
    assert visit.page.locator(HEATMAP).screenshot() != picture
    rail.scroll_into_view_if_needed()
    box = rail.bounding_box()
    visit.page.mouse.move(box["x"] + 2, box["y"] + box["height"] / 2)
    visit.page.mouse.down()
    visit.page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2, steps=5)
    visit.page.mouse.up()
    visit.page.wait_for_selector(f"{HEATMAP} .slider-label:has-text('epoch 2')")
    assert visit.cells() == stored(results, 40), "dragged to the middle"


def test_choices_change_figures_captions_and_tables(visit: Visit, results: RunResults):
    visit.page.select_option("#choose-layer", "1")
    visit.page.select_option("#choose-split", "test")
    caption = visit.page.locator(f"figure:has({HEATMAP}) figcaption:has-text('layer 1, test')")
    caption.wait_for()
    visit.page.wait_for_timeout(500)
    assert visit.cells() == stored(results, 80, layer=1, split="test")
    shown = visit.page.locator("#labels tbody:visible")
    assert shown.count() == 1
    assert shown.get_attribute("data-choice") == "1|test"
    assert visit.page.locator("#summary tbody:visible").get_attribute("data-split") == "test"


def test_the_table_of_labels_sorts_by_any_column(visit: Visit):
    def column(number: int) -> list[str]:
        return visit.page.locator(f"#labels tbody:visible td:nth-child({number})").all_text_contents()

    header = visit.page.locator("#labels th")
    header.nth(2).click()
    rising = [float(text) for text in column(3)]
    assert rising == sorted(rising)
    assert header.nth(2).get_attribute("aria-sort") == "ascending"
    header.nth(2).press("Enter")
    assert [float(text) for text in column(3)] == sorted(rising, reverse=True)
    header.nth(0).click()
    assert column(1) == sorted(column(1), key=str.lower)


def test_labels_are_text_in_tables_and_figures(visit: Visit, results: RunResults):
    label = next(label for label in results.info.label_names if "script" in label)
    assert visit.page.locator("#labels tbody:visible td", has_text=label).count() >= 1
    ticks = visit.page.locator(f"{HEATMAP} .ytick text").all_text_contents()
    assert [tick for tick in ticks if tick.startswith("<script>")]
    assert visit.page.locator("script").count() == 3


def test_every_figure_is_drawn(visit: Visit):
    plots = visit.page.locator(".plot")
    assert plots.count() >= 12
    for i in range(plots.count()):
        assert plots.nth(i).locator("svg.main-svg").count() >= 1, plots.nth(i).get_attribute("data-slot")


@pytest.mark.parametrize("width", [400, 1400])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_fits_the_screen_in_light_and_dark(browser: Any, report: Path, width: int, scheme: str):
    visit = Visit(browser, report, viewport={"width": width, "height": 900}, color_scheme=scheme)
    assert visit.page.evaluate("document.documentElement.scrollWidth") <= width, "no sideways scrolling of the page"
    page, ink = visit.page.evaluate(
        "[getComputedStyle(document.body).backgroundColor,"
        f" getComputedStyle(document.querySelector('{HEATMAP} .xtick text')).fill]"
    )
    brightness = [sum(map(int, colour[4:-1].split(","))) for colour in (page, ink)]
    assert (brightness[0] > 600 > 300 > brightness[1]) == (scheme == "light"), "text stands out from the page"
    visit.fine(report)


LINK = '<a href="https://evil.example/">click</a>'
HOSTILE = {
    "one": LINK,
    "two": "&lt;a href=&quot;https://evil.example/&quot;&gt;x&lt;/a&gt;",
    "zero": "[x](https://evil.example/) \x1b[31m\u202egnp.exe\x00",
}
HOVER = """
async () => {
  const said = [];
  for (const plot of document.querySelectorAll(".plot")) {
    for (const [curveNumber, trace] of (plot.data || []).entries()) {
      const n = (trace.x || []).length;
      if (trace.visible === false || n === 0) continue;
      for (const pointNumber of new Set([0, n - 1])) {
        const at = trace.type === "heatmap" ? { xval: 0, yval: 0 } : { curveNumber, pointNumber };
        Plotly.Fx.hover(plot, [at], (trace.xaxis || "x") + (trace.yaxis || "y"));
        await new Promise((done) => setTimeout(done, 70)); // plotly hovers at most every 50 ms
        plot.querySelectorAll(".hovertext").forEach((box) => said.push(box.textContent));
      }
    }
  }
  return said;
}
"""


@pytest.fixture(scope="module")
def hostile(results: RunResults, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The report of a run whose labels, notes, measures, probes, splits and metrics are links."""
    table = results.table.replace({"label": HOSTILE, "other": HOSTILE})
    table["note"] = table["note"].where(table["note"] == "", LINK)
    renamed = table[(table["measure"] == m.ACCURACY) & (table["probe"] == "linear")]
    known = table[table["measure"].isin([m.MIN_DISTANCE, m.LABEL_DISTANCE, m.CENTROID_X, m.CENTROID_Y, m.N_CLUSTERS])]
    table = pd.concat([table, renamed.assign(measure=LINK, probe=LINK, split=LINK), known.assign(split=LINK)])
    history = results.history.assign(**{LINK: 1.0, f"train/{LINK}": 2.0})
    evil = dataclasses.replace(results, table=table, history=history)
    return build_report(evil, tmp_path_factory.mktemp("hostile") / "report.html")


@pytest.mark.parametrize("split", ["train", LINK])
def test_names_from_a_run_are_never_links_and_show_their_control_characters(browser: Any, hostile: Path, split: str):
    visit = Visit(browser, hostile, viewport={"width": 1280, "height": 900})
    visit.page.select_option("#choose-split", split)
    visit.page.wait_for_timeout(1500)
    said = visit.page.evaluate(HOVER)
    assert len(said) > 20
    assert any(LINK in text for text in said), "they are there, as text"
    links = visit.page.evaluate("[...document.querySelectorAll('a')].map((a) => a.getAttribute('href') || '')")
    assert links
    assert all(link.startswith("#") for link in links)
    assert "\u202e" not in visit.page.locator("main").text_content()
    assert "\u241b[31m" in visit.page.locator("#labels").text_content()
    visit.fine(hostile)


def test_what_is_wider_than_a_telephone_says_so_and_can_be_reached(browser: Any, report: Path):
    visit = Visit(browser, report, viewport={"width": 400, "height": 900})
    boxes = visit.page.evaluate("""
        [...document.querySelectorAll("div.scroll")].filter((box) => box.offsetParent).map((box) => ({
          hidden: box.scrollWidth - box.clientWidth, more: box.dataset.more, focus: box.tabIndex,
          hint: box.previousElementSibling && !box.previousElementSibling.hidden &&
                box.previousElementSibling.classList.contains("scrolls") }))""")
    wide = [box for box in boxes if box["hidden"] > 2]
    assert len(wide) >= 3
    assert all(box["more"] == "right" and box["hint"] and box["focus"] == 0 for box in wide)
    assert not [box for box in boxes if box["hidden"] <= 2 and (box["hint"] or box["more"])]
    visit.fine(report)


def test_warnings_stand_beside_the_numbers(visit: Visit):
    for measure, place in ((m.MIN_DISTANCE, "figure:has([data-slot='min_distance'])"), (m.ACCURACY, "#summary")):
        told = " ".join(visit.page.locator(f"{place} .told:visible").all_text_contents())
        assert m.MEASURES[measure].distrust.replace("`", "") in told


VARIANT = "finetuning.learning_rate-0.00005__trainer.precision-bf16-mixed__snapshot.every_n_updates-5"


@pytest.fixture(scope="module")
def study_page(project: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page of hand-made runs, one of them of a setting with a long name."""
    path = project / "tests" / "unit" / "study" / "study_tables.py"
    spec = importlib.util.spec_from_file_location("study_tables", path)
    assert spec is not None
    assert spec.loader is not None
    tables = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(tables)
    root = tmp_path_factory.mktemp("study")
    for name in ("seed-0", f"seed-0__{VARIANT}"):
        rows = [*tables.accuracy(0.6, 0.9), *tables.clusters(60, 6), *tables.minimum_distances([1.0] * 6, [2.0] * 6)]
        tables.save_run(root / "pos" / "minilm_l6" / name, rows, tables.info("pos"))
    study = load_study(root)
    conditions = conditions_of(study)
    summary, claims = summarise(study, conditions), claims_of(conditions)
    return build_study_page(study, conditions, summary, claims, root / "study.html")


@pytest.mark.parametrize("width", [400, 1280])
def test_a_long_name_of_a_setting_leaves_effect_and_verdict_on_the_page(browser: Any, study_page: Path, width: int):
    visit = Visit(browser, study_page, viewport={"width": width, "height": 900})
    assert visit.page.evaluate("document.documentElement.scrollWidth") <= width, "no sideways scrolling of the page"
    row = visit.page.locator("#claims tbody tr", has_text="learning_rate").first
    verdict, effect = row.locator("td").nth(1), row.locator("td").nth(2)
    assert verdict.text_content() == "supported"
    assert "+0.3" in effect.text_content()
    for cell in (verdict, effect) if width == 1280 else (verdict,):
        box = cell.bounding_box()
        assert box["x"] + box["width"] <= width
    visit.fine(study_page)
