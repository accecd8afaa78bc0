"""Root addresses of the unblinded site: lists, kits, recipients' keys. No API."""

from django.urls import include, path

from dispensing.unblinded import views as kits
from dsmb.unblinded import views as releases
from dsmb.unblinded import views_packs as packs
from dsmb.unblinded import views_told as told
from dsmb.unblinded import views_unblinding as unblinding
from enrolment import views_access as access
from iwrs.views import health
from randomization.unblinded import views as lists
from randomization.unblinded import views_closing as closing
from randomization.unblinded import views_extension as extensions
from randomization.unblinded import views_forced as forced
from randomization.unblinded import views_seeds as seeds
from randomization.unblinded import views_simulation as simulations
from trial.audit import views as trails
from trial.views_unblinded import Home

handler400 = "iwrs.views.bad_request"
handler403 = "iwrs.views.refused"
handler404 = "iwrs.views.not_found"
handler500 = "iwrs.views.failed"

urlpatterns = [
    path("", Home.as_view(), name="home"),
    path("health/", health, name="health"),
    path("", include("iwrs.accounts.urls")),
    path(
        "studies/<slug:code>/",
        include(
            [
                path("audit/", trails.TrailPage.as_view(), name="audit"),
                path("audit/csv/", trails.CsvCopy.as_view(), name="audit-csv"),
                path("audit/pdf/", trails.PdfCopy.as_view(), name="audit-pdf"),
                path("audit/review/", trails.UnblindedReviewTrail.as_view(), name="audit-review"),
                path("access/", access.UnblindedAccessList.as_view(), name="access"),
                path("access/csv/", access.UnblindedAccessCsv.as_view(), name="access-csv"),
                path(
                    "access/review/", access.ReviewUnblindedAccess.as_view(), name="review-access"
                ),
                path("list/generate/", lists.GenerateList.as_view(), name="generate-list"),
                path("list/<int:pk>/close/", closing.CloseList.as_view(), name="close-list"),
                path("list/import/", lists.ImportList.as_view(), name="import-list"),
                path("list/seed/", seeds.SeedPage.as_view(), name="split-seed"),
                path("list/seed/commit/", seeds.CommitShare.as_view(), name="commit-share"),
                path("list/seed/<int:pk>/open/", seeds.OpenShare.as_view(), name="open-share"),
                path("list/seed/<int:pk>/end/", seeds.EndSplit.as_view(), name="end-split-seed"),
                path("list/<int:pk>/extend/", extensions.ExtendList.as_view(), name="extend-list"),
                path(
                    "list/extensions/<int:pk>/approve/",
                    extensions.ApproveExtension.as_view(),
                    name="approve-extension",
                ),
                path(
                    "list/extensions/<int:pk>/withdraw/",
                    extensions.WithdrawExtension.as_view(),
                    name="withdraw-extension",
                ),
                path("list/<int:pk>/approve/", lists.ApproveList.as_view(), name="approve-list"),
                path("list/forced/", forced.Forced.as_view(), name="forced-allocations"),
                path(
                    "list/forced/<int:pk>/",
                    forced.ForceAllocation.as_view(),
                    name="force-allocation",
                ),
                path(
                    "list/strata/<int:pk>/release/",
                    lists.ReleaseAllocation.as_view(),
                    name="release-allocation",
                ),
                path("simulations/", simulations.Simulations.as_view(), name="simulations"),
                path(
                    "simulations/ask/", simulations.AskSimulation.as_view(), name="ask-simulation"
                ),
                path(
                    "simulations/<int:number>/",
                    simulations.Simulation.as_view(),
                    name="simulation",
                ),
                path(
                    "simulations/<int:number>/pdf/",
                    simulations.SimulationPdf.as_view(),
                    name="simulation-pdf",
                ),
                path("kits/import/", kits.ImportKits.as_view(), name="import-kits"),
                path("kits/send/", kits.StockCentre.as_view(), name="stock-centre"),
                path(
                    "kits/centres/<int:pk>/release/",
                    kits.ReleaseKitCalls.as_view(),
                    name="release-kit-calls",
                ),
                path("packs/", packs.Packs.as_view(), name="packs"),
                path("packs/make/", packs.MakePacks.as_view(), name="make-packs"),
                path("packs/holders/add/", packs.RegisterHolder.as_view(), name="register-holder"),
                path("packs/holders/<int:pk>/end/", packs.EndHolder.as_view(), name="end-holder"),
                path("paper/", told.PaperNumbers.as_view(), name="paper-numbers"),
                path("paper/<int:pk>/", told.AcceptPaper.as_view(), name="accept-paper"),
                path("unblind/", unblinding.UnblindStudy.as_view(), name="unblind-study"),
                path("releases/", releases.Releases.as_view(), name="releases"),
                path("releases/key/", releases.RegisterKey.as_view(), name="register-key"),
            ]
        ),
    ),
]
