"""Forms of the unblinded statistician."""

from iwrs.forms import PortalForm, reason_field
from iwrs.signatures.forms import SignedForm


class GenerateForm(PortalForm):
    """Nothing to fill in: the list comes from the study definition and a new secret seed."""


class ReleaseForm(SignedForm):
    why = reason_field(
        "What were these calls, and why is it safe to go on?",
        help_text="This text is kept on the unblinded side.",
    )
