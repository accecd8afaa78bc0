"""Playing a simulated trial through the real services, under the study's own clock."""
