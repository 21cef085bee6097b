"""Pages in headless Chromium: no error, nothing fetched, filters and keys work, letters can be read in both colours.

Needs ``pip install playwright`` and a Chromium on the path (Debian: ``apt-get install chromium``).
"""

import shutil

import pytest

from mmkg.analysis import gallery, report

sync_api = pytest.importorskip("playwright.sync_api", reason="pip install playwright, to look at pages in a browser")
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on the path: apt-get install chromium")

CONTRAST = """() => {
  const channel = (v) => (v /= 255) <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4;
  const rgba = (text) => {
    const canvas = document.createElement("canvas"), c = canvas.getContext("2d", { willReadFrequently: true });
    c.fillStyle = text; c.fillRect(0, 0, 1, 1);
    return [...c.getImageData(0, 0, 1, 1).data].map((v, i) => (i === 3 ? v / 255 : v));
  };
  const light = ([r, g, b]) => 0.2126 * channel(r) + 0.7152 * channel(g) + 0.0722 * channel(b);
  const ground = (element) => {
    const layers = [];
    for (let e = element; e; e = e.parentElement) {
      const layer = rgba(getComputedStyle(e).backgroundColor);
      if (layer[3] > 0) layers.push(layer);
      if (layer[3] === 1) break;
    }
    const over = (under, top) => top.map((v, i) => (i < 3 ? v * top[3] + under[i] * (1 - top[3]) : 1));
    return layers.reverse().reduce(over);
  };
  const low = [];
  const walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walk.nextNode()) {
    const element = walk.currentNode.parentElement;
    const unseen = !element.checkVisibility() || element.closest(".hidden-text, script, svg, .skip");
    if (unseen || !walk.currentNode.data.trim()) continue;
    const [a, b] = [light(rgba(getComputedStyle(element).color)), light(ground(element))].sort((x, y) => y - x);
    const ratio = (a + 0.05) / (b + 0.05);
    if (ratio < 4.5) low.push([walk.currentNode.data.trim().slice(0, 40), element.className, ratio.toFixed(2)]);
  }
  return low;
}"""


@pytest.fixture(scope="module")
def browser():
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def look(browser):
    """Open a file; gives the page, and what went wrong in ``page.faults``."""
    contexts = []

    def open_page(path, **options):
        given = {"viewport": {"width": 1280, "height": 900}, "reduced_motion": "reduce"} | options
        contexts.append(browser.new_context(offline=True, **given))
        page = contexts[-1].new_page()
        page.faults = []
        page.on("console", lambda message: page.faults.append(message.text))
        page.on("pageerror", lambda error: page.faults.append(str(error)))
        page.on("dialog", lambda dialog: (page.faults.append(f"dialog {dialog.message}"), dialog.dismiss()))
        page.on(
            "request",
            lambda r: None if r.url.startswith(("file:", "data:")) else page.faults.append(f"asks for {r.url}"),
        )
        page.goto(path.as_uri())
        return page

    yield open_page
    for context in contexts:
        context.close()


@pytest.fixture(scope="module")
def path(little, tmp_path_factory):
    folder = tmp_path_factory.mktemp("pages")
    return gallery(little, folder / "g.html", questions=20, k=6, sides=("tail", "head")).path


def shown(page):
    return [q for q in page.locator(".question").all() if q.is_visible()]


def test_no_fault_and_no_overflow(look, path):
    for width in (1280, 800, 390):
        page = look(path, viewport={"width": width, "height": 800})
        assert page.faults == []
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        assert page.title() == "Hard negatives of graph"
        assert page.locator("#count").inner_text() == "6 of 6 questions"


def test_filters(look, path):
    page = look(path)
    page.select_option("#relation", "kind_of")
    some = shown(page)
    assert len(some) == 4
    assert {q.get_attribute("data-relation") for q in some} == {"kind_of"}
    assert page.locator("#count").inner_text() == "4 of 6 questions"
    page.check("#known")
    flagged = [q for q in some if q.get_attribute("data-known") != "0"]
    assert len(shown(page)) == len(flagged) > 0
    assert all(q.locator(".flag").count() for q in flagged)
    page.click("button[type=reset]")
    page.wait_for_function("document.getElementById('count').textContent.startsWith('6 of')")
    category = page.locator(".question").first.get_attribute("data-category")
    page.select_option("#category", category)
    assert {q.get_attribute("data-category") for q in shown(page)} == {category}
    page.select_option("#category", "")
    page.select_option("#modality", "structure")
    for question in shown(page):
        assert "structure" in question.get_attribute("data-through").split()
        assert question.locator(".card.chosen").count() > 0
    assert page.faults == []


def test_search(look, path, harmful):
    page = look(path)
    page.fill("#search", "ZÜRICH kind_of")
    for question in shown(page):
        assert "zürich" in question.get_attribute("data-words")
    page.fill("#search", harmful[0][:8])
    assert shown(page)
    page.fill("#search", "nobody is called so")
    assert shown(page) == []
    assert page.locator("#nothing").is_visible()
    page.press("#search", "Escape")
    assert len(shown(page)) == 6
    assert page.faults == []


def test_keys(look, path):
    page = look(path)
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "main"
    titles = page.locator(".question h2").all_text_contents()
    for keys, place in (("j", 0), ("jj", 2), ("k", 1), ("jjjjjjjj", 5)):
        for key in keys:
            page.keyboard.press(key)
        assert page.evaluate("document.activeElement.querySelector('h2').textContent") == titles[place]
    page.keyboard.press("/")
    assert page.evaluate("document.activeElement.id") == "search"
    page.keyboard.type("j/kta")  # letters while somebody types
    assert page.input_value("#search") == "j/kta"
    page.keyboard.press("Escape")
    page.keyboard.press("a")
    assert page.is_checked("#att-free")
    page.keyboard.press("a")
    assert page.is_checked("#att-guided")
    page.focus("#att-guided")
    page.keyboard.press("ArrowRight")
    assert page.is_checked("#att-none")
    reached = set()
    for _ in range(14):
        page.keyboard.press("Tab")
        reached.add(page.evaluate("document.activeElement.id || document.activeElement.type"))
    page.evaluate("document.body.focus(); window.scrollTo(0, 0)")
    for _ in range(14):
        page.keyboard.press("Shift+Tab")
        reached.add(page.evaluate("document.activeElement.id || document.activeElement.type"))
    assert {"theme", "search", "relation", "category", "modality", "known", "reset"} <= reached
    assert page.faults == []


def test_attention_is_seen_when_asked_for(look, path):
    page = look(path)
    free, guided = page.locator(".heat.free").first, page.locator(".heat.guided").first
    opacity = "e => getComputedStyle(e).opacity"
    assert (free.evaluate(opacity), guided.evaluate(opacity)) == ("0", "0")
    page.keyboard.press("a")
    page.wait_for_timeout(400)
    assert (free.evaluate(opacity), guided.evaluate(opacity)) == ("1", "0")
    assert page.locator(".w.free").first.is_visible()
    page.keyboard.press("a")
    page.wait_for_timeout(400)
    assert (free.evaluate(opacity), guided.evaluate(opacity)) == ("0", "1")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_letters_can_be_read(look, path, scheme):
    page = look(path, color_scheme=scheme)
    page.click("summary")
    ground = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (sum(map(int, ground[4:-1].split(","))) > 600) == (scheme == "light")
    for _ in range(3):  # plain, attention, guided
        assert page.evaluate(CONTRAST) == []
        page.keyboard.press("a")
    assert len(page.screenshot()) > 10_000


def test_colours_are_chosen_and_kept(look, path):
    page = look(path, color_scheme="dark")
    dark = page.evaluate("getComputedStyle(document.body).backgroundColor")
    page.click("#theme")
    assert page.evaluate("document.documentElement.dataset.theme") == "light"
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") != dark
    page.reload()
    assert page.evaluate("document.documentElement.dataset.theme") == "light"
    page.keyboard.press("t")
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == dark
    page.keyboard.press("t")
    assert page.evaluate("document.documentElement.dataset.theme") is None
    assert page.faults == []


def test_without_scripts_everything_is_there(look, path):
    page = look(path, java_script_enabled=False)
    assert page.locator(".question").count() == 6
    assert page.locator(".question").last.is_visible()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_report(look, little, tmp_path, scheme):
    made = report(little.dataset, tmp_path / "r.html", min_support=1, min_confidence=0.1)
    for width in (1280, 390):
        page = look(made.path, color_scheme=scheme, viewport={"width": width, "height": 800})
        assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert page.evaluate(CONTRAST) == []
    page.evaluate("for (const all of document.querySelectorAll('details')) all.open = true")
    assert page.evaluate(CONTRAST) == []
    page.keyboard.press("/")
    page.keyboard.type("KIND_of")
    assert page.locator(".relation:visible").all_text_contents()[0].startswith("kind_of")
    assert page.locator("#count").inner_text() == "1 of 2 relations"
    page.keyboard.press("Escape")
    assert page.locator(".relation:visible").count() == 2
    assert page.locator(".network circle").count() == 2
    assert page.faults == []
