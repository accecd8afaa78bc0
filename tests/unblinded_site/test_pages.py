"""The unblinded staff site: lists by two people, kits by file, alarms, recipients' keys."""

import hashlib

import pyrage
import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import connection
from django.test import Client
from django.urls import NoReverseMatch, reverse

from dispensing.models import Cohort, Kit
from dispensing.unblinded.models import CentreCalls
from dispensing.unblinded.numbers import vendor_csv
from dsmb.unblinded.models import RecipientKey
from iwrs.accounts.models import Role, StudyRole, User
from iwrs.models import Study
from iwrs.signatures.models import SignedRecord
from randomization.listing.split import commitment_of
from randomization.models import ListCommitment
from randomization.unblinded.models import CallRelease, RandomizationList, StratumCursor
from randomization.unblinded.models_life import SplitSeed
from randomization.unblinded.records import release_record
from tests.dispensing.depots import fill_depot, lots, years_ahead
from tests.factories import a_centre, a_split, a_study
from tests.roles import as_unblinded
from tests.signing import components
from tests.unblinded_site.conftest import PASSWORD, Browser


def text_of(response) -> str:
    return response.content.decode()


def sign(browser: Browser, user: User, address: str, **changes: str):
    return browser.post(address, **components(user, browser.get(address), **changes))


def the_list() -> RandomizationList:
    with as_unblinded():
        return RandomizationList.objects.get()


def upload(text: str | bytes, name: str = "kits.csv") -> SimpleUploadedFile:
    content = text.encode() if isinstance(text, str) else text
    return SimpleUploadedFile(name, content, content_type="text/csv")


def a_file(study: Study, kits: int = 40) -> str:
    return vendor_csv(study.definition, kits=kits, seed="f", lots=lots(years_ahead(2)))


class TestSigningIn:
    def test_a_stranger_is_asked_to_sign_in(self, study: Study):
        response = Browser().get("/")
        assert response.status_code == 302
        assert response.url.startswith(reverse("sign-in"))

    def test_an_unblinded_account_signs_in(self, study: Study, person):
        user = person(Role.SUPPLY_MANAGER)
        browser = Browser()
        response = browser.post(reverse("sign-in"), email=user.email, password=PASSWORD)
        assert response.status_code == 302
        page = text_of(browser.get("/"))
        assert f"Kits of {study.code}" in page
        assert "Do not show this screen to blinded people" in page

    def test_an_account_of_the_blinded_side_is_unknown_here(self, study: Study):
        User.objects.create_user("blinded@example.org", name="B", password=PASSWORD)
        response = Browser().post(
            reverse("sign-in"), email="blinded@example.org", password=PASSWORD
        )
        assert response.status_code == 422

    @pytest.mark.requirement("REQ-018")
    def test_an_unblinded_account_does_not_exist_on_the_blinded_side(self, study: Study, person):
        user = person(Role.SUPPLY_MANAGER)
        assert not User.objects.filter(email=user.email).exists()
        assert not StudyRole.objects.exists()

    def test_there_is_no_page_of_subjects_and_no_api(self, study: Study):
        for name in ("subjects", "randomize", "subject"):
            with pytest.raises(NoReverseMatch):
                reverse(name)
        assert Browser().get("/api/").status_code == 404


class TestLists:
    @pytest.mark.requirement("REQ-059")
    def test_three_people_make_a_list_active(self, study: Study, person):
        people = [person(Role.UNBLINDED_STATISTICIAN) for _ in range(3)]
        first, second, third = (Browser(each) for each in people)
        assert first.post(reverse("generate-list", args=[study.code])).status_code == 302
        made = the_list()
        address = reverse("approve-list", args=[study.code, made.pk])
        assert address not in text_of(first.get("/"))
        page = text_of(second.get(address))
        assert made.merkle_root in page
        assert "visceral=yes|sensitive=no" in page
        assert sign(second, people[1], address).status_code == 302
        assert the_list().status == "approved"
        assert not ListCommitment.objects.filter(study=study).exists()
        assert sign(third, people[2], address).status_code == 302
        done = the_list()
        assert done.status == "active"
        assert (done.first_approved_by, done.second_approved_by) == (
            str(people[1]),
            str(people[2]),
        )
        assert ListCommitment.objects.get(study=study).merkle_root == made.merkle_root

    @pytest.mark.requirement("REQ-041")
    def test_who_generated_or_signed_cannot_sign(self, study: Study, person):
        people = [person(Role.UNBLINDED_STATISTICIAN) for _ in range(2)]
        first, second = (Browser(each) for each in people)
        first.post(reverse("generate-list", args=[study.code]))
        address = reverse("approve-list", args=[study.code, the_list().pk])
        refused = sign(first, people[0], address)
        assert refused.status_code == 409
        assert "approved by two people" in text_of(refused)
        sign(second, people[1], address)
        assert sign(second, people[1], address).status_code == 409
        assert the_list().status == "approved"

    @pytest.mark.requirement("REQ-039")
    def test_a_wrong_password_is_no_signature(self, study: Study, person):
        people = [person(Role.UNBLINDED_STATISTICIAN) for _ in range(2)]
        first, second = (Browser(each) for each in people)
        first.post(reverse("generate-list", args=[study.code]))
        address = reverse("approve-list", args=[study.code, the_list().pk])
        refused = sign(second, people[1], address, password="a guess of mine")
        assert refused.status_code == 422
        assert "not your e-mail address and your password" in text_of(refused)
        assert "a guess of mine" not in text_of(refused)
        assert the_list().status == "generated"

    def test_a_list_of_another_study_does_not_exist(self, study: Study, statistician: Browser):
        other = a_study()
        address = reverse("approve-list", args=[study.code, the_list().pk])
        assert statistician.get(address).status_code == 404
        address = reverse("approve-list", args=[other.code, the_list().pk])
        assert statistician.get(address).status_code == 404

    def test_the_supply_manager_has_no_list(self, study: Study, supplier: Browser):
        assert supplier.get(reverse("generate-list", args=[study.code])).status_code == 403
        assert "Randomization lists" not in text_of(supplier.get("/"))


class TestKits:
    def test_a_good_file_is_imported(self, study: Study, supplier: Browser):
        address = reverse("import-kits", args=[study.code])
        response = supplier.post(address, file=upload(a_file(study)))
        assert response.status_code == 302
        assert Kit.objects.filter(study=study).count() == 40
        page = text_of(supplier.get("/"))
        assert "40 kits are imported." in page
        assert "L01" in page
        assert "kits.csv: 40 kits" in page

    def test_a_bad_file_keeps_the_page_and_names_rows(self, study: Study, supplier: Browser):
        bad = a_file(study).replace(",EVE,", ",XYZ,", 1)
        row = next(n for n, line in enumerate(bad.splitlines(), 1) if ",XYZ," in line)
        response = supplier.post(reverse("import-kits", args=[study.code]), file=upload(bad))
        page = text_of(response)
        assert response.status_code == 422
        assert "1 fault" in page
        assert f"row {row}, content" in page
        assert "Allowed: EVE, PBO" in page
        assert 'enctype="multipart/form-data"' in page
        assert not Kit.objects.filter(study=study).exists()

    @pytest.mark.parametrize(
        ("content", "said"), [(b"", "It is empty"), (b"\xff\xfe\x00", "not text in UTF-8")]
    )
    def test_a_file_that_is_no_table(self, study: Study, supplier: Browser, content, said):
        response = supplier.post(reverse("import-kits", args=[study.code]), file=upload(content))
        assert response.status_code == 422
        assert said in text_of(response)

    def test_no_file(self, study: Study, supplier: Browser):
        response = supplier.post(reverse("import-kits", args=[study.code]))
        assert response.status_code == 422
        assert "Choose the file" in text_of(response)

    def test_cover_is_sent_to_a_centre(self, study: Study, supplier: Browser):
        centre = a_centre(study, cover=0)
        fill_depot(study, kits=40, expiries=[years_ahead(2)])
        address = reverse("stock-centre", args=[study.code])
        assert str(centre) in text_of(supplier.get(address))
        assert supplier.post(address, centre=centre.pk, size=4).status_code == 302
        assert Cohort.objects.get(centre=centre).size == 4

    def test_a_short_depot_is_said(self, study: Study, supplier: Browser):
        centre = a_centre(study, cover=0)
        address = reverse("stock-centre", args=[study.code])
        response = supplier.post(address, centre=centre.pk, size=6)
        assert response.status_code == 409
        assert "No lot in the depot has 6 kits of every arm" in text_of(response)
        assert "The depot is short" in text_of(supplier.get("/"))

    def test_a_centre_of_another_study_cannot_be_chosen(self, study: Study, supplier: Browser):
        stranger = a_centre(a_study(with_list=False), cover=0)
        address = reverse("stock-centre", args=[study.code])
        response = supplier.post(address, centre=stranger.pk, size=6)
        assert response.status_code == 422
        assert not Cohort.objects.exists()

    def test_the_statistician_has_no_kits(self, study: Study, statistician: Browser):
        for name in ("import-kits", "stock-centre"):
            assert statistician.get(reverse(name, args=[study.code])).status_code == 403
        assert "Kits of" not in text_of(statistician.get("/"))

    def test_a_study_without_a_role_does_not_exist(self, study: Study, supplier: Browser):
        other = a_study(with_list=False)
        assert supplier.get(reverse("import-kits", args=[other.code])).status_code == 404


def call_often(kind: str, pk: int, times: int) -> None:
    """Calls of a gate that were rolled back: only the counter remembers them."""
    with connection.cursor() as cursor:
        cursor.execute("SET ROLE iwrs_owner")
        for _ in range(times):
            cursor.execute(f"SELECT nextval('unblinded.calls_{kind}_{pk}')")
        cursor.execute("SET ROLE iwrs_blinded")


class TestAlarms:
    @pytest.mark.requirement("REQ-037")
    def test_calls_of_a_centre_are_shown_and_released(self, study: Study, person):
        user = person(Role.SUPPLY_MANAGER)
        supplier = Browser(user)
        centre = a_centre(study, cover=1)
        assert "Alarms" not in text_of(supplier.get("/"))
        call_often("centre", centre.pk, 9)
        page = text_of(supplier.get("/"))
        address = reverse("release-kit-calls", args=[study.code, centre.pk])
        assert "9 calls begun and not completed" in page
        assert "Paused" in page
        assert address in page
        assert sign(supplier, user, address, why="").status_code == 422
        why = "A network fault; seen with the site"
        assert supplier.post(address, why=why).status_code == 422  # not signed
        typed = components(user, supplier.get(address), why=why)
        call_often("centre", centre.pk, 1)
        assert supplier.post(address, **typed).status_code == 409  # one call more than was shown
        assert sign(supplier, user, address, why=why).status_code == 302
        assert "Alarms" not in text_of(supplier.get("/"))
        with as_unblinded():
            assert CentreCalls.objects.get(centre=centre).released_calls == 10
            release = CallRelease.objects.get()
            assert (release.kind, release.key, release.calls) == ("centre", centre.pk, 10)
            assert (release.reason, release.released_by) == (why, str(user))
            kept = SignedRecord.objects.get()
            assert kept.sha256 == release_record(release).sha256
            assert kept.printed_name == user.name
        assert why in text_of(supplier.get(address))

    def test_calls_of_a_stratum_are_shown_and_released(self, unblinded_side: None):
        study = a_study()
        with as_unblinded():
            cursor = StratumCursor.objects.filter(list__study=study).first()
            user = User.objects.create_user("s@example.org", name="S", password=PASSWORD)
            StudyRole.objects.create(
                user=user,
                study_code=study.code,
                role=Role.UNBLINDED_STATISTICIAN,
                since="2000-01-01",
            )
        browser = Browser(user)
        call_often("stratum", cursor.pk, 3)
        page = text_of(browser.get("/"))
        assert "3 calls begun" in page
        assert "Paused" not in page
        address = reverse("release-allocation", args=[study.code, cursor.pk])
        assert sign(browser, user, address, why="Tested with the vendor").status_code == 302
        with as_unblinded():
            assert CallRelease.objects.get().reason == "Tested with the vendor"
        assert "Alarms" not in text_of(browser.get("/"))


class TestReleases:
    def test_a_key_is_registered(self, study: Study, statistician: Browser):
        key = str(pyrage.x25519.Identity.generate().to_public())
        address = reverse("register-key", args=[study.code])
        assert statistician.get(address).status_code == 200
        assert statistician.post(address, recipient="dsmb", public_key=key).status_code == 302
        with as_unblinded():
            assert RecipientKey.objects.get(study=study).public_key == key
        assert key in text_of(statistician.get(reverse("releases", args=[study.code])))

    def test_a_wrong_key_is_said_beside_the_field(self, study: Study, statistician: Browser):
        address = reverse("register-key", args=[study.code])
        response = statistician.post(address, recipient="dsmb", public_key="age1nonsense")
        assert response.status_code == 422
        with as_unblinded():
            assert not RecipientKey.objects.exists()

    def test_the_supply_manager_sees_no_releases(self, study: Study, supplier: Browser):
        for name in ("releases", "register-key"):
            assert supplier.get(reverse(name, args=[study.code])).status_code == 403


@pytest.mark.requirement("REQ-010")
def test_every_page_needs_a_person(study: Study):
    from trial.urls_unblinded import urlpatterns

    pages = urlpatterns[-1].url_patterns
    assert len(pages) >= 19
    for page in pages:
        name = page.name
        arguments = [study.code, 1] if page.pattern.converters else [study.code]
        response = Browser().get(reverse(name, args=arguments))
        assert response.status_code == 302, name
        assert response.url.startswith(reverse("sign-in")), name


def test_health_answers(study: Study):
    assert Browser().get("/health/").json() == {"status": "ok"}


def test_pages_say_nothing_under_the_blinded_role(study: Study, person):
    """Served by a process with the blinded login, the site has no rows to show."""
    browser = Browser(person(Role.SUPPLY_MANAGER))
    client: Client = browser._client
    assert client.get("/").status_code == 302


class TestSeedOfTwoPeople:
    def test_two_people_make_a_seed_and_a_third_generates(self, study: Study, person):
        people = [person(Role.UNBLINDED_STATISTICIAN) for _ in range(2)]
        first, second = (Browser(each) for each in people)
        page = reverse("split-seed", args=[study.code])
        assert reverse("generate-list", args=[study.code]) not in text_of(first.get(page))
        shares = [hashlib.sha256(text).hexdigest() for text in (b"first", b"second")]
        give = reverse("commit-share", args=[study.code])
        assert "python3 -c" in text_of(first.get(give))
        wrong = first.post(give, commitment="not hexadecimal")
        assert wrong.status_code == 422
        assert "not hexadecimal" in text_of(wrong)  # what was typed stays
        for browser, share in zip((first, second), shares, strict=True):
            assert browser.post(give, commitment=commitment_of(share)).status_code == 302
        with as_unblinded():
            split = SplitSeed.objects.get()
        address = reverse("open-share", args=[study.code, split.pk])
        assert address in text_of(second.get(page))
        assert sign(first, people[0], address, share=shares[1]).status_code == 422
        for user, browser, share in zip(people, (first, second), shares, strict=True):
            opened = sign(browser, user, address, share=share)
            assert opened.status_code == 302, text_of(opened)
        text = text_of(first.get(page))
        assert not any(share in text for share in shares)
        self.generate(study, Browser(person(Role.UNBLINDED_STATISTICIAN)))

    def generate(self, study: Study, browser: Browser) -> None:
        address = reverse("generate-list", args=[study.code])
        assert "Split seed 1, made by two people" in text_of(browser.get(address))
        assert browser.post(address).status_code == 422  # which seed?
        assert browser.post(address, seed="split").status_code == 302
        report = text_of(browser.get(reverse("approve-list", args=[study.code, the_list().pk])))
        assert "Split seed 1, shares of Unblinded statistician" in report
        assert report.count("Passed") >= 7
        assert "Failed" not in report
        assert "Which seed?" not in text_of(browser.get(address))  # it is used up

    def test_a_seed_is_given_up_on_its_page(self, study: Study, person):
        browser = Browser(person(Role.UNBLINDED_STATISTICIAN))
        with as_unblinded():
            split = a_split(study)
        address = reverse("end-split-seed", args=[study.code, split.pk])
        assert browser.post(address, why="").status_code == 422
        assert browser.post(address, why="Share lost").status_code == 302
        assert "Share lost" in text_of(browser.get(reverse("split-seed", args=[study.code])))
        assert browser.post(address, why="Again").status_code == 409
        gone = reverse("end-split-seed", args=[a_study(with_list=False).code, split.pk])
        assert browser.get(gone).status_code == 404
