"""What people sign in room 1, as records (`iwrs.signatures`)."""

from enrolment.models import Centre, Deviation, Subject
from iwrs.signatures import Record


def centre_record(centre: Centre) -> Record:
    """A centre as it is when somebody lets it enrol."""
    return Record(
        "centre activation",
        centre.pk,
        {
            "centre": centre.number,
            "name": centre.name,
            "country": centre.country_code,
            "time zone": centre.time_zone,
            "ethics approved on": centre.ethics_approved_on,
        },
    )


def screening_record(subject: Subject) -> Record:
    """A subject's answers, as they stand when somebody randomizes the subject."""
    answers = {each.question: each.answer for each in subject.eligibility.all()}
    return Record(
        "randomization",
        subject.pk,
        {
            "centre": subject.centre.number,
            "subject": subject.number,
            "consent signed on": subject.consent_on,
            "strata": subject.strata,
            "eligibility": answers,
            "baseline": subject.baseline,
        },
    )


def deviation_record(deviation: Deviation) -> Record:
    """A question set aside for one subject, with the reason."""
    return Record(
        "deviation",
        deviation.pk,
        {
            "subject": deviation.subject.number,
            "question": deviation.question,
            "reason": deviation.reason,
            "requested by": deviation.requested_by,
        },
    )
