"""Examples of room 4 for the OpenAPI document."""

from typing import Any

PLANNED_VISIT: dict[str, Any] = {
    "number": 1,
    "due_on": "2010-04-13",
    "window_from": "2010-04-06",
    "window_to": "2010-04-20",
}
VISIT_REPORT: dict[str, Any] = {
    "on": "2010-04-12",
    "local_response": "SD",
    "ecog": 1,
    "quality_of_life": "66.67",
}
VISIT: dict[str, Any] = {
    "number": 1,
    "status": "done",
    **{key: PLANNED_VISIT[key] for key in ("due_on", "window_from", "window_to")},
    "done_on": "2010-04-12",
    "ecog": 1,
    "quality_of_life": "66.67",
    "dispensation": 1,
}
MISSED: dict[str, Any] = {
    **VISIT,
    "status": "missed",
    "done_on": None,
    "ecog": None,
    "quality_of_life": None,
}
READ: dict[str, Any] = {
    "reader": "central",
    "assessed_on": "2010-04-12",
    "response": "SD",
    "read_on": "2010-04-26",
}
EVENT: dict[str, Any] = {"kind": "death", "on": "2011-01-20", "detail": "Disease progression"}
