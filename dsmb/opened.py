"""What an unblinded study shows to blinded people: each subject's treatment, and its proof."""

import csv
import io
import json
from typing import Any

from iwrs.models import Study
from iwrs.problems import Problem
from iwrs.spreadsheet import harmless
from randomization.models import ListCommitment, OpenedAllocation, OpenedStudy

FORMAT = "iwrs-opened/1"
_COLUMNS = ("subject", "randomization", "arm", "list", "part", "stratum", "position", "block")


def opened(study: Study) -> OpenedStudy | None:
    """That the study is unblinded, or None while it is blinded."""
    return OpenedStudy.objects.filter(study=study).first()


def require_opened(study: Study) -> OpenedStudy:
    """Raise `Problem` while the study is blinded."""
    found = opened(study)
    if found is None:
        raise Problem(
            code="study_blinded",
            title="This study is blinded.",
            action="Treatments are shown when two people have unblinded the whole study.",
        )
    return found


def rows(study: Study) -> list[OpenedAllocation]:
    """Each subject's treatment, by subject number; none while the study is blinded."""
    found = OpenedAllocation.objects.filter(opened__study=study)
    return list(found.select_related("subject__randomization").order_by("subject__number"))


def as_csv(study: Study) -> str:
    """One row for each subject, for a spreadsheet."""
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(_COLUMNS)
    for each in rows(study):
        place = [each.proof[key] for key in ("stratum", "position", "block")]
        told = [each.subject.number, each.subject.randomization.number, each.proof["arm"]]
        cells = [*told, each.list_number, each.part, *place]
        writer.writerow([harmless(cell) for cell in cells])
    return text.getvalue()


def as_json(study: Study) -> str:
    """Published roots, and each subject's proof; `verify_opened.py` checks it."""
    roots = ListCommitment.objects.filter(study=study).order_by("list_number", "part")
    made: dict[str, Any] = {
        "format": FORMAT,
        "study": study.code,
        "roots": [
            {"list": each.list_number, "part": each.part, "root": each.merkle_root}
            for each in roots
        ],
        "subjects": [
            {
                "subject": each.subject.number,
                "randomization": each.subject.randomization.number,
                "list": each.list_number,
                "part": each.part,
                **each.proof,
            }
            for each in rows(study)
        ],
    }
    return json.dumps(made, indent=1)
