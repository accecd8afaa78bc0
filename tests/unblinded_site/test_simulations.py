"""The statistician's pages: ask, follow, read, copy. Nobody else's."""

import pytest
from django.urls import reverse

from iwrs.models import Study
from randomization.unblinded.models_simulation import SimulationChunk, SimulationRun
from randomization.unblinded.simulation_plan import Asked, plan_of
from randomization.unblinded.simulations import kits, request_simulation, work_simulations
from tests.factories import STATISTICIANS, a_simulation, a_study
from tests.pdf import pdf_text
from tests.queries import queries_of
from tests.roles import as_unblinded
from tests.unblinded_site.conftest import Browser

METHODS = "permuted-blocks block_sizes=3,6\nefron coin=2/3 by=visceral"


def asked(**changes: object) -> dict[str, object]:
    return {"methods": METHODS, "trials": 500, "subjects": 20, "accrual": "", "seed": "5"} | changes


def address(name: str, study: Study, *more: int) -> str:
    return reverse(name, args=[study.code, *more])


def test_a_simulation_is_asked_for_followed_and_copied(
    study: Study,
    statistician: Browser,
) -> None:
    home = statistician.get("/").content.decode()
    assert address("simulations", study) in home
    form = statistician.get(address("ask-simulation", study)).content.decode()
    assert "permuted-blocks block_sizes=3,6" in form
    sent = statistician.post(address("ask-simulation", study), **asked())
    there = address("simulation", study, 1)
    assert (sent.status_code, sent.url) == (302, there)
    assert statistician.get(address("simulation-pdf", study, 1)).status_code == 404
    page = statistician.get(there).content.decode()
    assert "0 of 2 parts are done" in page
    assert 'hx-trigger="every 2s"' in page
    with as_unblinded():
        work_simulations(seconds=0)
    page = statistician.get(there).content.decode()
    assert "1 of 2 parts are done" in page
    assert "Correct guesses, seeing the stratum" in page
    with as_unblinded():
        work_simulations(seconds=None)
    page = statistician.get(there).content.decode()
    assert "2 of 2 parts are done." in page
    assert "hx-trigger" not in page
    assert "Efron, coin 2/3; looks at visceral" in page
    assert page.count("<svg") == 4
    copy = statistician.get(address("simulation-pdf", study, 1))
    assert copy.headers["Content-Type"] == "application/pdf"
    assert "Efron, coin 2/3" in pdf_text(copy.content)
    listed = statistician.get(address("simulations", study)).content.decode()
    assert there in listed


def test_kits_are_shown_once_and_kept_with_the_run(
    study: Study,
    statistician: Browser,
) -> None:
    accrual = "per_week = 30\n[supply]\ncohort_size = 2\nlead_days = 10\n"
    sent = statistician.post(address("ask-simulation", study), **asked(accrual=accrual))
    assert sent.status_code == 302
    there = address("simulation", study, 1)
    page = statistician.get(there).content.decode()
    assert "Kits at centres" not in page  # nothing is done yet
    with as_unblinded():
        work_simulations(seconds=None)
        run = SimulationRun.objects.get()
        found = kits(run)
    assert found is not None
    assert 0 < found.met.mean < 1
    page = statistician.get(there).content.decode()
    assert page.count("Subjects who met a stock-out") == 1
    assert f"{found.met.mean:.2%}" in page
    assert "one cohort of 2 places" in page
    text = " ".join(pdf_text(statistician.get(address("simulation-pdf", study, 1)).content).split())
    assert f"Subjects who met a stock-out {found.met.mean:.2%}" in text


def test_runs_from_before_kits_and_closed_arms_still_show(
    study: Study,
    statistician: Browser,
) -> None:
    with as_unblinded():
        new = a_simulation(study)
        plan = {key: new.plan[key] for key in new.plan if key not in {"supply", "closed"}}
        old = SimulationRun.objects.create(
            **{each: getattr(new, each) for each in (
                "study", "version", "trials", "seed", "definition_sha256", "requested_by",
                "requested_at",
            )},
            number=2,
            plan=plan,
        )  # fmt: skip
        SimulationChunk.objects.create(run=old, number=0)
        work_simulations(run=old.pk)
    page = statistician.get(address("simulation", study, 2)).content.decode()
    assert "say how many subjects come in a week" in page
    assert "Subjects on each arm" in page
    assert "closed to new subjects" not in page
    assert statistician.get(address("simulation-pdf", study, 2)).status_code == 200


def test_the_page_names_the_arms_that_are_left_out(study: Study, statistician: Browser) -> None:
    with as_unblinded():
        plan = plan_of(study, Asked(subjects=12)).model_copy(update={"closed": ("LOW",)})
        request_simulation(study, plan, trials=5, seed=1, by=STATISTICIANS[0])
        work_simulations(seconds=None)
    page = statistician.get(address("simulation", study, 1)).content.decode()
    assert "Left out, closed to new subjects: LOW." in page


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"methods": "efron coin=9"}, "must be a probability above 1/2"),
        ({"methods": ""}, "Name at least one method."),
        ({"trials": "many"}, "Give a whole number from 1 to 100,000."),
        ({"subjects": "1"}, "Give a whole number from 2 to 20,000."),
        ({"seed": "-3"}, "Give a whole number from 0 to"),
        ({"accrual": "spread = "}, "not correct TOML"),
        ({"accrual": "per_week = nan"}, "per_week: Input should be a finite number"),
    ],
)
def test_what_was_typed_wrong_is_named_and_kept(
    study: Study,
    statistician: Browser,
    changes: dict[str, str],
    text: str,
) -> None:
    answer = statistician.post(address("ask-simulation", study), **asked(**changes))
    assert answer.status_code == 422
    page = answer.content.decode()
    assert text in page
    assert "by=visceral" in page or "methods" in changes
    with as_unblinded():
        assert not SimulationRun.objects.exists()


def test_only_the_statistician_of_the_study_sees_it(
    study: Study,
    supplier: Browser,
    statistician: Browser,
) -> None:
    other = a_study(with_list=False)
    with as_unblinded():
        a_simulation(study)
        theirs = a_simulation(other)
    assert supplier.get(address("simulations", study)).status_code == 403
    assert supplier.get(address("simulation", study, 1)).status_code == 403
    assert statistician.get(address("simulation", other, theirs.number)).status_code == 404
    assert statistician.get(address("simulation", study, 2)).status_code == 404


def test_following_costs_few_queries_whatever_the_number_of_runs(
    study: Study,
    statistician: Browser,
) -> None:
    counts = []
    for more in (1, 4):
        with as_unblinded():
            for _ in range(more):
                a_simulation(study)
        counts.append(len(queries_of(statistician, address("simulations", study))))
    assert counts[0] == counts[1] <= 12
