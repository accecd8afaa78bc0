"""A run of the simulation as PDF: what it was, then the comparison."""

from iwrs.templatetags.portal import moment
from randomization.simulation.plan import Plan
from randomization.simulation.report import report_pdf
from randomization.unblinded.models_simulation import SimulationRun
from randomization.unblinded.simulations import kits, outcomes, progress


def run_pdf(run: SimulationRun) -> bytes:
    """The comparison on paper, of the chunks that are done."""
    now = progress(run)
    heading = _heading(run, now.done, now.total)
    return report_pdf(Plan.from_json(run.plan), outcomes(run), heading, kits(run))


def _heading(run: SimulationRun, done: int, total: int) -> dict[str, object]:
    facts = [
        ["Study", f"{run.study.code}, {run.study.title}"],
        ["Simulation", f"number {run.number}, {run.version}"],
        ["Trials", f"{run.trials:,} of each method" + _partial(done, total)],
        ["Seed", str(run.seed)],
        ["Study definition", f"SHA-256 {run.definition_sha256}"],
        ["Asked for by", f"{run.requested_by}, {moment(run.requested_at)}"],
        ["For", "unblinded staff: block sizes and the like are not for sites"],
    ]
    return {
        "title": f"Randomization methods compared: {run.study.code}",
        "simulated": run.study.simulated,
        "facts": facts,
    }


def _partial(done: int, total: int) -> str:
    return "" if done == total else f" asked for; {done} of {total} parts are done"
