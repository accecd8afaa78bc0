"""Kit numbers: what a check digit must catch, and that numbers say nothing."""

import itertools

import pytest

from dispensing import kit_number
from dispensing.unblinded.numbers import draw_numbers, plan_lots, stream, vendor_csv
from iwrs.problems import Invalid
from tests.factories import at, small_definition

SEED = bytes(range(32))


def numbers(count: int = 400) -> list[str]:
    return draw_numbers(count, stream("test", SEED))


def test_every_wrong_digit_is_caught():
    for number in numbers(100):
        for place in range(7):
            for digit in set("0123456789") - {number[place]}:
                assert not kit_number.is_valid(number[:place] + digit + number[place + 1 :])


def test_every_swap_of_neighbours_is_caught():
    for number in numbers():
        for place in range(6):
            left, right = number[place], number[place + 1]
            if left != right:
                swapped = number[:place] + right + left + number[place + 2 :]
                assert not kit_number.is_valid(swapped)


def test_a_fault_says_what_is_wrong():
    number = numbers(1)[0]
    assert kit_number.fault(number) == ""
    assert "7 digits" in kit_number.fault(number[:6])
    assert "7 digits" in kit_number.fault("１２３４５６７")  # digits, but not ASCII
    assert "check digit" in kit_number.fault(number[:6] + str((int(number[6]) + 1) % 10))


@pytest.mark.requirement("REQ-053")
def test_numbers_are_different_and_in_random_order():
    drawn = numbers(5000)
    assert len(set(drawn)) == 5000
    assert all(kit_number.is_valid(number) for number in drawn)
    rises = sum(a < b for a, b in itertools.pairwise(drawn))
    assert 2350 < rises < 2650  # 5,000 in random order rise about half the time (sd 20)


def test_a_second_delivery_repeats_no_number():
    first = draw_numbers(300, stream("test", SEED))
    second = draw_numbers(300, stream("test", SEED), skip=300)
    assert not set(first) & set(second)


def test_too_many_numbers_are_refused():
    with pytest.raises(ValueError, match="At most"):
        draw_numbers(450_001, stream("test", SEED))


def test_a_delivery_has_every_arm_in_every_lot():
    definition = small_definition().definition
    lots = plan_lots(3, first_expiry=at(2010, 6, 30).date(), months_apart=4)
    text = vendor_csv(definition, kits=60, seed="a", lots=lots)
    header, *rows = [line.split(",") for line in text.splitlines()]
    assert header == ["kit_number", "content", "lot", "expiry"]
    counts: dict[tuple[str, str, str], int] = {}
    for _, arm, lot, expiry in rows:
        counts[lot, arm, expiry] = counts.get((lot, arm, expiry), 0) + 1
    assert set(counts.values()) == {10}
    assert {(lot, expiry) for lot, _, expiry in counts} == {
        ("L01", "2010-06-30"),
        ("L02", "2010-10-31"),
        ("L03", "2011-02-28"),
    }


def test_a_seed_gives_one_file_and_no_seed_a_new_one():
    definition = small_definition().definition
    lots = plan_lots(1, first_expiry=at(2030, 1, 1).date(), months_apart=1)
    assert vendor_csv(definition, kits=20, seed=1, lots=lots) == vendor_csv(
        definition, kits=20, seed=1, lots=lots
    )
    assert vendor_csv(definition, kits=20, lots=lots) != vendor_csv(definition, kits=20, lots=lots)


def test_kits_that_cannot_be_shared_evenly_are_refused():
    definition = small_definition().definition
    with pytest.raises(Invalid, match="multiple of 8"):
        vendor_csv(definition, kits=20)
