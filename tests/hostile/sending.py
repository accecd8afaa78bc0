"""What every hostile form, search and address is held to, on both sites."""

from collections.abc import Iterable
from dataclasses import replace

from django.http import HttpResponse

from tests.hostile.texts import DAYS, SEARCHED, TEXTS, names_in_turn, some_in_turn
from tests.hostile.walk import Field, Form, Opened, state_of_the_database, stored, undone

A_DAY = {"date": "", "datetime-local": "T10:00"}  # kind of a field, and what follows the day
UNREAD = {"sign-out", "download-extract", "emergency-procedure"}
COPIES = {"audit-csv", "audit-pdf"}
# Read from the address beside what a search asks.
BESIDE = ("before", "page", "next", "again", "seen")
# Where a page of the trail ends: time, table and key.
HOSTILE_PLACES = (
    "0001-01-01T00:00:00.000000~enrolment.subject~1",
    "9999-12-31T23:59:59.999999~enrolment.subject~-1",
    "2024-01-01T00:00:00.000000~'; --~1",
    f"2024-01-01T00:00:00.000000~enrolment.subject~{'9' * 400}",
    "2024-01-01T00:00:00.000000~a\x00~1",
)
# That somebody read a sensitive page is recorded.
LOOKS = ("public.audit_access", "unblinded.audit_access")

REFUSALS = {400, 403, 404, 409, 410, 413, 422, 429}


def check(form: Form, fields: list[Field], text: str, before: str) -> bool:
    """Send `text` in these fields. True when the act was done; then a free text is kept."""
    where = f"{form.page} {[each.name for each in fields]} {text[:60]!r}"
    with undone():
        answer = form.post(form.typed(**{each.name: text for each in fields}))
        assert answer.status_code in {302} | REFUSALS, f"{where}: {answer.status_code}"
        shown = [answer]
        if answer.status_code == 302:
            assert "\n" not in answer.headers["Location"], where
            shown.append(form.open(answer.headers["Location"]))
        else:
            assert state_of_the_database() == before, f"{where}: refused, but something changed"
        for page in shown:
            assert_escaped(page, text, where)
        done = answer.status_code == 302
        if done and all(each.free for each in fields):
            kept = text.strip().replace("\r\n", "\n")
            assert stored(kept) or stored(text.strip()) or stored(kept.lower()), where
    return done


def assert_escaped(page: HttpResponse, text: str, where: str) -> None:
    """Neither markup nor a template of `text` comes to life in the page."""
    assert page.status_code < 500, where
    if "attachment" in page.headers.get("Content-Disposition", ""):
        return  # a file for another program, which no browser shows as a page
    content = page.content.decode()
    for live in ("<script>alert", "<img src=x", '" autofocus onfocus', "</textarea></title>"):
        assert live not in content, where
    if "7*7" in text:
        assert "49{" not in content, where
    assert "Set-Cookie: iwrs_blinded_session=x" not in str(page.headers), where


def check_days(form: Form, before: str, turn: int, *, every: bool) -> int:
    """Send days that are none to what asks for a day, and to hidden values. The number sent to
    fields of days, which must refuse them.
    """
    sent = 0
    # The answers above that box are not read when it is ticked.
    form = replace(form, fields=[each for each in form.fields if each.name != "in_error"])
    for at in form.fields:
        if at.kind in A_DAY:
            for day in DAYS.values():
                assert not check(form, [at], day + A_DAY[at.kind], before), (form.page, at.name)
                sent += 1
        elif at.kind == "hidden":
            for day in some_in_turn(DAYS.values(), turn, some=1, every=every):
                check(form, [at], day, before)
    return sent


def check_search(form: Form, at: str, text: str, address: str = "") -> None:
    """Ask with `text` in one field: answered or refused in words, and nothing comes to life."""
    where = f"{address or form.address}?{at}={text[:60]!r}"
    answer = form.open(address or form.address, form.typed(**{at: text}))
    assert answer.status_code in {200} | REFUSALS, f"{where}: {answer.status_code}"
    assert_escaped(answer, text, where)


def check_searches(pages: Iterable[Opened], *, copies: dict[str, str], every: bool) -> set[str]:
    """Hostile texts in each field of every search. `copies`: addresses that read the trail's
    search too. The names of the fields.
    """
    before, turn = state_of_the_database(but=LOOKS), 0
    searched = set()
    for form in (form for page in pages for form in page.searches):
        for at in form.fields:
            searched.add(at.name)
            turn += 1
            for name in names_in_turn(turn, every):
                check_search(form, at.name, TEXTS[name])
            for day in DAYS.values() if at.kind in A_DAY else ():
                for address in ("", *(copies.values() if form.page == "audit" else ())):
                    check_search(form, at.name, day, address)
        for name in BESIDE:
            turn += 1
            for kind in some_in_turn(SEARCHED, turn, some=2, every=every):
                check_search(form, name, TEXTS[kind])
        for place in HOSTILE_PLACES:
            check_search(form, "before", place)
    assert state_of_the_database(but=LOOKS) == before
    return searched


def check_addresses(pages: Iterable[Opened], *, every: bool) -> None:
    """Search words, page numbers and onward addresses are typed by people too."""
    before = state_of_the_database(but=LOOKS)
    for turn, page in enumerate(pages):
        for kind in some_in_turn(SEARCHED, turn, some=4, every=every):
            asked = dict.fromkeys(("q", "status", "centre", *BESIDE), TEXTS[kind])
            answer = page.browser.get(page.address, asked)
            assert answer.status_code < 500, f"{page.page} {kind}"
            assert_escaped(answer, TEXTS[kind], f"{page.page} {kind}")
    assert state_of_the_database(but=LOOKS) == before
