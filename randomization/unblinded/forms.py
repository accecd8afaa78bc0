"""Forms of the unblinded statistician."""

from typing import Any

from django import forms

from iwrs.definition import StudyDefinition
from iwrs.forms import PortalForm, choice_field, reason_field
from iwrs.signatures.forms import SignedForm

SPLIT = "split"


class GenerateForm(PortalForm):
    """The list comes from the study definition and a new secret seed: whose, is asked when two
    people have made one.
    """

    def __init__(self, split: object, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if split is not None:
            sources = [(SPLIT, f"{split}, made by two people")]
            sources.append(("system", "A new one, drawn by the operating system"))
            self.fields["seed"] = choice_field("Which seed?", sources)


def _hexadecimal(label: str, help_text: str, **attributes: str) -> forms.CharField:
    attributes |= {"autocomplete": "off", "spellcheck": "false"}
    return forms.CharField(
        label=label,
        help_text=help_text,
        max_length=200,
        widget=forms.TextInput(attrs=attributes),
        error_messages={
            "required": "Give 64 hexadecimal digits.",
            "max_length": "Give 64 hexadecimal digits.",
        },
    )


class CommitForm(PortalForm):
    commitment = _hexadecimal(
        "Commitment", "SHA-256 of the 64 characters of your share: 64 hexadecimal digits."
    )


class OpenShareForm(SignedForm):
    share = _hexadecimal("Your share", "The 64 hexadecimal digits that you kept.")


class EndSplitForm(PortalForm):
    why = reason_field("Why is this seed given up?")


class ImportListForm(PortalForm):
    file = forms.FileField(
        label="File of the list",
        help_text="CSV in UTF-8, one row for each place, in the order of use within a stratum. "
        "Columns: id, stratum, block.id, block.size, treatment.",
        max_length=200,
        allow_empty_file=True,  # the reader says what is wrong with an empty file
        widget=forms.ClearableFileInput(attrs={"accept": ".csv,text/csv"}),
        error_messages={
            "required": "Choose the file of the list.",
            "max_length": "The file's name is too long. Use at most 200 characters.",
        },
    )
    names = forms.CharField(
        label="Names in the file that are not ours",
        required=False,
        max_length=20_000,
        help_text="One a line, for example: column arm: TRTCODE, or arm 1: EVE, "
        "or stratum A: visceral=yes|sensitive=no",
        widget=forms.Textarea(attrs={"rows": 4}),
    )


class ExtendForm(PortalForm):
    length = forms.IntegerField(
        label="Places of each stratum, at least",
        min_value=1,
        max_value=1_000_000,
        help_text="Counted from the first place of the list, the used ones too.",
        widget=forms.NumberInput(attrs={"class": "short", "inputmode": "numeric"}),
        error_messages={
            "required": "Give a whole number.",
            "invalid": "Give a whole number.",
            "min_value": "Give a number from 1 to 1,000,000.",
            "max_value": "Give a number from 1 to 1,000,000.",
        },
    )


class WithdrawForm(PortalForm):
    why = reason_field("Why is this extension withdrawn?")


class CloseListForm(SignedForm):
    why = reason_field("Why is the list closed?")


class ReleaseForm(SignedForm):
    why = reason_field(
        "What were these calls, and why is it safe to go on?",
        help_text="This text is kept on the unblinded side.",
    )


class ForceForm(SignedForm):
    """The arm is typed as its code: nobody picks it from a list by a slip of the finger."""

    arm = forms.CharField(
        label="Code of the arm",
        max_length=8,
        widget=forms.TextInput(attrs={"class": "short", "autocapitalize": "characters"}),
        error_messages={"required": "Type the code of the arm."},
    )
    why = reason_field(
        "Why must this subject have this arm?",
        help_text="This text is kept on the unblinded side.",
    )

    def __init__(self, definition: StudyDefinition, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        arms = ", ".join(f"{arm.code} ({arm.label})" for arm in definition.open_arms)
        self.fields["arm"].help_text = f"One of: {arms}."
