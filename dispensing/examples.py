"""Examples of room 3 for the OpenAPI document."""

from typing import Any

KIT: dict[str, Any] = {"number": "4207156", "grouped": "420 715 6", "expires_on": "2012-06-30"}
PLANNED: dict[str, Any] = {
    "number": 1,
    "status": "planned",
    "due_on": "2010-04-13",
    "earliest_on": "2010-04-06",
    "kit": None,
    "assigned_at": None,
    "handed_over_on": None,
}
ASSIGNED: dict[str, Any] = {
    **PLANNED,
    "status": "assigned",
    "kit": KIT,
    "assigned_at": "2010-04-12T08:15:00Z",
}
HANDED_OVER: dict[str, Any] = {**ASSIGNED, "status": "handed_over", "handed_over_on": "2010-04-12"}
DRUG_STOP: dict[str, Any] = {"drug": "study_drug", "on": "2010-08-02", "reason": "adverse_event"}
DOSE_REDUCTION: dict[str, Any] = {
    "level": "5mg",
    "on": "2010-06-14",
    "reason": "Stomatitis grade 3",
}
