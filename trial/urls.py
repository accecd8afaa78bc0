"""Root addresses of the blinded site: portal and API."""

from django.urls import include, path

from iwrs.views import health
from trial import views

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
    path("subjects/<int:pk>/randomized/", views.Randomized.as_view(), name="randomized"),
    path("studies/<slug:code>/accrual/", views.Accrual.as_view(), name="accrual"),
    path("", include("enrolment.urls")),
    path("", include("randomization.urls")),
    path("", include("dispensing.urls")),
    path("", include("assessments.urls")),
    path("", include("dsmb.urls")),
    path("api/", include("trial.api_urls")),
]
