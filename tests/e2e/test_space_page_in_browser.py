"""space.html in a real browser: it draws, plays, finds, filters, remembers, and asks nobody anything."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from closerlook.report.space_page import build_space_page
from closerlook.results.run_dir import RunDir

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
STATUS = "#status"
READBACK = "GL Driver Message"  # the browser about a picture of the canvas being taken

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium is installed (Debian: apt-get install chromium)"),
]


@pytest.fixture(scope="module")
def path(film_run: RunDir, tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = build_space_page(film_run, tmp_path_factory.mktemp("space") / "space.html")
    assert made is not None
    return made


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM)
        yield browser
        browser.close()


class Visit:
    """An open page, with everything that went wrong or out."""

    def __init__(self, browser: Any, path: Path, address: str = "", **settings: Any) -> None:
        self.path, self.trouble, self.requests = path, [], []
        self.page = browser.new_page(**({"viewport": {"width": 1280, "height": 900}} | settings))
        self.page.on("console", lambda message: READBACK in message.text or self.trouble.append(message.text))
        self.page.on("pageerror", lambda error: self.trouble.append(str(error)))
        self.page.on("dialog", lambda dialog: (self.trouble.append("dialog"), dialog.dismiss()))
        self.page.on("request", lambda request: self.requests.append(request.url.split("#")[0]))
        self.page.goto(path.as_uri() + address)
        self.page.wait_for_selector("body[data-drawn]")

    def fine(self) -> None:
        assert self.trouble == []
        assert self.requests == [self.path.as_uri()], "the page itself and nothing else"
        self.page.close()

    def says(self, text: str) -> None:
        self.page.locator(STATUS, has_text=re.compile(rf"(^|, ){re.escape(text)}")).wait_for(timeout=10000)

    def colours(self) -> int:
        """How many points of the canvas are not empty; drawn anew, since a canvas is empty once it was shown."""
        return self.page.evaluate("""() => {
          page.redraw();
          const { gl, canvas } = page.panes[0].points;
          const pixels = new Uint8Array(4 * canvas.width * canvas.height);
          gl.readPixels(0, 0, canvas.width, canvas.height, gl.RGBA, gl.UNSIGNED_BYTE, pixels);
          let n = 0;
          for (let i = 3; i < pixels.length; i += 4) n += pixels[i] > 0;
          return n;
        }""")

    def centre(self, example: int) -> list[float]:
        """Where an example is on the screen."""
        return self.page.evaluate(
            """(i) => {
          const pane = page.panes[0];
          const box = pane.parts.stage.getBoundingClientRect();
          const [x, y] = pane.place(i, page.state.t);
          return [box.left + x, box.top + y];
        }""",
            example,
        )


@pytest.fixture
def visit(browser: Any, path: Path) -> Iterator[Visit]:
    visit = Visit(browser, path)
    yield visit
    visit.fine()


def test_points_are_drawn_and_the_slider_moves_them(visit: Visit):
    assert visit.colours() > 1000
    assert "epoch 2 (update 20)" in visit.page.locator("#moment").text_content()
    last = visit.centre(0)
    visit.page.locator("#time").focus()
    visit.page.keyboard.press("Home")
    visit.says("epoch 0")
    assert visit.page.locator("#moment").text_content() == "epoch 0 (update 0)"
    first = visit.centre(0)
    assert first != last
    visit.page.evaluate("page.to(1.5)")
    middle = visit.centre(0)
    one, two = (visit.page.evaluate("(t) => page.to(t)", t) or visit.centre(0) for t in (1, 2))
    assert middle == pytest.approx([(a + b) / 2 for a, b in zip(one, two, strict=True)], abs=0.1), "smooth in between"
    visit.page.keyboard.press("ArrowLeft")
    visit.says("epoch 1")
    assert visit.page.locator("#time").get_attribute("aria-valuetext") == "epoch 1, snapshot 2 of 3"


def test_it_plays_to_the_end_and_stops(visit: Visit):
    visit.page.keyboard.press("Home")
    visit.page.locator("#play").click()
    assert visit.page.locator("#play").text_content() == "Pause"
    visit.page.locator("#play", has_text="Play").wait_for(timeout=20000)
    visit.says("epoch 2")
    assert visit.page.evaluate("page.state.t") == 2


def test_search_and_filters_count(visit: Visit, film_module: Any):
    visit.says("180 of 180 examples match, layer 1, epoch 2")
    visit.page.fill("#query", "WORD70 ")
    visit.says("1 of 180")
    visit.page.fill("#query", "word7")
    visit.says("12 of 180")  # word7 of both splits, word70 to word79 of train
    visit.page.wait_for_timeout(300)
    assert visit.page.locator("#rows tr").count() == 12
    assert visit.page.locator("#rows mark").first.text_content().startswith("word7")
    visit.page.fill("#query", "img")
    visit.says("180 of 180")
    visit.page.check("#words")
    visit.says("0 of 180")
    visit.page.fill("#query", "")
    visit.page.select_option("#show", "wrong")
    visit.says(f"{film_module.N_WRONG} of 180")
    visit.page.select_option("#show", "probe")
    visit.says(f"{film_module.N_WRONG} of 180")
    visit.page.select_option("#show", "near")
    visit.says(f"{film_module.N_WRONG} of 180")
    visit.page.wait_for_timeout(500)  # the table follows the count
    assert float(visit.page.locator("#rows td:nth-child(5)").first.text_content()) > 1
    visit.page.select_option("#show", "all")
    visit.page.locator("#legend .only").first.click()
    visit.says("60 of 180")
    visit.page.locator("#every").click()
    visit.page.locator('[data-part="split"]').first.select_option(label="test")
    visit.says("60 of 180")
    assert visit.page.locator("#show option", has_text="witness").count() == 0, "none were stored"


def test_an_example_is_hovered_chosen_and_told(visit: Visit, film_module: Any):
    x, y = visit.centre(125)
    visit.page.mouse.move(x, y)
    tip = visit.page.locator(".tip:visible")
    tip.wait_for()
    assert "word" in tip.locator("mark").text_content()
    assert "tuned head says" in tip.text_content()
    visit.page.mouse.click(x, y)
    visit.page.locator("#chosen").wait_for()
    assert visit.page.locator("#course tr").count() == 3
    assert visit.page.locator("#course tr.now td").first.text_content() == "2"
    assert film_module.HOSTILE.split("\x1b")[0].strip() in visit.page.locator("#text").text_content()
    visit.page.locator("body").press("Escape")
    visit.page.locator("#chosen").wait_for(state="hidden")


def test_the_address_brings_the_view_back(browser: Any, visit: Visit, path: Path):
    visit.page.select_option("#picture", "own")
    visit.page.select_option("#colour", "right")
    visit.page.locator("#legend .only").nth(1).click()
    visit.page.fill("#query", "word")
    visit.page.locator("#two").click()
    visit.page.locator('[data-part="layer"]').nth(1).select_option("0")
    visit.page.locator("#rows button").first.click()
    visit.page.locator("#time").focus()
    visit.page.keyboard.press("ArrowLeft")
    visit.page.locator('canvas[data-part="points"]').first.focus()
    visit.page.keyboard.press("+")
    visit.says("epoch 1")
    visit.page.wait_for_timeout(1500)  # the address is written once the view is at rest
    state = "() => JSON.stringify([page.state, [...page.state.hidden], page.panes.map((p) => [p.layer, p.split])])"
    address = visit.page.evaluate("location.hash")
    again = Visit(browser, path, address)
    assert again.page.evaluate(state) == visit.page.evaluate(state)
    views = [one.page.evaluate("Object.values(page.panes[0].view)") for one in (visit, again)]
    assert views[0] == pytest.approx(views[1], rel=1e-3)
    assert again.page.locator(STATUS).text_content() == visit.page.locator(STATUS).text_content()
    again.fine()
    odd = Visit(browser, path, "#layer=77&epoch=x&picture=<b>&view=a,b&labels=%25&example=none&show=__proto__")
    odd.says("0 of 180 examples match, layer 1, epoch 2")
    odd.page.locator("#reset").click()
    odd.says("180 of 180")
    odd.fine()


@pytest.mark.parametrize("width", [400, 1280])
def test_it_fits_and_is_seen_in_the_dark(browser: Any, path: Path, width: int):
    visit = Visit(browser, path, "#layer2=0", viewport={"width": width, "height": 800}, color_scheme="dark")
    assert visit.page.evaluate("document.documentElement.scrollWidth") <= width, "no sideways scrolling of the page"
    paper = visit.page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert sum(map(int, paper[4:-1].split(","))) < 200
    assert visit.colours() > 300
    assert visit.page.evaluate("[...document.querySelectorAll('select, input, button')].every((one) => one.hidden || "
                               "one.labels?.length || one.textContent.trim() || one.ariaLabel)")  # fmt: skip
    visit.fine()


def test_without_movement_it_goes_from_snapshot_to_snapshot(browser: Any, path: Path):
    visit = Visit(browser, path, "#epoch=0", reduced_motion="reduce")
    seen = visit.page.evaluate("""() => new Promise((done) => {
      const seen = new Set();
      page.play();
      const look = () => { seen.add(page.state.t); page.playing ? requestAnimationFrame(look) : done([...seen]); };
      look();
    })""")
    assert seen == [0, 1, 2]
    visit.fine()
