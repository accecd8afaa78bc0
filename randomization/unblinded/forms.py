"""Forms of the unblinded statistician."""

from iwrs.forms import PortalForm, reason_field


class GenerateForm(PortalForm):
    """Nothing to fill in: the list comes from the study definition and a new secret seed."""


class ReleaseForm(PortalForm):
    why = reason_field(
        "What were these calls, and why is it safe to go on?",
        help_text="This text is kept in the audit trail of the unblinded side.",
    )
