"""Recording who looked at what is sensitive, and who took a copy of it (ICH E6(R3) 4.2.2(b))."""

from iwrs.actors import Actor
from iwrs.acts import present_request
from iwrs.audit_trail.models import Access


def record_look(
    by: Actor, *, page: str, study_code: str, about: str = "", copied: bool = False
) -> Access:
    """Record that a person was shown a page, before it is shown. `about` says of whom or what."""
    return Access.objects.create(
        study_code=study_code,
        by=by.label,
        account=by.key,
        role=by.role,
        page=page,
        about=about[:500],
        copied=copied,
        of_request=present_request(),
    )
