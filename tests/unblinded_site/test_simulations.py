"""The statistician's pages: ask, follow, read, copy. Nobody else's."""

import pytest
from django.urls import reverse

from iwrs.models import Study
from randomization.unblinded.models_simulation import SimulationRun
from randomization.unblinded.simulations import work_simulations
from tests.factories import a_simulation, a_study
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
        work_simulations()
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


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"methods": "efron coin=9"}, "must be a probability above 1/2"),
        ({"methods": ""}, "Name at least one method."),
        ({"trials": "many"}, "Give a whole number from 1 to 100,000."),
        ({"subjects": "1"}, "Give a whole number from 2 to 20,000."),
        ({"seed": "-3"}, "Give a whole number from 0 to"),
        ({"accrual": "spread = "}, "not correct TOML"),
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
