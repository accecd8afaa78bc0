"""The pages by which a study is put to use: add centres, let people in, open accrual."""

from typing import Any

from django.conf import settings
from django.db import IntegrityError
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse

from enrolment import accounts, people, services
from enrolment.access import centres_for
from enrolment.accrual import close_centre, set_country_status
from enrolment.forms import (
    AccrualForm,
    CentreForm,
    ClosingForm,
    CountryForm,
    EndRoleForm,
    PersonForm,
)
from enrolment.models import CentreRole
from enrolment.pages import CentreAct, StudyAct
from enrolment.places import countries
from iwrs import clock
from iwrs.accounts.links import MOST_LETTERS, waiting, waits
from iwrs.accounts.models import StudyRole
from iwrs.accounts.services import password_link
from iwrs.clock import real_today
from iwrs.forms import PortalForm
from iwrs.models import Study
from iwrs.permissions import Act
from iwrs.problems import Invalid, Problem
from iwrs.studies import set_status
from iwrs.templatetags.portal import day

STEPS = {
    Study.Status.DRAFT: {Study.Status.OPEN: "Open accrual"},
    Study.Status.OPEN: {
        Study.Status.PAUSED: "Pause accrual for a time",
        Study.Status.CLOSED: "Close accrual",
    },
    Study.Status.PAUSED: {
        Study.Status.OPEN: "Open accrual again",
        Study.Status.CLOSED: "Close accrual",
    },
    Study.Status.CLOSED: {Study.Status.OPEN: "Open accrual again"},
}


class AddCentre(StudyAct):
    act = Act.MANAGE_CENTRES
    form_class = CentreForm
    heading = "Add a centre"
    explain = "The centre cannot enrol before you activate it."
    submit = "Add the centre"

    def back(self) -> str:
        return reverse("centres")

    def perform(self, form: PortalForm) -> HttpResponse:
        typed = form.cleaned_data
        approved = typed["ethics_approved_on"]
        if approved is not None and approved > clock.today(typed["time_zone"]):
            raise Invalid({"ethics_approved_on": "This day is in the future."})
        taken = Invalid(
            {"number": f"Centre {typed['number']} exists already. Give another number."}
        )
        if self.study.centres.filter(number=typed["number"]).exists():
            raise taken
        country = countries()[typed["country_code"]]
        try:
            centre = services.add_centre(self.study, by=self.by, country_name=country, **typed)
        except IntegrityError:  # sent twice at once: the other one won
            raise taken from None
        return self.done(f"Centre {centre.number} is added.", reverse("centre", args=[centre.pk]))


class ChangeAccrual(StudyAct):
    """Open, pause or close accrual, with a reason."""

    act = Act.MANAGE_ACCRUAL
    heading = "Open, pause or close accrual"
    submit = "Save"

    @property
    def explain(self) -> str:  # type: ignore[override]
        state = self.study.get_status_display()
        return f"State now: {state}. Subjects who are randomized go on in every state."

    def form(self, typed: Any = None) -> PortalForm:
        return AccrualForm(list(STEPS[Study.Status(self.study.status)].items()), typed)

    def back(self) -> str:
        return reverse("accrual", args=[self.study.code])

    def perform(self, form: PortalForm) -> HttpResponse:
        typed = form.cleaned_data
        study = set_status(self.study, typed["status"], by=self.by, why=typed["why"])
        return self.done(f"State of the study: {study.get_status_display()}.")


class CountryAccrualPage(StudyAct):
    """Pause, open again or close accrual in one country, with a reason."""

    act = Act.MANAGE_ACCRUAL
    heading = "Pause or close accrual in a country"
    submit = "Save"

    @property
    def explain(self) -> str:  # type: ignore[override]
        states = self.study.countries.order_by("country_code")
        now = ", ".join(f"{each.country_code} {each.get_status_display()}" for each in states)
        return (
            f"State now: {now or 'open in every country'}. It counts for all centres of the "
            "country. Subjects who are randomized go on in every state. Closed is for good."
        )

    def form(self, typed: Any = None) -> PortalForm:
        rows = self.study.centres.order_by("country_name")
        return CountryForm(rows.values_list("country_code", "country_name").distinct(), typed)

    def back(self) -> str:
        return reverse("accrual", args=[self.study.code])

    def perform(self, form: PortalForm) -> HttpResponse:
        typed = form.cleaned_data
        found = set_country_status(
            self.study, typed["country"], typed["status"], by=self.by, why=typed["why"]
        )
        return self.done(f"Accrual in {found.country_code}: {found.get_status_display()}.")


class CloseCentre(CentreAct):
    act = Act.MANAGE_CENTRES
    form_class = ClosingForm
    heading = "Close the centre"
    explain = "No new subjects, for good. Subjects in the study go on. This cannot be undone."
    submit = "Close"
    grave = True

    def perform(self, form: PortalForm) -> HttpResponse:
        close_centre(self.centre, by=self.by, why=form.cleaned_data["why"])
        return self.done("The centre is closed.")


class People(CentreAct):
    """Who has a role at a centre, now or before."""

    act = Act.MANAGE_PEOPLE

    def get(self, request: HttpRequest, **kwargs: Any) -> HttpResponse:
        roles = self.centre.roles.select_related("user").order_by("user__name", "role")
        today = real_today(self.centre.time_zone)
        now = [each for each in roles if each.until is None or each.until >= today]
        invited = waiting(each.user for each in now)
        context = {
            "centre": self.centre,
            "now": [(each, each.user_id in invited) for each in now],
            "before": [each for each in roles if each not in now],
        }
        return render(request, "enrolment/people.html", context)

    def post(self, request: HttpRequest, **kwargs: Any) -> HttpResponse:
        return self.http_method_not_allowed(request)


class AddPerson(CentreAct):
    act = Act.MANAGE_PEOPLE
    form_class = PersonForm
    heading = "Add a person"
    explain = "A person who has an account here keeps it, and gets the role."
    submit = "Give the role"

    def back(self) -> str:
        return reverse("people", args=[self.centre.pk])

    def perform(self, form: PortalForm) -> HttpResponse:
        typed = form.cleaned_data
        person = people.Person(typed["email"], typed["name"])
        try:
            days = people.Days(typed["since"], typed["until"])
            held = people.add_to_centre(self.centre, person, typed["role"], by=self.by, days=days)
        except IntegrityError:  # sent twice at once: the other one won
            raise already_added() from None
        text = f"{held.user.name} is now {held.get_role_display()} at this centre."
        text += about_letter(held)
        if not waits(held.user):
            return self.done(text)
        return self.done(text, reverse("person-link", args=[held.pk]))


def about_letter(held: CentreRole | StudyRole) -> str:
    """What became of the invitation of a person who was given a role just now."""
    if held.invited:
        return f" A letter with a link to set the password goes to {held.user.email}."
    if waits(held.user):
        return f" No letter was sent: {MOST_LETTERS} went to this person within an hour."
    return ""


def already_added() -> Problem:
    """What a person reads whose page was sent twice at once."""
    return Problem(
        code="person_known",
        title="This person was added a moment ago.",
        action="Look at the list of people. You can send this page again.",
    )


class RoleAct(CentreAct):
    """An act on one role at a centre."""

    act = Act.MANAGE_PEOPLE
    held: CentreRole

    def find(self, **kwargs: Any) -> None:
        within = CentreRole.objects.filter(centre__in=centres_for(self.person))
        self.held = get_object_or_404(within.select_related("user"), pk=kwargs["pk"])
        super().find(pk=self.held.centre_id)

    def back(self) -> str:
        return reverse("people", args=[self.centre.pk])


class PersonLink(RoleAct):
    """The invitation of a new person: send the letter again, or give the link oneself.

    Only while the account was never used: by a link for a living account, who manages people could
    take it over and sign in the person's name. For the same reason no link is shown of a person
    who also works in a study that others look after; the letter goes to the person alone.
    """

    template_name = "enrolment/person_link.html"
    submit = "Send the letter again"

    @property
    def heading(self) -> str:  # type: ignore[override]
        return f"Invitation of {self.held.user.name}"

    def get(self, request: HttpRequest, **kwargs: Any) -> HttpResponse:
        return super().get(request, **kwargs) if self._waits() else redirect(self.back())

    def post(self, request: HttpRequest, **kwargs: Any) -> HttpResponse:
        return super().post(request, **kwargs) if self._waits() else redirect(self.back())

    def _waits(self) -> bool:
        return waits(self.held.user)

    def context(self) -> dict[str, Any]:
        user, link = self.held.user, ""
        if not accounts.works_elsewhere(user, accounts.looked_after_by(self.person)):
            link = settings.PORTAL_URL.rstrip("/") + password_link(user)
        return {"centre": self.centre, "held": self.held, "link": link}

    def perform(self, form: PortalForm) -> HttpResponse:
        people.invite_again(self.held.user, by=self.by)
        return self.done(f"A letter is on its way to {self.held.user.email}.")


class EndRole(RoleAct):
    form_class = EndRoleForm
    submit = "End the role"

    @property
    def heading(self) -> str:  # type: ignore[override]
        return f"End the role of {self.held.user.name}"

    @property
    def explain(self) -> str:  # type: ignore[override]
        role = self.held.get_role_display()
        return f"{role}. Other roles of the person stay."

    def perform(self, form: PortalForm) -> HttpResponse:
        people.end_centre_role(self.held, by=self.by, **form.cleaned_data)
        last_day = form.cleaned_data["last_day"]
        return self.done(
            f"The role ends on {day(last_day)}." if last_day else "The role has ended."
        )
