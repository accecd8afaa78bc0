"""A person at a site, with a real browser: phone, no JavaScript, keyboard."""

import re
from contextlib import suppress
from pathlib import Path

import pytest
from playwright.sync_api import Error, Page, expect

from enrolment.models import Subject
from iwrs import clock
from tests.browser.conftest import DESKTOP, PHONE
from tests.factories import a_randomized_subject, a_subject, arm_of

PASSWORD = "correct horse battery staple"


def answer_everything(page: Page, study) -> None:
    definition = study.definition
    for factor in definition.factors:
        choose(page, factor.question, factor.levels[0].label)
    for question in definition.eligibility:
        choose(page, question.question, "Yes" if question.kind == "include" else "No")
    page.get_by_label("ECOG performance status").select_option("1")


def choose(page: Page, question: str, answer: str) -> None:
    group = page.get_by_role("group", name=question)
    group.get_by_label(answer, exact=True).check()


def test_screen_to_first_dose_on_a_phone_without_javascript(portal, visit):
    page = visit(portal.site_coordinator, viewport=PHONE, java_script=False)
    page.get_by_role("link", name="Screen a subject").click()
    today = page.locator(".today")
    answer_everything(page, portal.study)
    page.get_by_label("Age (years)").fill("12")
    page.get_by_role("button", name="Save screening").click()
    # Two answers are wrong: the summary has the focus, and leads to each field.
    summary = page.get_by_role("alert")
    expect(summary).to_be_focused()
    summary.get_by_role("link", name=re.compile("signed the consent")).click()
    page.get_by_label("Day on which the subject signed the consent").fill("2020-01-02")
    page.get_by_label("Age (years)").fill("62")
    page.get_by_role("button", name="Save screening").click()
    expect(page.get_by_role("status")).to_contain_text("is registered")
    page.get_by_role("link", name="Randomize").click()
    page.get_by_label("Your e-mail address").fill(portal.site_coordinator.email)
    page.get_by_label("Your password").fill(PASSWORD)
    page.get_by_role("button", name=re.compile("Sign and randomize subject")).click()
    subject = Subject.objects.get()
    kit = subject.dispensations.get(number=0).kit
    expect(page.locator("p.kit")).to_have_text(kit.grouped)
    page.get_by_role("link", name="Record that the kit was handed over").click()
    page.get_by_role("button", name="Kit was handed over").click()
    page.get_by_role("link", name="Record the first dose").click()
    page.get_by_label("Day of the first dose").fill(subject_today(subject))
    page.get_by_role("button", name="Save").click()
    expect(page.locator(".timeline")).to_contain_text("First dose of the blinded drug")
    assert today.count() == 0


def subject_today(subject: Subject) -> str:
    handed_over = subject.dispensations.get(number=0).handed_over_on
    assert handed_over is not None
    return handed_over.isoformat()


@pytest.mark.requirement("REQ-003")
def test_two_clicks_on_randomize_give_one_place_and_one_answer(portal, visit):
    subject = a_subject(portal.here)
    page = visit(portal.investigator, viewport=DESKTOP)
    page.goto(f"/subjects/{subject.pk}/randomize/")
    page.get_by_label("Your e-mail address").fill(portal.investigator.email)
    page.get_by_label("Your password").fill(PASSWORD)
    page.get_by_role("button", name="randomize subject").dblclick()
    expect(
        page.get_by_role("heading", name=f"Subject {subject.number} is randomized")
    ).to_be_visible()
    assert portal.study.randomizations.count() == 1
    page.go_back()
    page.goto(f"/subjects/{subject.pk}/randomize/")
    expect(
        page.get_by_role("heading", name=f"Subject {subject.number} is randomized")
    ).to_be_visible()


@pytest.mark.requirement("REQ-048")
def test_code_is_shown_once_and_not_on_the_way_back(portal, visit):
    subject = a_randomized_subject(portal.here)
    arms = {arm.code: arm.label for arm in portal.study.definition.arms}
    treatment = arms[arm_of(subject)]
    page = visit(portal.investigator, viewport=PHONE)
    page.goto(f"/subjects/{subject.pk}/code-break/")
    page.get_by_label("Medical emergency").check()
    page.get_by_label("Why must the treatment be known?").fill("Severe reaction on 3 May")
    page.get_by_label("Type the number of the subject").fill(subject.number)
    page.get_by_label("Your e-mail address").fill(portal.investigator.email)
    page.get_by_label("Your password").fill(PASSWORD)
    page.get_by_role("button", name="Sign the request").click()
    page.get_by_role("button", name="Show the treatment once").click()
    expect(page.locator("p.answer")).to_have_text(treatment)
    page.get_by_role("link", name="I have noted it").click()
    assert treatment not in page.content()
    with suppress(Error):  # the browser kept nothing to go back to
        page.go_back()
    page.wait_for_timeout(300)
    assert treatment not in page.content()


def test_search_answers_while_typing_and_also_without_javascript(portal, visit):
    one, two = a_subject(portal.here), a_subject(portal.here, eligible=False)
    page = visit(portal.site_coordinator, viewport=DESKTOP)
    page.goto("/subjects/")
    page.get_by_label("Subject number").press_sequentially(one.number)
    expect(page.locator("#results")).to_contain_text("1 subject.")
    expect(page.locator("#results")).not_to_contain_text(two.number)
    assert f"q={one.number}" in page.url
    plain = visit(portal.site_coordinator, viewport=PHONE, java_script=False)
    plain.goto("/subjects/")
    plain.get_by_label("State").select_option("In screening")
    plain.get_by_role("button", name="Search").click()
    expect(plain.locator("#results")).to_contain_text(two.number)
    expect(plain.locator("#results")).not_to_contain_text(one.number)


def test_keyboard_reaches_the_content_first_and_every_focus_is_seen(portal, visit):
    page = visit(portal.site_coordinator, viewport=DESKTOP)
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to content")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator("main")).to_be_focused()
    for _ in range(12):
        page.keyboard.press("Tab")
        outline = page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
        tag = page.evaluate("document.activeElement.tagName")
        assert tag == "BODY" or outline == "solid", tag


# After WCAG 2.2: names and labels (1.3.1, 4.1.2), contrast (1.4.3), reflow (1.4.10), target
# size (2.5.8), language and title (3.1.1, 2.4.2). It cannot judge words or order.
RULES = (Path(__file__).parent / "rules.js").read_text(encoding="utf-8")


def listen(page: Page) -> list[str]:
    """What the browser's console says from now on."""
    said: list[str] = []
    page.on("console", lambda message: said.append(message.text))
    return said


def pages_of(portal) -> dict[str, list[str]]:
    """Addresses by the role that opens them."""
    screening = a_subject(portal.here, eligible=False)
    eligible = a_subject(portal.here)
    randomized = a_randomized_subject(portal.here)
    visit, supply = randomized.visits.first(), randomized.dispensations.first()
    code = portal.study.code
    cut = portal.study.data_cuts.create(
        cut_on=clock.today(), reason="Look", made_by="A", made_at=clock.now()
    )
    return {
        "investigator": [
            "/",
            "/subjects/",
            f"/centres/{portal.here.pk}/",
            f"/centres/{portal.here.pk}/screen/",
            *(f"/subjects/{each.pk}/" for each in (screening, eligible, randomized)),
            f"/subjects/{screening.pk}/answers/",
            f"/subjects/{screening.pk}/randomize/",
            f"/subjects/{eligible.pk}/randomize/",
            f"/subjects/{randomized.pk}/randomized/",
            f"/subjects/{randomized.pk}/code-break/",
            f"/subjects/{randomized.pk}/stop/exemestane/",
            f"/subjects/{randomized.pk}/event/death/",
            f"/visits/{visit.pk}/record/",
            f"/dispensations/{supply.pk}/hand-over/",
            "/nowhere/",
        ],
        "administrator": [
            "/",
            "/centres/",
            "/subjects/",
            f"/studies/{code}/accrual/",
            f"/studies/{code}/analysis/",
            f"/studies/{code}/open-reports/",
            f"/studies/{code}/data-cuts/{cut.pk}/open-report/",
            f"/studies/{code}/cut/",
            f"/subjects/{randomized.pk}/central-read/",
        ],
    }


@pytest.mark.parametrize("viewport", [PHONE, DESKTOP], ids=["phone", "desktop"])
def test_pages_keep_the_rules_that_a_machine_can_check(portal, visit, viewport):
    looked = 0
    for role, addresses in pages_of(portal).items():
        page = visit(getattr(portal, role), viewport=viewport)
        said = listen(page)
        for address in addresses:
            page.goto(address)
            assert page.evaluate(RULES) == [], address
            assert [text for text in said if "Content Security Policy" in text] == [], address
            looked += 1
        # The same rules hold for a page full of errors.
        if role == "investigator":
            page.goto(f"/centres/{portal.here.pk}/screen/")
            page.get_by_role("button", name="Save screening").click()
            page.get_by_role("alert").wait_for()
            assert page.evaluate(RULES) == []
    assert looked == 26
