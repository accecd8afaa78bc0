"""The shape of every page with a form: find in scope, check the act, run one service, answer."""

from typing import Any, ClassVar

from django.contrib import messages
from django.contrib.auth.mixins import LoginRequiredMixin
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.views import View

from enrolment.access import centres_for, require, studies_for, subjects_for
from enrolment.models import Centre, Subject
from iwrs.accounts.events import Caller
from iwrs.accounts.models import User
from iwrs.actors import Actor
from iwrs.audit_trail.access import record_look
from iwrs.forms import PortalForm
from iwrs.models import Study
from iwrs.permissions import Act
from iwrs.problems import Problem
from iwrs.signatures import Record, Signature
from iwrs.signatures.forms import SignedForm
from iwrs.signatures.services import sign


class Page(LoginRequiredMixin, View):
    """A page for signed-in people. `find` looks up what the address names, or raises 404."""

    by: Actor
    person: User
    # What is recorded when somebody was shown the page; empty for pages of everyday work.
    sensitive: ClassVar[str] = ""
    copied: ClassVar[bool] = False  # the answer is a copy that leaves the system
    about = ""  # of whom, or narrowed to what

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        if not isinstance(request.user, User):
            return self.handle_no_permission()
        self.person = request.user
        self.find(**kwargs)
        response = super().dispatch(request, *args, **kwargs)
        if self.sensitive and response.status_code == 200:
            self._record_look()
        return response

    def _record_look(self) -> None:
        """Before the page leaves: nobody looks without a record."""
        subject = getattr(self, "subject", None)
        study = subject.study if subject is not None else self.in_study()
        of = f"subject {subject.number}" if subject is not None else ""
        record_look(
            self.by,
            page=self.sensitive,
            study_code=study.code,
            about=", ".join(part for part in (of, self.about) if part),
            copied=self.copied,
        )

    def find(self, **kwargs: Any) -> None:
        """Set what the page is about, and `by`."""

    def in_study(self) -> Study:
        """The study that the page belongs to."""
        study: Study = self.study  # type: ignore[attr-defined]
        return study


class ActPage(Page):
    """A page with one form and one act behind it.

    GET shows the form. POST runs `perform`; a refusal comes back beside the form, with what was
    typed and the status of the `Problem`.
    """

    act: Act
    form_class: type[PortalForm] = PortalForm
    template_name = "act.html"
    heading = ""
    explain = ""
    submit = "Save"
    grave: ClassVar[bool] = False  # the button says that this cannot be undone

    def get(self, request: HttpRequest, **kwargs: Any) -> HttpResponse:
        return self.show(self.form())

    def post(self, request: HttpRequest, **kwargs: Any) -> HttpResponse:
        form = self.form(request.POST)
        if not form.is_valid():
            return self.show(form, status=422)
        try:
            return self.perform(form)
        except Problem as problem:
            form.show(problem)
            return self.show(form, status=problem.status)

    def form(self, typed: Any = None) -> PortalForm:
        """The form, empty or with what was typed."""
        return self.form_class(typed)

    def perform(self, form: PortalForm) -> HttpResponse:
        """Run the service and answer with a redirect."""
        raise NotImplementedError

    def show(self, form: PortalForm, *, status: int = 200) -> HttpResponse:
        context = {"form": form, "page": self, "back": self.back()} | self.context()
        return render(self.request, self.template_name, context, status=status)

    def context(self) -> dict[str, Any]:
        """What the template needs besides the form."""
        return {}

    def back(self) -> str:
        """The address of the page that this one belongs to."""
        return reverse("home")

    def done(self, text: str, to: str = "") -> HttpResponse:
        """Say what was done, on the page where the person goes on. Never an arm."""
        messages.success(self.request, text)
        return redirect(to or self.back())


class Signing(ActPage):
    """An act that is signed: a mixin before one of the classes below.

    The page shows a record and carries its hash. The verb refuses when the record is not that
    one any more, and keeps the signature with what was signed.
    """

    form_class: type[PortalForm] = SignedForm
    meaning: ClassVar[str]

    def record(self) -> Record:
        """What the page shows, as it is now."""
        raise NotImplementedError

    def show(self, form: PortalForm, *, status: int = 200) -> HttpResponse:
        # Before the page reads anything: what changes in between makes the hash too old, which
        # is refused, and never too new.
        self.shown = self.record().sha256
        return super().show(form, status=status)

    def sign(self, form: PortalForm) -> Signature:
        """Take the signature of the signed-in person: e-mail and password, typed now."""
        return sign(
            self.person,
            email=form.cleaned_data["signer"],
            password=form.cleaned_data["password"],
            meaning=self.meaning,
            study=self.in_study(),
            role=self.by.role,
            shown=self.request.POST.get("shown", ""),
            caller=Caller.of(self.request),
        )


class CentreAct(ActPage):
    """An act at one centre."""

    centre: Centre

    def find(self, **kwargs: Any) -> None:
        self.centre = get_object_or_404(centres_for(self.person), pk=kwargs["pk"])
        self.by = require(self.person, self.act, self.centre)

    def in_study(self) -> Study:
        return self.centre.study

    def context(self) -> dict[str, Any]:
        return {"centre": self.centre}

    def back(self) -> str:
        return reverse("centre", args=[self.centre.pk])


class SubjectAct(ActPage):
    """An act on one subject."""

    subject: Subject

    def find(self, **kwargs: Any) -> None:
        self.found(get_object_or_404(subjects_for(self.person), pk=kwargs["pk"]))

    def found(self, subject: Subject) -> None:
        """Take a subject that is in scope, and check the act."""
        self.subject = subject
        self.by = require(self.person, self.act, subject.centre)

    def in_study(self) -> Study:
        return self.subject.study

    def context(self) -> dict[str, Any]:
        return {"subject": self.subject}

    def back(self) -> str:
        return reverse("subject", args=[self.subject.pk])


class StudyAct(ActPage):
    """An act on a whole study."""

    study: Study

    def find(self, **kwargs: Any) -> None:
        self.study = get_object_or_404(studies_for(self.person), code=kwargs["code"])
        self.by = require(self.person, self.act, self.study)

    def context(self) -> dict[str, Any]:
        return {"study": self.study}
