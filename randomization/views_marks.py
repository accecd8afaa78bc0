"""The pages for a randomization that was wrong: the mark for good, and the verified stratum."""

from typing import Any

from django import forms
from django.http import Http404, HttpResponse

from enrolment.pages import Signing, SubjectAct
from iwrs.forms import PortalForm, choice_field, reason_field
from iwrs.permissions import Act
from iwrs.signatures import Record
from iwrs.signatures.forms import SignedForm
from randomization.marks import levels_now, mark_in_error, randomization_record, verify_stratum
from randomization.models import Randomization


class MarkForm(SignedForm):
    reason = reason_field("Why should the subject not have been randomized?", longest=2000)


class StratumForm(SignedForm):
    """One question a factor, answered as it stands, and how the right answer is known."""

    def __init__(self, randomization: Randomization, *args: Any, **kwargs: Any) -> None:
        now = {f"strata.{key}": level for key, level in levels_now(randomization).items()}
        super().__init__(*args, initial=now, **kwargs)
        questions: dict[str, forms.Field] = {
            f"strata.{factor.key}": choice_field(
                factor.question,
                [(level.key, level.label) for level in factor.levels],
                help_text=factor.help,
                in_a_row=True,
            )
            for factor in randomization.subject.study.definition.factors
        }
        why = reason_field("What was wrong, and how do you know?", longest=2000)
        self.fields = questions | {"reason": why} | self.fields


class _OfRandomization(Signing, SubjectAct):
    act = Act.CORRECT
    template_name = "randomization/wrong.html"
    randomization: Randomization

    def find(self, **kwargs: Any) -> None:
        super().find(**kwargs)
        found = Randomization.objects.filter(subject=self.subject).first()
        if found is None:
            raise Http404
        self.randomization = found
        self.randomization.subject = self.subject

    def record(self) -> Record:
        return randomization_record(self.subject, self.randomization)

    def context(self) -> dict[str, Any]:
        factors = self.subject.study.definition.factors
        labels = {f.key: {level.key: level.label for level in f.levels} for f in factors}
        now = levels_now(self.randomization)
        used = self.subject.strata
        rows = [
            (f.question, labels[f.key].get(used[f.key]), labels[f.key].get(now[f.key]))
            for f in factors
        ]
        return {"subject": self.subject, "randomization": self.randomization, "rows": rows}


class MarkInError(_OfRandomization):
    """Mark, for good and with a signature, that the subject should not have been randomized."""

    form_class = MarkForm
    heading = "Mark as randomized in error"
    explain = (
        "The mark cannot be taken back. The place in the list stays used, and the subject stays in "
        "the analysis as randomized. Visits and kits go on. To stop a drug, record that as well."
    )
    submit = "Sign the mark"
    grave = True
    meaning = "This subject should not have been randomized"

    def perform(self, form: PortalForm) -> HttpResponse:
        mark_in_error(
            self.subject,
            by=self.by,
            reason=form.cleaned_data["reason"],
            signature=self.sign(form),
        )
        return self.done("The subject is marked as randomized in error.")


class VerifyStratum(_OfRandomization):
    """Record, with a signature, the stratum that the subject really belongs to."""

    heading = "Record the verified stratum"
    explain = (
        "What the allocation used stays as it is, and is what the analysis uses. What you give "
        "here is recorded and shown beside it."
    )
    submit = "Sign the verified stratum"
    meaning = "I verified these answers from the source"

    def form(self, typed: Any = None) -> PortalForm:
        return StratumForm(self.randomization, typed)

    def perform(self, form: PortalForm) -> HttpResponse:
        verify_stratum(
            self.subject,
            form.named("strata"),
            by=self.by,
            reason=form.cleaned_data["reason"],
            signature=self.sign(form),
        )
        return self.done("The verified stratum is recorded.")
