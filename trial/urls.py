"""Root addresses of the blinded site: portal and API."""

from django.urls import include, path

from iwrs.views import health
from trial import views
from trial.audit.views import CsvCopy, PdfCopy, ReviewTrail, SubjectTrail, TrailPage
from trial.views_confirm import ConfirmRandomization
from trial.views_late import RandomizeLate

handler400 = "iwrs.views.bad_request"
handler403 = "iwrs.views.refused"
handler404 = "iwrs.views.not_found"
handler500 = "iwrs.views.failed"

urlpatterns = [
    path("", views.Home.as_view(), name="home"),
    path("health/", health, name="health"),
    path("", include("iwrs.accounts.urls")),
    path("subjects/", views.SubjectList.as_view(), name="subjects"),
    path("subjects/<int:pk>/", views.SubjectPage.as_view(), name="subject"),
    path("subjects/<int:pk>/randomize/", views.Randomize.as_view(), name="randomize"),
    path("subjects/<int:pk>/randomize/late/", RandomizeLate.as_view(), name="randomize-late"),
    path(
        "subjects/<int:pk>/confirm-randomization/",
        ConfirmRandomization.as_view(),
        name="confirm-randomization",
    ),
    path("subjects/<int:pk>/randomized/", views.Randomized.as_view(), name="randomized"),
    path("subjects/<int:pk>/audit/", SubjectTrail.as_view(), name="subject-audit"),
    path("studies/<slug:code>/audit/", TrailPage.as_view(), name="audit"),
    path("studies/<slug:code>/audit/csv/", CsvCopy.as_view(), name="audit-csv"),
    path("studies/<slug:code>/audit/pdf/", PdfCopy.as_view(), name="audit-pdf"),
    path("studies/<slug:code>/audit/review/", ReviewTrail.as_view(), name="audit-review"),
    path("studies/<slug:code>/accrual/", views.Accrual.as_view(), name="accrual"),
    path("", include("enrolment.urls")),
    path("", include("randomization.urls")),
    path("", include("dispensing.urls")),
    path("", include("assessments.urls")),
    path("", include("dsmb.urls")),
    path("api/", include("trial.api_urls")),
]
