"""Sealing, woken by beat. What is not sealed is found in rows: a lost message costs a minute."""

from celery import shared_task

from iwrs.audit_trail.sealing import seal
from iwrs.tasks import unblinded_task


@shared_task(name="iwrs.audit_trail.tasks.seal_history")
def seal_history() -> None:
    """Seal the history of the blinded side."""
    seal()


@unblinded_task
def unblinded_seal_history() -> None:
    """Seal the history of the unblinded side."""
    seal()
