"""Why a code is broken: key and words. The list is the same for each way of breaking it."""

REASONS = {
    "emergency": "Medical emergency: the treatment decides the care",
    "susar": "Serious unexpected reaction: report to authorities",
    "pregnancy": "Pregnancy or exposure of another person",
    "other": "Another reason",
}
