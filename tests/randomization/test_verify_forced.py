"""Verification knows which arms were named beforehand, and finds those that were not."""

import json
import runpy

from randomization.unblinded.bundle import SCRIPT, bundle_of
from randomization.unblinded.models import ListEntry
from randomization.unblinded.verification import faults_of
from tests import factories as make
from tests.randomization.test_forced import ALLOWED, force
from tests.roles import as_unblinded
from trial.services import randomize


def test_verification_knows_what_was_named_and_finds_what_was_not(committed_db, logins):
    study = make.a_study(keys=ALLOWED)
    centre = make.a_centre(study)
    named, other = make.a_subject(centre), make.a_subject(centre)
    with as_unblinded():
        first = ListEntry.objects.get(stratum_key=named.stratum_key, position=1)
    arm = "PBO" if first.arm == "EVE" else "EVE"
    force(named, arm)
    for subject in (named, other):
        randomize(subject, by=make.TESTER)
    with as_unblinded():
        assert list(faults_of(study)) == []
        bundle = json.loads(json.dumps(bundle_of(study)))
    check = runpy.run_path(str(SCRIPT))["check"]
    assert list(check(bundle)) == []
    assert [each["forced"] for each in bundle["allocations"]] == [arm, None]
    bundle["allocations"][0]["forced"] = None
    assert any("the arm is not that of place 1" in fault for fault in check(bundle))
    logins.owner().execute("DELETE FROM unblinded.forced_allocation")
    with as_unblinded():
        [fault] = faults_of(study)
    assert "the arm is not that of place 1" in fault
