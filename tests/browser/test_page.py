"""The report in a real browser: what a person with a mouse, a keyboard or a phone has of it."""

from __future__ import annotations

import json

import pytest
from chromium import Chromium, find_chromium
from made_up import SCRIPT, made_up

from cortexbuild.cli.page import fill

pytestmark = pytest.mark.xdist_group("browser")  # one browser for all of them

OVERLAPS = """((selector) => {
  const boxes = [...document.querySelectorAll(selector)].map((e) => [e, e.getBoundingClientRect()])
    .filter(([, b]) => b.width);
  const found = [];
  boxes.forEach(([one, a], at) => boxes.slice(at + 1).forEach(([other, b]) => {
    if (a.left < b.right - 0.5 && b.left < a.right - 0.5 && a.top < b.bottom - 0.5 && b.top < a.bottom - 0.5)
      found.push([one.textContent, other.textContent]);
  }));
  return {count: boxes.length, found};
})"""

FAINT = """(() => {
  const parse = (text) => text.match(/[\\d.]+/g).map(Number);
  const light = (rgb) => rgb.slice(0, 3).map((v) => v / 255)
    .map((v) => (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4))
    .reduce((sum, v, at) => sum + v * [0.2126, 0.7152, 0.0722][at], 0);
  const ground = (e) => {
    for (let at = e; at; at = at.parentElement) {
      const rgb = parse(getComputedStyle(at).backgroundColor);
      if (rgb.length < 4 || rgb[3] > 0) return rgb;
    }
    return [255, 255, 255];
  };
  const faint = [];
  let count = 0;
  const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (texts.nextNode()) {
    const e = texts.currentNode.parentElement;
    if (!texts.currentNode.data.trim() || !e.checkVisibility()) continue;
    if (['SCRIPT', 'STYLE', 'NOSCRIPT', 'title'].includes(e.tagName)) continue;
    const style = getComputedStyle(e);
    const [a, b] = [light(parse(e instanceof SVGElement ? style.fill : style.color)), light(ground(e))];
    const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    count += 1;
    if (ratio < 4.5) faint.push([e.textContent.slice(0, 40), e.className, ratio]);
  }
  return {count, faint};
})()"""

HOSTILE = (
    "</script><img src=x onerror=alert(1)><script>window.ran = 1</script><!--]]>"
    "\u2028'\"`${window.ran = 1}{{script}}javascript:alert(1)"
)
DETAILS = "document.querySelector('#details').innerText"
PRESSED = "[...document.querySelectorAll('[aria-pressed=true]')].map((e) => e.title)"


@pytest.fixture(scope="session")
def browser(tmp_path_factory):
    program = find_chromium()
    if program is None:
        pytest.skip("no Chromium here: `apt-get install chromium`, or set CHROMIUM to one")
    chromium = Chromium(program, tmp_path_factory.mktemp("profile"))
    yield chromium
    chromium.close()


@pytest.fixture(scope="session")
def file(tmp_path_factory):
    path = tmp_path_factory.mktemp("report") / "report.html"
    path.write_text(fill(made_up()))
    return path


@pytest.fixture
def show(browser, file):
    """Open a page; when the test is over it must have asked for nothing, and had no error."""
    opened = []

    def open_(path=file, **how):
        page = browser.open(path, **how)
        opened.append((path, page))
        return page

    yield open_
    for path, page in opened:
        asked = [event["request"]["url"] for event in page.said("Network.requestWillBeSent")]
        assert asked == [path.as_uri()]
        assert page.said("Runtime.exceptionThrown") == []
        assert page.said("Runtime.consoleAPICalled") == []
        assert page.said("Log.entryAdded") == []  # what the policy stops is told here
        page.close()


def node(label):
    return f'.node[title="{label}"]'


def test_a_click_on_a_step_shows_it(show):
    page = show()
    page.click(node("stdlib-llama:mlx-4bit/quantize"))
    said = page.run(DETAILS)
    for words in ("stdlib-llama:mlx-4bit/quantize", "built", "bits: 4", "4.2 GiB", "48 s",
                  "mlx, revision 3 (mlx 0.32.4)", "stdlib-llama:mlx-4bit/convert", SCRIPT):  # fmt: skip
        assert words in said
    assert page.run(PRESSED) == ["stdlib-llama:mlx-4bit/quantize"]
    page.click("#details li .link")
    assert page.run(PRESSED) == ["stdlib-llama:mlx-4bit/convert"]


def test_what_failed_is_shown_first_and_says_why(show):
    page = show()
    assert page.run(PRESSED) == ["docstrings:mlx-8bit/convert"]
    assert "not enough memory for layers.31" in page.run(DETAILS)
    assert "not enough memory" in page.run("document.querySelector('.trouble').innerText")
    page.click(node("docstrings:mlx-8bit/quantize"))
    assert "needs a step that failed" in page.run("document.querySelector('#legend').innerText")
    assert "skipped" in page.run(DETAILS)


def test_the_keyboard_does_all_that_the_mouse_does(show):
    page = show()
    focus = "document.activeElement.title"
    page.run(f"document.querySelector('{node('stdlib-llama/fetch')}').focus()")
    page.press("Enter")
    assert page.run(PRESSED) == ["stdlib-llama/fetch"]
    page.press("ArrowRight")
    after = page.run(focus)
    assert after != "stdlib-llama/fetch" and page.run(PRESSED) == ["stdlib-llama/fetch"]
    page.press(" ")
    assert page.run(PRESSED) == [after] and after in page.run(DETAILS)
    page.press("ArrowLeft")
    assert page.run(focus) == "stdlib-llama/fetch"
    for key in ("End", "ArrowUp", "ArrowDown", "Home"):
        before = page.run(focus)
        page.press(key)
        assert page.run(focus) != before, key
    # One stop of the tab key for the graph, and then on to the step that is shown.
    assert page.run("document.querySelectorAll('.node[tabindex=\"0\"]').length") == 1
    page.press("Tab")
    assert page.run("document.activeElement.closest('#details') !== null")
    assert page.run("getComputedStyle(document.activeElement).outlineStyle") == "solid"


def test_what_is_there_has_a_name_for_who_does_not_see_it(show):
    page = show()
    tree = page.call("Accessibility.getFullAXTree")["nodes"]
    named = {}
    for item in tree:
        if not item.get("ignored"):
            role, name = item["role"]["value"], item.get("name", {}).get("value", "")
            named.setdefault(role, []).append(name)
    assert len(named["button"]) > 40 and all(named["button"])
    assert "docstrings:mlx-8bit/convert, failed" in named["button"]
    (chart,) = (name for name in named["image"] if name.startswith("Quality against size"))
    assert "gguf-q6_k: 6.1 GiB, KL 0.0019" in chart
    assert all(named["region"])
    assert page.run(
        "[...document.querySelectorAll('table')].every((t) => t.caption && t.caption.textContent)"
    )
    levels = page.run("[...document.querySelectorAll('h1,h2,h3,h4')].map((h) => +h.tagName[1])")
    assert levels[0] == 1 and levels.count(1) == 1
    assert all(b - a <= 1 for a, b in zip(levels, levels[1:], strict=False))
    assert page.run("document.querySelector('#details').getAttribute('aria-live')") == "polite"


@pytest.mark.parametrize("width", [360, 768, 1280])
def test_nothing_lies_over_anything(show, width, tmp_path):
    page = show(width=width)
    page.screenshot(tmp_path / f"{width}.png")
    for selector, least in ((".node", 41), ("figure text, figure .mark", 16), ("#tiles > div", 4),
                            ("main section", 7)):  # fmt: skip
        seen = page.run(f"{OVERLAPS}({json.dumps(selector)})")
        assert seen["count"] >= least, (selector, seen)
        # Two targets of one size and one quality are one place in the chart.
        found = [pair for pair in seen["found"] if not all(": " in text for text in pair)]
        assert found == [], selector
    labels = page.run("[...document.querySelectorAll('figure .label')].map((e) => e.textContent)")
    assert len(labels) == 7, "each mark has its label"
    over = page.run(
        "(() => { const edge = document.querySelector('.plot').getBoundingClientRect();"
        "return [...document.querySelectorAll('figure text')].filter((e) => {"
        "const b = e.getBoundingClientRect();"
        "return b.left < edge.left - 1 || b.right > edge.right + 1; }).map((e) => e.textContent)})()"
    )
    assert over == []
    wide = page.run("document.documentElement.scrollWidth")
    assert wide <= width, "only the boxes scroll sideways"
    assert page.run("document.querySelector('#graph').scrollWidth") > 900


@pytest.mark.parametrize("dark", [False, True])
def test_every_word_can_be_read(show, dark):
    page = show(dark=dark)
    seen = page.run(FAINT)
    assert seen["count"] > 300 and seen["faint"] == []


def test_dark_is_dark(show):
    colours = "['body', 'header', '.node', '#details'].map((s) => getComputedStyle(document.querySelector(s)).backgroundColor)"
    light, dark = (show(dark=dark).run(colours) for dark in (False, True))
    for one, other in zip(light, dark, strict=True):
        assert sum(json.loads(f"[{one[4:-1]}]")) > 3 * sum(json.loads(f"[{other[4:-1]}]"))


def test_the_chart_has_the_budget_the_limit_and_the_frontier(show):
    page = show()
    words = page.run("document.querySelector('figure').innerText")
    assert "the frontier of the best choices of bits" in words
    texts = page.run("[...document.querySelectorAll('figure text')].map((e) => e.textContent)")
    assert "budget 4.9 GiB" in texts and "limit 0.025" in texts and "0" in texts
    line = page.run("document.querySelector('.frontier').getAttribute('d')")
    assert line.count("L") == 4
    # The smaller a divergence, the lower its mark; the larger a target, the further right.
    marks = page.run(
        "[...document.querySelectorAll('.mark')].map((e) =>"
        "[e.textContent.split(':')[1], +e.getAttribute('cx'), +e.getAttribute('cy')])"
    )
    x, y = ({name: row[at] for name, *row in marks} for at in (0, 1))
    assert x["mlx-4bit"] < x["gguf-q6_k"] < x["mlx-8bit"] < x["mlx-bf16"]
    assert y["mlx-4bit"] < y["gguf-q6_k"] < y["mlx-8bit"] < y["mlx-bf16"]
    # On a log scale equal factors are equal lengths.
    bits4, bits6, bits8 = y["mlx-4bit"], y["gguf-q6_k"], y["mlx-8bit"]
    from math import log

    expected = log(0.048 / 0.0019) / log(0.0019 / 0.00041)
    assert (bits6 - bits4) / (bits8 - bits6) == pytest.approx(expected, rel=0.01)


def test_text_that_would_be_markup_or_script_is_text_wherever_it_stands(show, tmp_path):
    """Every text of a report that a stranger may have written: the page has one tag more for none."""
    path = tmp_path / "report.html"
    ours = ("id", "kind", "state", "status", "step", "checks", "targets", "target", "model", "digest",
            "at", "made_at")  # fmt: skip

    def hostile(value, key=""):
        if isinstance(value, dict):
            return {name: hostile(item, name) for name, item in value.items()}
        if isinstance(value, list):
            return [hostile(item, key) for item in value]
        return value + HOSTILE if isinstance(value, str) and key not in ours else value

    found = made_up()
    plain = {part: found.pop(part) for part in ("summary", "last_run", "bytes") if part in found}
    path.write_text(fill({**hostile(found), **plain}))
    page = show(path)
    page.click(".node")
    assert "</script><img src=x onerror=alert(1)>" in page.run("document.body.innerText")
    assert (
        page.run("document.querySelectorAll('img, iframe, b, svg script, a[href^=java]').length")
        == 0
    )
    assert page.run("document.scripts.length") == 2 and page.run("typeof window.ran") == "undefined"


def test_a_real_build_is_shown_too_and_so_is_none(show, space):
    space.manifest(
        a={"says": '{"kl": 0.02}'}, b={"keep": 9, "says": '{"kl": 0.001}'}, c={"keep": 7}
    )
    space.run("report", "-o", "before.html")
    page = show(space.root / "before.html")
    page.click(node("m:a/quantize"))
    assert "was never made" in page.run(DETAILS)
    space.run("sync")
    space.run("report")
    page = show(space.root / "report.html", width=360)
    page.click(node("m:b/quantize"))
    said = page.run(DETAILS)
    assert "m:b/quantize" in said and "keep: 9" in said and "9 B" in said
    assert page.run("document.querySelectorAll('.mark').length") == 2
    assert "Without a measured divergence: c" in page.run(
        "document.querySelector('figure').innerText"
    )
