"""Leaks to plant in acts, gates, the supply, letters and the log. See `leaks`."""

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from random import Random
from typing import Any
from unittest.mock import patch

import structlog
from django.db import connection

from enrolment.models import Centre, Subject
from tests.blinding import coupled
from tests.blinding.leaks import ARM, PLAYING, arms, leak

__all__ = ["PLAYING", "numbers_in_boxes", "order_in_boxes", "unshuffled"]


@contextmanager
def gate_changed(database: str, name: str, *edits: tuple[str, str]) -> Iterator[None]:
    with coupled.login("owner", database) as owner:
        coupled.change_function(owner, name, *edits)
    yield


# After the kit is chosen, for one arm only.
CHOSEN = "PERFORM 1 FROM unblinded.kit_content c WHERE c.kit_id = v_kit AND c.arm = v_arm;"
REVEALING = f"IF v_arm = '{ARM}' THEN %s END IF; {CHOSEN}"


def _when_chosen(statement: str) -> Any:
    def plant(database: str) -> Iterator[None]:
        edit = (CHOSEN, REVEALING % statement)
        with gate_changed(database, "gate.assign_kit", edit):
            yield

    return plant


leak(PLAYING, "a number that is left out")(
    _when_chosen("PERFORM nextval(pg_get_serial_sequence('public.enrolment_subject', 'id'));")
)
leak(PLAYING, "one line of history more")(
    _when_chosen("UPDATE public.dispensing_kit k SET status = 'at_centre' WHERE k.id = v_kit;")
)
leak(PLAYING, "another request for what follows")(
    _when_chosen("PERFORM set_config('pghistory.context_id', gen_random_uuid()::text, true);")
)
leak(PLAYING, "one write more on the unblinded side")(
    _when_chosen(
        "UPDATE unblinded.centre_calls c SET completed = completed WHERE c.centre_id = v_centre;"
    )
)
leak(PLAYING, "a refusal for one arm only")(_when_chosen("RAISE EXCEPTION USING ERRCODE='IW003';"))


@leak(PLAYING, "another refusal for one arm")
def _(database: str) -> Iterator[None]:
    edit = (
        "IF v_kit IS NULL THEN",
        f"IF v_kit IS NULL AND v_arm = '{ARM}' THEN RAISE EXCEPTION USING ERRCODE = 'IW009';"
        " END IF; IF v_kit IS NULL THEN",
    )
    with gate_changed(database, "gate.assign_kit", edit):
        yield


@leak(PLAYING, "a place that is passed over for one arm")
def _(database: str) -> Iterator[None]:
    edit = (
        "SELECT max(k.kit_id) FILTER",
        f"IF p_arm = '{ARM}' AND v_position < 6 THEN v_position := v_position + 1;"
        " PERFORM unblinded.draw_call('cohort', v_cohort); END IF;"
        " SELECT max(k.kit_id) FILTER",
    )
    with gate_changed(database, "unblinded.take_cover_kit", edit):
        yield


@leak(PLAYING, "the randomization number")
def _(database: str) -> Iterator[None]:
    from randomization import services

    number = services.randomization_number

    def telling(subject: Subject) -> str:
        made = number(subject)
        with connection.cursor() as cursor:
            cursor.execute("RESET ROLE; SET ROLE iwrs_unblinded")
            cursor.execute(
                "SELECT arm FROM unblinded.allocation WHERE subject_id = %s", [subject.pk]
            )
            [arm] = cursor.fetchone()
            cursor.execute("SET ROLE iwrs_blinded")
        return made[:-1] + ("1" if arm == ARM else "2")

    with patch.object(services, "randomization_number", telling):
        yield


@leak(PLAYING, "visit kits of one arm are sent a week later")
def _(database: str) -> Iterator[None]:
    from dispensing.unblinded import supply

    needs, seen = supply._visit_needs, set[int]()

    def late(study: Any, as_of: Any) -> Any:
        told = arms(database)
        asked = needs(study, as_of)
        ready = [n for n in asked if n.subject not in told or n.dispensation in seen]
        seen.update(n.dispensation for n in asked)
        return ready

    with patch.object(supply, "_visit_needs", late):
        yield


@leak(PLAYING, "cover is sent again when one arm's kits are few")
def _(database: str) -> Iterator[None]:
    from dispensing.unblinded import supply

    needs = supply._cover_needs

    def one_for_one(study: Any, as_of: Any) -> Any:
        told = arms(database)
        few = Centre.objects.filter(subjects__in=told).distinct()
        asked = needs(study, as_of)
        more = [c for c in few.order_by("number") if c.pk not in {n.centre for n in asked}]
        until = supply.cover_until(study.definition, as_of)
        size = study.definition.kits.cohort_size
        return asked + [supply.CoverNeed(c.pk, size, until) for c in more if len(told) % 2]

    with patch.object(supply, "_cover_needs", one_for_one):
        yield


@leak(PLAYING, "kits of one arm expire later")
def _(database: str) -> Iterator[None]:
    from dispensing.unblinded import supply

    plan = supply.plan_supply

    def longer(lots: Any, visits: Any, covers: Any) -> Any:
        told, last = arms(database), max(lot.expires_on for lot in lots)
        changed = [replace(n, use_until=last) if n.subject in told else n for n in visits]
        return plan(lots, changed, covers)

    with patch.object(supply, "plan_supply", longer):
        yield


@leak(PLAYING, "kits are written in the order of their arms")
def _(database: str) -> Iterator[None]:
    from dispensing.unblinded import depot

    def by_arm(kits: list[int]) -> list[int]:
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT kit_id FROM unblinded.kit_content WHERE kit_id = ANY(%s)"
                " ORDER BY arm, kit_id",
                [kits],
            )
            return [pk for (pk,) in cursor.fetchall()]

    with patch.object(depot, "_by_number", by_arm):
        yield


@contextmanager
def letters_changed(database: str, change: Callable[[Any], Any]) -> Iterator[None]:
    """Change the letters about subjects who have the arm."""
    from iwrs import outbox

    write = outbox._write

    def written(message: Any) -> Any:
        letter = write(message)
        numbers = Subject.objects.filter(pk__in=arms(database)).values_list("number", flat=True)
        return change(letter) if any(n in letter.body for n in numbers) else letter

    with patch.object(outbox, "_write", written):
        yield


@leak(PLAYING, "the text of a letter")
def _(database: str) -> Iterator[None]:
    with letters_changed(database, lambda letter: replace(letter, body=letter.body + ".")):
        yield


@leak(PLAYING, "who gets a letter")
def _(database: str) -> Iterator[None]:
    def change(letter: Any) -> Any:
        return replace(letter, to=(*letter.to, "pharmacy@example.org"))

    with letters_changed(database, change):
        yield


@leak(PLAYING, "the heading of an alert")
def _(database: str) -> Iterator[None]:
    with letters_changed(database, lambda each: replace(each, subject=each.subject + " (2)")):
        yield


@leak(PLAYING, "a line of the log")
def _(database: str) -> Iterator[None]:
    from trial import services

    assign = services.assign

    def logging(first: Any, **options: Any) -> Any:
        kit = assign(first, **options)
        with connection.cursor() as cursor:
            cursor.execute("RESET ROLE; SET ROLE iwrs_unblinded")
            cursor.execute("SELECT arm FROM unblinded.kit_content WHERE kit_id = %s", [kit.pk])
            [arm] = cursor.fetchone()
            cursor.execute("SET ROLE iwrs_blinded")
        structlog.get_logger("trial").info("kit assigned", type=len(arm) + (arm == ARM))
        return kit

    with patch.object(services, "assign", logging):
        yield


@leak(PLAYING, "how often the worker is woken")
def _(database: str) -> Iterator[None]:
    from iwrs import tasks

    send = tasks._send

    def more(names: Any) -> Any:
        return send(names * (1 + len(arms(database)) % 3))

    with patch.object(tasks, "_send", more):
        yield


@contextmanager
def unshuffled(database: str) -> Iterator[None]:
    """Kits are stored in the order of their arms. Not seen under two lists of which the kits were
    stored before; the adversary sees it."""
    from dispensing.unblinded import services

    store = services._store

    def by_arm(study: Any, rows: Any, seed: Any) -> None:
        order = {kit.number: place for place, kit in enumerate(sorted(rows, key=_arm_of_row))}
        with patch.object(services, "shuffled", lambda items, _: sorted(items, key=order.get)):
            store(study, rows, seed)

    with patch.object(services, "_store", by_arm):
        yield


def _arm_of_row(kit: Any) -> str:
    return str(kit.arm)


@contextmanager
def order_in_boxes(database: str) -> Iterator[None]:
    """Boxes are packed one after another, and in each the kits of one arm come first."""
    from dispensing.unblinded import depot

    send = depot.send

    def box_by_box(kits: Mapping[int, int]) -> None:
        for box in sorted(set(kits.values())):
            send({kit: centre for kit, centre in kits.items() if centre == box})

    by_arm = PLAYING["kits are written in the order of their arms"]
    with by_arm(database), patch.object(depot, "send", box_by_box):
        yield


@contextmanager
def numbers_in_boxes(database: str) -> Iterator[None]:
    """Kits go together so that in most boxes one arm has the lower numbers. Over a whole delivery
    the numbers of all arms are alike."""
    from dispensing.unblinded import services

    ranks = services._ranks

    def lower(study: Any, rows: Any, lots: Any) -> Any:
        order = _twenty_by_twenty(rows)
        return ranks(study, sorted(rows, key=lambda kit: order[kit.number]), lots)

    with patch.object(services, "_ranks", lower):
        yield


def _twenty_by_twenty(rows: Any) -> dict[str, tuple[int, int]]:
    """Twenty kits of a lot and arm with neighbouring numbers go together, and go with the next
    twenty of the other arm; the twenties are then mixed."""
    like: dict[tuple[str, str], list[str]] = defaultdict(list)
    for kit in sorted(rows, key=lambda kit: kit.number):
        like[kit.lot, kit.arm].append(kit.number)
    order = {}
    for (_, arm), numbers in like.items():
        count = -(-len(numbers) // 20)
        mixed = Random(count).sample(range(count), count)
        for place, number in enumerate(numbers):
            order[number] = (mixed[(place // 20 + (arm == ARM)) % count], place)
    return order
