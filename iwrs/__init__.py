"""The plumbing that every room uses: settings, accounts, clock, audit, study definition."""

from iwrs.celery import app as celery_app

__all__ = ["celery_app"]
