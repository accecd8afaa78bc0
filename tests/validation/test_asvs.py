"""`docs/asvs.md` names every chapter once, and real files of tests."""

import re

from tests.validation.requirements import PAGE, ROOT, read_requirements

TEXT = (ROOT / "docs" / "asvs.md").read_text(encoding="utf-8")


def test_all_seventeen_chapters_are_there_in_order() -> None:
    chapters = [int(each) for each in re.findall(r"^\| \*\*V(\d+) ", TEXT, re.MULTILINE)]
    assert chapters == list(range(1, 18))


def test_sections_are_in_order_and_named_once() -> None:
    found = re.findall(r"\bV(\d+)\.(\d+) [A-Z]", TEXT)
    sections = [(int(chapter), int(section)) for chapter, section in found]
    assert sections == sorted(set(sections))
    assert len(sections) > 70


def test_each_section_says_what_covers_it_and_names_tests_that_exist() -> None:
    rows = [line for line in TEXT.splitlines() if re.match(r"\| V\d", line)]
    assert len(rows) > 70
    for row in rows:
        section, covered, tests = (each.strip() for each in row[1:-1].split("|"))
        assert covered, section
        assert tests == "" or re.fullmatch(r"(`[\w/]+\.py`(, )?)+", tests), section
        for name in re.findall(r"`([^`]+)`", tests):
            assert (ROOT / "tests" / name).is_file(), f"{section}: {name}"


def test_links_and_requirements_exist() -> None:
    for link in re.findall(r"\]\(([^)#]+)\)", TEXT):
        assert (ROOT / "docs" / link).exists(), link
    known = {each.id for each in read_requirements(PAGE.read_text(encoding="utf-8"))}
    assert set(re.findall(r"REQ-\d{3}", TEXT)) <= known
