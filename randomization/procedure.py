"""The page "In an emergency" of one centre, on paper. It holds no treatment and no subject."""

from pathlib import Path

from django.conf import settings

from enrolment.models import Centre
from iwrs.paper import pdf

TEMPLATE = Path(__file__).parent / "procedure.typ"


def procedure_pdf(centre: Centre) -> bytes:
    """One A4 page: whom to call, and the steps while the system works and while it is down.

    The study definition holds no telephone numbers, so there are lines to write them on.
    """
    study = centre.study
    return pdf(
        TEMPLATE,
        {
            "title": "In an emergency: which treatment does a subject have?",
            "study": f"{study.code}, {study.title}",
            "protocol": study.definition.study.protocol,
            "centre": str(centre),
            "portal": settings.PORTAL_URL,
            "simulated": study.simulated,
        },
    )
