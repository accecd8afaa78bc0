"""Loading a study definition: a plan of changes, then a version that is never edited."""

from collections.abc import Callable

from django.db import connection

from iwrs import clock
from iwrs.actors import Actor
from iwrs.acts import act
from iwrs.definition import ChangePlan, LoadedDefinition, plan_changes
from iwrs.models import Study, StudyVersion
from iwrs.problems import Problem

TRAINING_SUFFIX = "_train"
_LONGEST_TITLE = 300
_DESIGN = 1  # first key of the advisory lock on a study's design
_NEXT = {
    Study.Status.DRAFT: {Study.Status.OPEN},
    Study.Status.OPEN: {Study.Status.PAUSED, Study.Status.CLOSED},
    Study.Status.PAUSED: {Study.Status.OPEN, Study.Status.CLOSED},
    Study.Status.CLOSED: set(),
}


def lock_design(study: Study) -> None:
    """Hold the study's definition and list as they are for the rest of the act.

    Whoever changes one of them looks at the other first. It is not the lock of the study's row:
    the unblinded side, which makes the list, may not lock that row.
    """
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s, %s)", [_DESIGN, study.pk])


def code_of(loaded: LoadedDefinition, *, training: bool) -> str:
    """The code of the study that a file makes. The one for training stands beside the real one."""
    code = loaded.definition.study.code
    return f"{code}{TRAINING_SUFFIX}" if training else code


def plan(
    loaded: LoadedDefinition,
    *,
    list_exists: bool,
    training: bool = False,
    next_list: bool = False,
) -> ChangePlan:
    """What loading this file would change in the study of the same code."""
    study = Study.objects.filter(code=code_of(loaded, training=training)).first()
    old = study.definition if study else None
    return plan_changes(old, loaded.definition, list_exists=list_exists, next_list=next_list)


def load(
    loaded: LoadedDefinition,
    *,
    by: Actor,
    list_exists: Callable[[Study], bool],
    simulated: bool = False,
    training: bool = False,
    next_list: bool = False,
) -> StudyVersion:
    """Store the definition as the study's next version, or return the version that equals it.

    `list_exists` is asked while the design is locked, so that no list is approved meanwhile.
    `simulated` marks a new study for good: its data are played, and every page says so. `training`
    loads the file into a study of its own beside the real one, with its own list and subjects.
    `next_list` announces a version that comes into force when the list made for it is approved;
    a version loaded later without it takes its place. Raises `Problem` when a list exists and the
    change would alter it, or when there is no list that a next one could follow.
    """
    title = loaded.definition.study.title
    title = f"Training: {title}"[:_LONGEST_TITLE] if training else title
    with act("load study", by=by):
        study, _ = Study.objects.get_or_create(
            code=code_of(loaded, training=training),
            defaults={"title": title, "simulated": simulated, "training": training},
        )
        lock_design(study)
        study = Study.objects.select_for_update().get(pk=study.pk)
        newest = study.versions.order_by("-number").first()
        if newest and newest.sha256 == loaded.sha256 and newest.awaits_list == next_list:
            return newest
        _require_allowed(study, newest, loaded, has_list=list_exists(study), next_list=next_list)
        if not next_list:
            study.title = title
            study.definition_sha256 = loaded.sha256
            study.save(update_fields=["title", "definition_sha256"])
        return StudyVersion.objects.create(
            study=study,
            number=newest.number + 1 if newest else 1,
            definition=loaded.definition.model_dump(mode="json"),
            source=loaded.text,
            sha256=loaded.sha256,
            awaits_list=next_list,
            loaded_by=by.label,
            loaded_at=clock.now(),
        )


def _require_allowed(
    study: Study,
    newest: StudyVersion | None,
    loaded: LoadedDefinition,
    *,
    has_list: bool,
    next_list: bool,
) -> None:
    """Raise `Problem` when the file would change what subjects were allocated by, or announces a
    list that none could come before.
    """
    if next_list and not has_list:
        raise Problem(
            code="no_list_yet",
            title="The study has no list that another one could follow.",
            action="Load the file without --next-list.",
        )
    changes = plan_changes(
        study.definition if newest else None,
        loaded.definition,
        list_exists=has_list,
        next_list=next_list,
    )
    if changes.refused:
        raise Problem(
            code="definition_locked",
            title="The file would change what subjects were already allocated by.",
            action="Undo these changes in the file, or start a new study with another code.",
            errors={change.key: change.why for change in changes.refused},
        )


def take_into_force(version: StudyVersion) -> None:
    """Let an announced version come into force, within the act that takes its list into use."""
    Study.objects.filter(pk=version.study_id).update(definition_sha256=version.sha256)


def set_status(study: Study, status: str, *, by: Actor, why: str = "") -> Study:
    """Open, pause or close accrual. Closed is for good; the same again changes nothing."""
    with act("set study status", by=by, why=why):
        study = Study.objects.select_for_update().get(pk=study.pk)
        if status == study.status:
            return study
        if status not in _NEXT[Study.Status(study.status)]:
            raise _not_next(study)
        study.status = status
        study.save(update_fields=["status"])
        return study


def _not_next(study: Study) -> Problem:
    following = [
        each.label.lower() for each in Study.Status if each in _NEXT[Study.Status(study.status)]
    ]
    return Problem(
        code="study_status",
        title=f"The study is {study.get_status_display().lower()}.",
        action=f"Its next state can be: {', or '.join(following)}."
        if following
        else "It stays so.",
    )
