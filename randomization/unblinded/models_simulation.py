"""Runs of the simulation and their chunks: work for workers, as rows. Schema `unblinded`.

They know no arm of anybody. But what a study considers, its block sizes among it, is not for sites.
"""

from django.db import models
from django.db.models import Q

from iwrs.models import Study


class SimulationRun(models.Model):
    """What was asked. Written once; how far it is, and its results, are its chunks'."""

    study = models.ForeignKey(Study, on_delete=models.DO_NOTHING, related_name="+")
    number = models.PositiveIntegerField()
    version = models.CharField(max_length=40, help_text="Of the simulation: same seed, same result")
    plan = models.JSONField()
    trials = models.PositiveIntegerField()
    seed = models.PositiveBigIntegerField()
    definition_sha256 = models.CharField(max_length=64)
    requested_by = models.CharField(max_length=200)
    requested_at = models.DateTimeField()

    class Meta:
        db_table = 'unblinded"."simulation_run'
        constraints = [
            models.UniqueConstraint("study", "number", name="simulation_number_once"),
            models.CheckConstraint(name="simulation_has_trials", condition=Q(trials__gte=1)),
        ]

    def __str__(self) -> str:
        return f"Simulation {self.number} of {self.study_id}"


class SimulationChunk(models.Model):
    """Some trials of a run. A worker holds the row's lock while it computes, so a worker that is
    killed gives it back at once.
    """

    class Status(models.TextChoices):
        WAITING = "waiting", "Waiting"
        DONE = "done", "Done"
        FAILED = "failed", "Failed"

    run = models.ForeignKey(SimulationRun, on_delete=models.PROTECT, related_name="chunks")
    number = models.PositiveIntegerField(help_text="From 0.")
    status = models.CharField(max_length=8, choices=Status.choices, default=Status.WAITING)
    made_at = models.DateTimeField(null=True, blank=True)
    results = models.JSONField(null=True, blank=True, help_text="One object for each method.")

    class Meta:
        db_table = 'unblinded"."simulation_chunk'
        constraints = [
            models.UniqueConstraint("run", "number", name="simulation_chunk_once"),
            models.CheckConstraint(
                name="done_chunk_has_results",
                condition=Q(status="done", results__isnull=False, made_at__isnull=False)
                | ~Q(status="done") & Q(results__isnull=True),
            ),
        ]
        indexes = [
            models.Index("id", condition=Q(status="waiting"), name="simulation_chunk_waiting")
        ]

    def __str__(self) -> str:
        return f"Chunk {self.number} of {self.run_id}: {self.status}"
