"""The page that unblinds a whole study."""

from typing import Any, ClassVar

from django.http import HttpResponse

from dsmb.unblinded.unblinding import due, unblind, waiting
from enrolment.pages import Signing, StudyAct
from iwrs.forms import PortalForm
from iwrs.permissions import Act
from iwrs.problems import Problem
from iwrs.signatures import Record
from iwrs.signatures.services import signatures_of
from randomization.unblinded.records import unblinding_record


class UnblindStudy(Signing, StudyAct):
    """Sign the unblinding. The second signature opens every treatment, for good."""

    act = Act.UNBLIND_STUDY
    template_name = "dsmb/unblinded/unblind.html"
    heading = "Unblind the whole study"
    explain = (
        "Every subject's treatment becomes readable for the blinded side, with proofs. Two people "
        "sign. After the second signature nobody can take it back."
    )
    submit = "Sign the unblinding of the study"
    grave = True
    # It gives the overall number of events at a cut, as the open report does.
    sensitive: ClassVar[str] = "the unblinding of the study"
    meaning = "The whole study is to be unblinded now, as its definition says"

    def find(self, **kwargs: Any) -> None:
        super().find(**kwargs)
        self.not_due = ""
        self.made = waiting(self.study)
        if self.made is None:
            try:
                self.made = due(self.study)
            except Problem as problem:
                self.not_due = str(problem)

    def record(self) -> Record:
        if self.made is None:
            return Record("unblinding not due", self.study.pk, {"study": self.study.code})
        return unblinding_record(self.made)

    def context(self) -> dict[str, Any]:
        signed = signatures_of([self.record()]) if self.made and self.made.pk else []
        return super().context() | {
            "made": self.made,
            "not_due": self.not_due,
            "condition": self.study.definition.unblinded_at,
            "signatures": signed,
        }

    def perform(self, form: PortalForm) -> HttpResponse:
        made = unblind(self.study, by=self.by, signature=self.sign(form))
        return self.done(
            "The study is unblinded." if made.second_by else "Signed. A second person must sign."
        )
