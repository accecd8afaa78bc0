"""Emergency holders: who can open the sealed packs when the system is down, and their keys."""

from django.db.models import QuerySet

from dsmb.unblinded.keys import wrong_key
from dsmb.unblinded.models import EmergencyHolder
from iwrs import clock
from iwrs.actors import Actor
from iwrs.acts import act
from iwrs.models import Study
from iwrs.problems import Invalid, Problem


def current_holders(study: Study) -> QuerySet[EmergencyHolder]:
    """The holders whose keys open the packs that are made now."""
    return EmergencyHolder.objects.filter(study=study, ended_at=None).order_by("pk")


def register_holder(
    study: Study,
    *,
    name: str,
    who: str,
    public_key: str,
    by: Actor,
    replaces: EmergencyHolder | None = None,
) -> EmergencyHolder:
    """Register an emergency holder with an age public key, for all centres of the study.

    `who` is the holder's duty, organization and telephone. The holder that is replaced is ended in
    the same act; the row stays. Packs made before stay sealed to the old key. Raises `Invalid`
    with one text a field, and `Problem` when the replaced holder is no holder any more.
    """
    key = public_key.strip()
    problems = _missing(name, who) | ({"public_key": wrong} if (wrong := wrong_key(key)) else {})
    if problems:
        raise Invalid(problems)
    with act("register emergency holder", by=by):
        current = current_holders(study).select_for_update()
        if replaces is not None:
            _end(current, replaces, by)
        if current.filter(public_key=key).exists():
            raise Invalid({"public_key": "A holder of this study has this key already."})
        return EmergencyHolder.objects.create(
            study=study,
            name=name.strip(),
            who=who.strip(),
            public_key=key,
            registered_by=by.label,
            registered_at=clock.study_now(study.replay_now),
        )


def end_holder(holder: EmergencyHolder, *, by: Actor, why: str) -> None:
    """End a holder. Packs made from now on are not sealed to this key; older ones still are."""
    if not why.strip():
        raise Invalid({"why": "Say why this person is no holder any more."})
    with act("end emergency holder", by=by, why=why.strip()):
        _end(current_holders(holder.study).select_for_update(), holder, by)


def _missing(name: str, who: str) -> dict[str, str]:
    problems = {}
    if not name.strip():
        problems["name"] = "Give the holder's name."
    if not who.strip():
        problems["who"] = "Say who the holder is, and how to reach the holder at any time."
    return problems


def _end(current: QuerySet[EmergencyHolder], holder: EmergencyHolder, by: Actor) -> None:
    row = current.filter(pk=holder.pk).first()
    if row is None:
        raise Problem(
            code="holder_ended",
            title="This person is no emergency holder of the study any more.",
            action="Look at the list of holders again.",
        )
    row.ended_by, row.ended_at = by.label, clock.study_now(row.study.replay_now)
    row.save(update_fields=["ended_by", "ended_at"])
