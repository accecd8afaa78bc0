"""What the audit trail is narrowed to, and the review of a period."""

from datetime import UTC, date, datetime, time, timedelta
from typing import Any

from django import forms

from enrolment.models import Subject
from iwrs.forms import PortalForm, date_field, reason_field
from iwrs.models import Study
from trial.audit.sources import sources
from trial.audit.trail import Filter, accounts_of
from trial.audit.words import CODE_BREAK_FIELDS, field_label, is_of_code_breaks, is_silent, noun


def _text(label: str, help_text: str = "") -> forms.CharField:
    return forms.CharField(label=label, required=False, max_length=200, help_text=help_text)


class TrailFilter(PortalForm):
    """Every part may stay open. A wrong one is said, and then nothing is shown."""

    subject = _text("Subject number")
    by = _text("Person or system", "Part of a name or an e-mail address")
    account = _text("Account concerned", "Part of the name or e-mail address of its person")
    act = _text("Act", "Part of its name, for example: randomize")
    what = forms.ChoiceField(
        label="What was changed",
        required=False,
        error_messages={"invalid_choice": "Choose one of the answers shown."},
    )
    text = _text("Text", "Part of a value or of a reason")
    since = date_field("From (day in UTC)", required=False)
    until = date_field("To (day in UTC)", required=False)

    def __init__(
        self, study: Study, typed: Any, *, subject: Subject | None = None, code_breaks: bool = True
    ) -> None:
        super().__init__(typed)
        self._study, self._subject, self._code_breaks = study, subject, code_breaks
        self.fields["what"].choices = _kinds(code_breaks, of_subjects=subject is not None)  # type: ignore[attr-defined]
        if subject is not None:
            del self.fields["subject"], self.fields["account"]

    def clean_subject(self) -> Subject | None:
        number = self.cleaned_data["subject"].strip()
        if not number:
            return None
        found = Subject.objects.filter(study=self._study, number=number).first()
        if found is None:
            raise forms.ValidationError("No subject of this study has this number.")
        return found

    def clean(self) -> dict[str, Any]:
        typed = self.cleaned_data
        if typed.get("since") and typed.get("until") and typed["until"] < typed["since"]:
            self.add_error("until", "This day is before the first day.")
        return typed

    def wanted(self) -> Filter:
        """The filter that was typed. Only of a valid form."""
        typed = self.cleaned_data
        table, _, field = typed["what"].partition(":")
        subject = self._subject or typed.get("subject")
        account = typed.get("account", "").strip()
        return Filter(
            study=self._study,
            subjects=(subject.pk,) if subject is not None else None,
            accounts=accounts_of(self._study, account) if account else None,
            by=typed["by"].strip(),
            act=typed["act"].strip(),
            tables=(table,) if table else (),
            field=field,
            text=typed["text"].strip(),
            since=begin_of(typed["since"]) if typed["since"] else None,
            until=begin_of(typed["until"]) + timedelta(days=1) if typed["until"] else None,
            code_breaks=self._code_breaks,
        )

    def told(self) -> str:
        """The filter in words, for copies and for the record of who looked."""
        given = [
            f"{bound.label}: {bound.value()}" for bound in self if bound.value() not in (None, "")
        ]
        return "; ".join(given) or "everything"


class ReviewForm(PortalForm):
    until = date_field("Reviewed to the end of this day (UTC)")
    notes = reason_field(
        "What you looked at, and what you found",
        help_text="For example: all lines of the first four headings; no findings.",
        longest=2000,
    )


def begin_of(on: date) -> datetime:
    """The first moment of a day in UTC."""
    return datetime.combine(on, time.min, tzinfo=UTC)


def _kinds(code_breaks: bool, *, of_subjects: bool) -> list[tuple[str, Any]]:
    """Every table, and of each its fields, in the order of their names."""
    groups = []
    for source in sources():
        if is_of_code_breaks(source.model) and not code_breaks:
            continue
        if of_subjects and source.subject() is None:
            continue
        name = noun(source.model).text
        options = [(source.key, f"Any: {name}")]
        if source.record is None:
            options += [
                (f"{source.key}:{each.name}", f"{name}: {field_label(each)}")
                for each in source.fields
                if not is_silent(each) and (code_breaks or each.name not in CODE_BREAK_FIELDS)
            ]
        groups.append((name.capitalize(), options))
    return [("", "Everything"), *sorted(groups)]
