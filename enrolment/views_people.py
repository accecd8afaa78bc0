"""The people of a whole study: one person, and how roles, second factors and accounts end."""

from typing import Any

from django.db import IntegrityError
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.urls import reverse

from enrolment import accounts, people
from enrolment.access import allowed
from enrolment.forms import EndAccessForm, EndRoleForm, ResetForm, StudyPersonForm
from enrolment.models import CentreRole
from enrolment.pages import StudyAct
from enrolment.views_set_up import about_letter, already_added
from iwrs.accounts.factors import has_second_factor
from iwrs.accounts.links import waits
from iwrs.accounts.models import StudyRole, User
from iwrs.clock import real_today
from iwrs.forms import PortalForm
from iwrs.permissions import Act
from iwrs.templatetags.portal import day


class AddStudyPerson(StudyAct):
    """Give a role in the whole study."""

    act = Act.MANAGE_PEOPLE
    form_class = StudyPersonForm
    heading = "Add a person to the study"
    explain = (
        "The role counts at all centres. A person who has an account here keeps it, and gets the "
        "role. A new person gets a letter with a link to set a password."
    )
    submit = "Give the role"

    def back(self) -> str:
        return reverse("access", args=[self.study.code])

    def perform(self, form: PortalForm) -> HttpResponse:
        typed = form.cleaned_data
        person = people.Person(typed["email"], typed["name"])
        days = people.Days(typed["since"], typed["until"])
        try:
            held = people.give_study_role(self.study, person, typed["role"], by=self.by, days=days)
        except IntegrityError:
            raise already_added() from None
        text = f"{held.user.name} is now {held.get_role_display()} in this study."
        return self.done(text + about_letter(held))


class PersonAct(StudyAct):
    """An act on the account of a person who has, or had, a role in the study."""

    act = Act.MANAGE_PEOPLE
    other: User

    def find(self, **kwargs: Any) -> None:
        super().find(**kwargs)
        self.other = get_object_or_404(accounts.people_of(self.study), pk=kwargs["pk"])

    def back(self) -> str:
        return reverse("study-person", args=[self.study.code, self.other.pk])

    def works_elsewhere(self) -> bool:
        return accounts.works_elsewhere(self.other, self.managed())

    def managed(self) -> set[str]:
        return accounts.looked_after_by(self.person)


class PersonPage(PersonAct):
    """One person: account, roles in this study, and what those who look after people can do."""

    act = Act.SEE_ACCOUNTS

    def get(self, request: HttpRequest, **kwargs: Any) -> HttpResponse:
        in_study = StudyRole.objects.filter(user=self.other, study_code=self.study.code)
        at_centres = CentreRole.objects.filter(user=self.other, centre__study=self.study)
        today = real_today()
        context = {
            "study": self.study,
            "other": self.other,
            "may_manage": allowed(self.person, Act.MANAGE_PEOPLE, self.study),
            "reads_trail": allowed(self.person, Act.SEE_AUDIT, self.study),
            "own": self.other.pk == self.person.pk,
            "in_study": [
                (each, each.until is not None and each.until < today)
                for each in in_study.order_by("role")
            ],
            "at_centres": [
                (each, each.until is not None and each.until < real_today(each.centre.time_zone))
                for each in at_centres.select_related("centre").order_by("centre__number", "role")
            ],
            "has_second_factor": has_second_factor(self.other),
            "waits": waits(self.other),
            "elsewhere": self.works_elsewhere(),
        }
        return render(request, "enrolment/study_person.html", context)

    def post(self, request: HttpRequest, **kwargs: Any) -> HttpResponse:
        return self.http_method_not_allowed(request)


class EndAccess(PersonAct):
    """End an account and its sessions at once; only the roles here, if other studies rely on it."""

    form_class = EndAccessForm
    grave = True

    def find(self, **kwargs: Any) -> None:
        super().find(**kwargs)
        self.roles_only = self.works_elsewhere()

    @property
    def heading(self) -> str:  # type: ignore[override]
        what = "roles" if self.roles_only else "account"
        return f"End the {what} of {self.other.name}"

    @property
    def submit(self) -> str:  # type: ignore[override]
        return "End the roles" if self.roles_only else "End the account"

    @property
    def explain(self) -> str:  # type: ignore[override]
        if self.roles_only:
            return (
                "This person also works in a study that you do not look after, so the account "
                f"stays open. All roles in {self.study.code} and at its centres end now."
            )
        return (
            "The account and all its sessions end now. The person gets a letter. Who runs the "
            "system can open the account again, with a new password."
        )

    def perform(self, form: PortalForm) -> HttpResponse:
        ended = accounts.end_access(
            self.other,
            self.study,
            managed=self.managed(),
            by=self.by,
            why=form.cleaned_data["why"],
        )
        if ended.account:
            return self.done(f"The account of {self.other.name} is ended, with its sessions.")
        return self.done(
            f"The roles of {self.other.name} in this study have ended: {ended.roles}. "
            "The account stays open for other studies."
        )


class ResetFactors(PersonAct):
    """Take away second factors that a person lost."""

    form_class = ResetForm
    submit = "Take the second factors away"
    grave = True

    @property
    def heading(self) -> str:  # type: ignore[override]
        return f"Reset the second factors of {self.other.name}"

    explain = (
        "App, passkeys and recovery codes are taken away, and all sessions end. The person sets up "
        "new ones at the next sign-in, with the password, and gets a letter. First make sure that "
        "it is this person who asks: call a number that you knew before."
    )

    def perform(self, form: PortalForm) -> HttpResponse:
        accounts.reset_second_factors(
            self.other,
            self.study,
            managed=self.managed(),
            by=self.by,
            why=form.cleaned_data["why"],
        )
        return self.done(f"The second factors of {self.other.name} are taken away.")


class EndStudyRole(StudyAct):
    """End a role in the whole study: now, or on a day to come."""

    act = Act.MANAGE_PEOPLE
    form_class = EndRoleForm
    submit = "End the role"
    held: StudyRole

    def find(self, **kwargs: Any) -> None:
        super().find(**kwargs)
        within = StudyRole.objects.filter(study_code=self.study.code).select_related("user")
        self.held = get_object_or_404(within, pk=kwargs["pk"])

    @property
    def heading(self) -> str:  # type: ignore[override]
        return f"End the role of {self.held.user.name}"

    @property
    def explain(self) -> str:  # type: ignore[override]
        role = self.held.get_role_display()
        return f"{role} in the whole study. Other roles of the person stay. Days are days of UTC."

    def back(self) -> str:
        return reverse("study-person", args=[self.study.code, self.held.user_id])

    def perform(self, form: PortalForm) -> HttpResponse:
        people.end_study_role(self.held, by=self.by, **form.cleaned_data)
        last_day = form.cleaned_data["last_day"]
        return self.done(
            f"The role ends on {day(last_day)}." if last_day else "The role has ended."
        )
