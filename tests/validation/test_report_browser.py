"""The page in a real browser: what a reader sees and does."""

import pytest
from playwright import sync_api as playwright

from tests.validation import comparisons as made
from validation.report.html import render_page

CHROMIUM = "/usr/bin/chromium"
ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]


@pytest.fixture(scope="module")
def browser():
    with playwright.sync_playwright() as engine:
        started = engine.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield started
        started.close()


@pytest.fixture
def visit(browser, tmp_path):
    """Open a page made from comparisons; fails the test on console errors, dialogs and requests."""
    troubles = []
    opened = []

    def go(comparisons, **settings):
        file = tmp_path / "report.html"
        file.write_text(render_page(comparisons), encoding="utf-8")
        context = browser.new_context(**{"viewport": {"width": 1280, "height": 900}} | settings)
        page = context.new_page()
        page.on(
            "console", lambda message: troubles.append(message.text) if message.type in ("error", "warning") else None
        )
        page.on("pageerror", lambda error: troubles.append(str(error)))
        page.on("dialog", lambda dialog: (troubles.append("dialog"), dialog.dismiss()))
        page.on(
            "request",
            lambda request: None if request.url.startswith(("file:", "data:")) else troubles.append(request.url),
        )
        page.goto(file.as_uri())
        opened.append(context)
        return page

    yield go
    for context in opened:
        context.close()
    assert troubles == []


def unfold(page):
    """Open what is folded because all agrees, as a reader does."""
    for summary in page.locator("details.agreement:not([open]) > summary").all():
        summary.click()
    return page


def column(page, section, number):
    return page.locator(f"#{section} table.numbers tbody tr > :nth-child({number})").all_inner_texts()


def test_verdict_is_the_first_thing_read(visit):
    page = visit([made.likelihood("M1, ML"), made.disagreeing()])
    assert page.locator("h1").inner_text() == "✗ R and Python disagree in 1 of 2 comparisons"
    assert page.title().startswith("R and Python disagree")
    assert page.locator(".source").inner_text() == "Compared against live R: lme4 1.1-31 on R 4.2.2."
    assert page.locator("#comparison-2 .title .badge").inner_text() == "✗ disagrees"
    page.locator("#overview").get_by_role("link", name="M2, REML for ML").click()
    assert page.url.endswith("#comparison-2")


def test_what_agrees_is_folded_and_what_does_not_is_open(visit):
    page = visit([made.likelihood("M1, ML"), made.disagreeing(), made.bayes()])
    shown = {number: page.locator(f"#comparison-{number} .agreement") for number in (1, 2, 3)}
    assert [shown[n].get_attribute("open") is not None for n in (1, 2, 3)] == [False, True, True]  # 3: inconclusive
    assert not page.locator("#comparison-1 .checks").is_visible()
    assert page.locator("#comparison-1 table.result").is_visible()
    summary = shown[1].locator("> summary")
    assert "all" in summary.inner_text()
    summary.focus()
    page.keyboard.press("Enter")
    assert page.locator("#comparison-1 .checks").is_visible()
    page.keyboard.press("Enter")
    assert not page.locator("#comparison-1 .checks").is_visible()


def test_on_paper_nothing_stays_folded(visit):
    page = visit([made.likelihood("M1, ML")])
    page.emulate_media(media="print")
    page.evaluate("window.dispatchEvent(new Event('beforeprint'))")
    assert page.locator("#comparison-1 .checks").is_visible()
    assert page.locator("#comparison-1 .provenance dl").first.is_visible()
    page.evaluate("window.dispatchEvent(new Event('afterprint'))")
    page.emulate_media(media="screen")
    assert not page.locator("#comparison-1 .checks").is_visible()


def test_sorting_by_click_and_by_keyboard(visit):
    page = unfold(visit([made.likelihood("M1, ML", levels=40)]))
    heading = page.locator('#comparison-1 th[data-key="reference"]')
    assert heading.get_attribute("aria-sort") == "none"
    heading.get_by_role("button").click()
    assert heading.get_attribute("aria-sort") == "ascending"
    values = [float(text) for text in column(page, "comparison-1", 5)]
    assert len(values) == 25
    assert values == sorted(values)
    button = heading.get_by_role("button")
    button.focus()
    page.keyboard.press("Enter")
    assert heading.get_attribute("aria-sort") == "descending"
    values = [float(text) for text in column(page, "comparison-1", 5)]
    assert values == sorted(values, reverse=True)
    assert values[0] == 14009.426
    page.locator('#comparison-1 th[data-key="place"] button').click()
    assert heading.get_attribute("aria-sort") == "none"


def test_rows_without_a_number_sort_last_both_ways(visit):
    page = visit([made.disagreeing()])
    for _ in range(2):
        page.locator('#comparison-1 th[data-key="candidate"] button').click()
        assert column(page, "comparison-1", 6)[-1] == ""


def test_filters_by_verdict_text_and_quantity(visit):
    page = visit([made.disagreeing()])
    page.get_by_label("Verdict").select_option("disagrees")
    assert column(page, "comparison-1", 4) == ["school: (Intercept)"]
    assert "Rows 1 to 1 of 1 matching rows (of 20)" in page.locator(".status").inner_text()
    page.get_by_label("Verdict").select_option("")
    page.get_by_label("Find").fill("FEMALEf")
    assert set(column(page, "comparison-1", 4)) == {"femaleF"}
    page.get_by_label("Find").fill("no such thing")
    assert page.locator(".status").inner_text() == "No row matches (of 20)"
    page.get_by_label("Find").fill("")
    page.get_by_label("Quantity").select_option(label="BLUP")
    assert set(column(page, "comparison-1", 3)) == {"BLUP"}


def test_numbers_are_shown_as_in_the_static_rows(visit):
    """JavaScript and Python format the same: the rows before and after the script are equal."""
    comparison = made.disagreeing()
    with_script = visit([comparison])
    without = visit([comparison], java_script_enabled=False)
    for number in range(1, 12):
        assert column(with_script, "comparison-1", number) == column(without, "comparison-1", number)


def test_five_thousand_levels_stay_usable(visit):
    page = unfold(visit([made.likelihood("large", levels=5000)]))
    assert page.locator("tbody tr").count() < 40
    assert "of 5,008 rows" in page.locator(".status").inner_text()
    page.locator(".next").click()
    assert page.locator(".status").inner_text().startswith("Rows 26 to 50")
    page.get_by_label("Find").fill("school 24999")
    assert column(page, "comparison-1", 4) == ["school 24999: (Intercept)"]


def test_hostile_labels_are_inert(visit):
    page = unfold(visit([made.hostile()]))
    assert page.evaluate("window.hacked") is None
    assert page.locator("h1").is_visible()  # no style of theirs hides the page
    assert page.locator("img").count() == 0
    page.locator('th[data-key="place"] button').click()
    page.get_by_label("Rows").select_option("500")
    texts = column(page, "comparison-1", 4)
    assert any(made.HOSTILE[0] in text for text in texts)
    assert any("{{ 7*7 }}" in text for text in texts)
    page.get_by_label("Find").fill("</script>")
    assert column(page, "comparison-1", 4)
    assert page.evaluate("window.hacked") is None


@pytest.mark.parametrize("width", [360, 768, 1600])
def test_nothing_sticks_out(visit, width):
    page = unfold(visit([made.likelihood(), made.hostile(), made.bayes()], viewport={"width": width, "height": 800}))
    assert page.evaluate("document.documentElement.scrollWidth") <= width


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_is_readable_in_light_and_dark(visit, scheme):
    """Contrast of at least 4.5 : 1 (WCAG 2.2, 1.4.3) for every kind of text on the page."""
    page = unfold(visit([made.disagreeing(), made.bayes()], color_scheme=scheme))
    poor = page.evaluate(
        """() => {
        const rgb = (text) => text.match(/[\\d.]+/g).map(Number);
        const light = ([r, g, b]) => [r, g, b].map((v) => v / 255)
            .map((v) => (v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4))
            .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
        const paper = (node) => {
            for (let at = node; at; at = at.parentElement) {
                const found = rgb(getComputedStyle(at).backgroundColor);
                if (found.length < 4 || found[3] === 1) return found;
            }
            return [255, 255, 255];
        };
        const poor = [];
        for (const node of document.querySelectorAll("body *:not(script):not(style)")) {
            if (![...node.childNodes].some((child) => child.nodeType === 3 && child.textContent.trim())) continue;
            const style = getComputedStyle(node);
            if (node.closest("svg") || node.disabled) continue;
            const [a, b] = [light(rgb(style.color)), light(paper(node))].sort((x, y) => y - x);
            const ratio = (a + 0.05) / (b + 0.05);
            if (ratio < 4.5) poor.push([node.className, node.textContent.slice(0, 30), ratio]);
        }
        return poor;
    }"""
    )
    assert poor == []


def test_every_control_has_a_name_and_is_reached_by_keyboard(visit):
    page = visit([made.disagreeing()])
    assert page.locator("button, input, select, summary, a").count() > 12
    for role in ("button", "searchbox", "combobox", "link"):
        for control in page.get_by_role(role).all():
            assert control.evaluate("node => (node.textContent || node.labels[0].textContent).trim()")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Skip to the overview"


def test_prints_on_paper(visit):
    page = visit([made.disagreeing(), made.likelihood()])
    paper = page.pdf(format="A4")
    assert paper.startswith(b"%PDF")
    assert paper.count(b"/Type /Page\n") + paper.count(b"/Type /Page>") + paper.count(b"/Type /Page ") >= 1


def test_on_paper_remarks_have_room(visit):
    """Squeezed to a word a line, a remark took half a page."""
    page = visit([made.disagreeing()], viewport={"width": 718, "height": 1000})  # A4 between its margins
    page.emulate_media(media="print")
    widths = page.evaluate("[...document.querySelectorAll('table.numbers td.reason')].map(e => e.clientWidth)")
    assert widths
    assert min(widths) > 130
