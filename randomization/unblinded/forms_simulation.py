"""The form with which a statistician asks for a simulation."""

from typing import Any

from django import forms

from iwrs.forms import PortalForm
from iwrs.models import Study
from randomization.simulation.asked import MOST_SUBJECTS, MOST_TEXT
from randomization.unblinded.simulation_plan import own_method
from randomization.unblinded.simulations import LARGEST_SEED, MOST_TRIALS


def whole_field(label: str, least: int, most: int, **more: Any) -> forms.IntegerField:
    """A whole number within limits, with one text for everything that is not."""
    wrong = f"Give a whole number from {least:,} to {most:,}."
    return forms.IntegerField(
        label=label,
        min_value=least,
        max_value=most,
        widget=forms.TextInput(attrs={"inputmode": "numeric", "autocomplete": "off"}),
        error_messages=dict.fromkeys(("required", "invalid", "min_value", "max_value"), wrong),
        **more,
    )


class SimulationForm(PortalForm):
    methods = forms.CharField(
        label="Methods, one a line",
        max_length=4_000,
        widget=forms.Textarea(attrs={"rows": 6, "spellcheck": "false"}),
        help_text="For example: complete; efron coin=2/3; big-stick bound=3; urn start=1 added=1; "
        "permuted-blocks block_sizes=3,6 by=none; minimization imbalance=range coin=4/5. "
        "by= names the factors that a method looks at; without it, all.",
        error_messages={
            "required": "Name at least one method.",
            "max_length": "Write at most 4,000 characters.",
        },
    )
    trials = whole_field("Trials", 1, MOST_TRIALS, initial=10_000)
    subjects = whole_field("Subjects in each trial", 2, MOST_SUBJECTS)
    accrual = forms.CharField(
        label="Who comes, as TOML",
        required=False,
        max_length=MOST_TEXT,
        widget=forms.Textarea(attrs={"rows": 6, "spellcheck": "false"}),
        help_text="Leave it empty for centres and levels that are equally likely. Keys: centres, "
        "spread, per_week, [[centre]] with number, country and weight, [levels.FACTOR], [supply] "
        "with cohort_size, restock_at, lead_days, run_every_days. With per_week, subjects in a "
        "week, stock-outs at centres are simulated too.",
        error_messages={"max_length": f"Write at most {MOST_TEXT:,} characters."},
    )
    seed = whole_field(
        "Seed", 0, LARGEST_SEED, required=False, help_text="Leave it empty to have one drawn."
    )

    def __init__(self, study: Study, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["methods"].initial = own_method(study.definition)
        self.fields["subjects"].initial = study.definition.study.planned_subjects
