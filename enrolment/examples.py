"""Examples of room 1 for the OpenAPI document; a test checks them against a real study."""

from typing import Any

CENTRE: dict[str, Any] = {
    "number": "0101",
    "name": "Hôpital Saint-Louis",
    "country_code": "FR",
    "country_name": "France",
    "time_zone": "Europe/Paris",
    "status": "active",
}
SCREENING: dict[str, Any] = {
    "centre": "0101",
    "consent_on": "2010-03-01",
    "strata": {"visceral": "yes", "sensitive": "yes"},
    "eligibility": {
        "postmenopausal": "yes",
        "er_positive": "yes",
        "her2_negative": "yes",
        "refractory_to_nsai": "yes",
        "progression_documented": "yes",
        "measurable_or_lytic": "yes",
        "ecog_0_to_2": "yes",
        "organ_function": "yes",
        "brain_metastases": "no",
        "previous_exemestane": "no",
        "previous_mtor_inhibitor": "no",
        "chemotherapy_lines": "no",
    },
    "baseline": {"age": 61, "ecog": "1", "race": "white"},
}
SUBJECT: dict[str, Any] = {
    "number": "0101-003",
    "centre": "0101",
    "status": "eligible",
    "consent_on": "2010-03-01",
    "screened_at": "2010-03-02T09:30:00Z",
    "randomized_at": None,
    "rescreen_of": None,
}
SUBJECT_DETAIL: dict[str, Any] = {
    **SUBJECT,
    "strata": SCREENING["strata"],
    "eligibility": SCREENING["eligibility"],
    "baseline": SCREENING["baseline"],
    "open_questions": [],
    "failure_reason": "",
}
SCREEN_FAILURE: dict[str, Any] = {
    **SUBJECT_DETAIL,
    "status": "screen_failed",
    "eligibility": {**SCREENING["eligibility"], "her2_negative": "no"},
    "open_questions": ["her2_negative"],
    "failure_reason": "HER2 is amplified",
}
RESCREENING: dict[str, Any] = {key: SCREENING[key] for key in SCREENING if key != "centre"}
RESCREENED: dict[str, Any] = {**SUBJECT_DETAIL, "number": "0101-007", "rescreen_of": "0101-003"}
