"""Tasks of room 2."""

from iwrs.tasks import unblinded_task


@unblinded_task
def unblinded_work_simulations() -> None:
    """Make chunks of simulations that wait, for one turn."""
    from randomization.unblinded.simulations import work_simulations

    work_simulations()


@unblinded_task
def unblinded_watch_lists() -> None:
    """Write to the unblinded statisticians when a list in use needs them."""
    from randomization.unblinded.notices import work_notices

    work_notices()
