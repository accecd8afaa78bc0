"""What people sign in room 5, as records (`iwrs.signatures`)."""

from dsmb.models import Extract
from iwrs.models import Study
from iwrs.signatures import Record


def cuts_record(study: Study) -> Record:
    """The data cuts that the page of a request offers."""
    cuts = study.data_cuts.order_by("cut_on").values_list("cut_on", flat=True)
    return Record("data cuts", study.pk, {"study": study.code, "cuts": list(cuts)})


def release_record(extract: Extract) -> Record:
    """A sealed file that is about to leave: which request it answers, and its fingerprint."""
    return Record(
        "release of an extract",
        extract.pk,
        {**extract_record(extract).facts, "size": extract.size, "SHA-256": extract.sha256},
    )


def extract_record(extract: Extract) -> Record:
    """A request for a sealed extract."""
    return Record(
        "extract",
        extract.pk,
        {
            "study": extract.study.code,
            "cut on": extract.cut.cut_on,
            "recipient": extract.recipient,
            "reason": extract.reason,
            "requested by": extract.requested_by,
        },
    )
