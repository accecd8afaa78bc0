"""Every method of randomization is followed by both, `list verify` and the stand-alone program:
minimization from its draws and the margins before each.
"""

import pytest

from iwrs.models import Study
from randomization.unblinded.bundle import own_sha256, write_bundle
from tests import factories as make
from tests.randomization.test_verify import bundle, changed, inside_faults, outside_faults, run
from tests.roles import Logins, as_unblinded

pytestmark = pytest.mark.requirement("REQ-057")


class TestMethods:
    @pytest.fixture(params=list(make.METHODS))
    def played(self, request, committed_db) -> Study:
        study = make.a_study(
            method=request.param, keys='stratify_by = ["country"]', with_list=False
        )
        centres = [make.a_centre(study, cover=2, country_code=code) for code in ("DE", "FR")]
        make.an_active_list(study)
        for turn in range(10):
            strata = {
                "visceral": ["yes", "no"][turn % 2],
                "sensitive": ["yes", "no"][turn // 3 % 2],
            }
            make.a_randomized_subject(centres[turn % 3 % 2], strata=strata)
        return study

    def test_each_method_is_followed(self, played, tmp_path, logins):
        assert inside_faults(played) == []
        made = bundle(played)
        assert outside_faults(made) == []
        with as_unblinded():
            write_bundle(played, tmp_path / "b.zip")
        assert run(tmp_path / "b.zip").returncode == 0
        other = changed(made["allocations"][4]["arm"])
        made["allocations"][4]["arm"] = other
        named = f"subject {made['allocations'][4]['subject']}: the arm is not that"
        assert any(fault.startswith(named) for fault in outside_faults(made))
        logins.superuser().execute(
            "UPDATE unblinded.allocation SET arm = %s WHERE id IN"
            " (SELECT id FROM unblinded.allocation ORDER BY id OFFSET 4 LIMIT 1)",
            [other],
        )
        assert any(fault.startswith(named) for fault in inside_faults(played))


class TestMinimization:
    @pytest.fixture
    def played(self, committed_db) -> Study:
        study = make.a_study(method="minimization")
        centre = make.a_centre(study, cover=2)
        for turn in range(8):
            strata = {"visceral": ["yes", "no"][turn % 2], "sensitive": "yes"}
            make.a_randomized_subject(centre, strata=strata)
        return study

    @pytest.mark.parametrize(
        ("change", "named"),
        [
            ("UPDATE unblinded.list_entry SET draw = draw # 1 WHERE position = 2",
             "list 1: place 2 of all is not what design and seed give"),
            ("UPDATE unblinded.decision SET scores[1] = scores[1] + 1",
             "the scores and weights are not those that follow from the margins of place 1 of all"),
            ("UPDATE unblinded.decision SET track = (track + 1) % 3",
             "the arm is not that which follows from the draw of place 1 of all"),
            ("UPDATE unblinded.decision SET stratum_key = 'visceral=no|sensitive=no'",
             "the levels are not those of the randomization of place 1 of all"),
            ("DELETE FROM unblinded.decision", "the decision is missing of place 1 of all"),
            ("UPDATE unblinded.list SET dynamic = false",
             "list 1: when arms are decided is not as the method says"),
        ],
    )  # fmt: skip
    def test_one_change_is_named(self, played, logins: Logins, change: str, named: str):
        assert inside_faults(played) == []
        logins.superuser().execute(change)
        assert any(named in fault for fault in inside_faults(played))

    @pytest.mark.parametrize("key", ["scores", "weights", "track"])
    def test_the_program_works_each_decision_out_again(self, played, key: str):
        made = bundle(played)
        assert outside_faults(made) == []
        decision = made["allocations"][3]["decision"]
        decision[key] = 7 if key == "track" else [each + 1 for each in decision[key]]
        made["sha256"] = own_sha256(made)
        [fault] = outside_faults(made)
        who = f"subject {made['allocations'][3]['subject']}"
        assert (
            fault == f"{who}: scores, weights or track are not those that follow from the margins"
        )
