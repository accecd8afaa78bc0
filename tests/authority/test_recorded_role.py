"""Who may do an act in several roles does it in the first of them, and that one is recorded."""

import pytest

from enrolment.access import held_roles, require
from enrolment.models import CentreRole
from iwrs import clock
from iwrs.accounts.models import Role, StudyRole
from iwrs.permissions import Act
from tests.factories import a_centre, a_study, a_user

pytestmark = [pytest.mark.django_db, pytest.mark.requirement("REQ-025")]


def test_a_role_in_the_whole_study_comes_first_and_roles_of_one_place_by_name() -> None:
    centre = a_centre(a_study(with_list=False), cover=0, active=False)
    user = a_user(Role.MONITOR)
    held = {"user": user, "since": clock.today()}
    for role in (Role.SITE_COORDINATOR, Role.INVESTIGATOR):
        CentreRole.objects.create(centre=centre, role=role, **held)
    for role in (Role.STUDY_MANAGER, Role.AUDITOR):
        StudyRole.objects.create(study_code=centre.study.code, role=role, **held)
    assert [each.role for each in held_roles(user)] == [
        Role.AUDITOR,
        Role.STUDY_MANAGER,
        Role.INVESTIGATOR,
        Role.SITE_COORDINATOR,
    ]
    assert require(user, Act.SEE_SUBJECTS, centre).role == Role.AUDITOR
