"""Addresses of room 1."""

from django.urls import path

from enrolment import views, views_access, views_people, views_set_up

urlpatterns = [
    path("studies/<slug:code>/centres/add/", views_set_up.AddCentre.as_view(), name="add-centre"),
    path(
        "studies/<slug:code>/accrual/state/",
        views_set_up.ChangeAccrual.as_view(),
        name="change-accrual",
    ),
    path(
        "studies/<slug:code>/accrual/country/",
        views_set_up.CountryAccrualPage.as_view(),
        name="country-accrual",
    ),
    path(
        "studies/<slug:code>/people/add/",
        views_people.AddStudyPerson.as_view(),
        name="add-study-person",
    ),
    path(
        "studies/<slug:code>/people/<int:pk>/",
        views_people.PersonPage.as_view(),
        name="study-person",
    ),
    path(
        "studies/<slug:code>/people/<int:pk>/end/",
        views_people.EndAccess.as_view(),
        name="end-access",
    ),
    path(
        "studies/<slug:code>/people/<int:pk>/factors/",
        views_people.ResetFactors.as_view(),
        name="reset-factors",
    ),
    path(
        "studies/<slug:code>/roles/<int:pk>/end/",
        views_people.EndStudyRole.as_view(),
        name="end-study-role",
    ),
    path("studies/<slug:code>/access/", views_access.AccessList.as_view(), name="access"),
    path("studies/<slug:code>/access/csv/", views_access.AccessCsv.as_view(), name="access-csv"),
    path(
        "studies/<slug:code>/access/review/",
        views_access.ReviewAccess.as_view(),
        name="review-access",
    ),
    path(
        "centres/<int:pk>/delegation/", views_access.DelegationLog.as_view(), name="delegation-log"
    ),
    path(
        "centres/<int:pk>/delegation/csv/",
        views_access.DelegationCsv.as_view(),
        name="delegation-csv",
    ),
    path("centres/<int:pk>/people/", views_set_up.People.as_view(), name="people"),
    path("centres/<int:pk>/people/add/", views_set_up.AddPerson.as_view(), name="add-person"),
    path("centre-roles/<int:pk>/link/", views_set_up.PersonLink.as_view(), name="person-link"),
    path("centre-roles/<int:pk>/end/", views_set_up.EndRole.as_view(), name="end-centre-role"),
    path("centres/", views.CentreList.as_view(), name="centres"),
    path("centres/<int:pk>/", views.CentrePage.as_view(), name="centre"),
    path("centres/<int:pk>/activate/", views.ActivateCentre.as_view(), name="activate-centre"),
    path("centres/<int:pk>/suspend/", views.SuspendCentre.as_view(), name="suspend-centre"),
    path("centres/<int:pk>/close/", views_set_up.CloseCentre.as_view(), name="close-centre"),
    path("centres/<int:pk>/screen/", views.ScreenSubject.as_view(), name="screen"),
    path("subjects/<int:pk>/answers/", views.ChangeAnswers.as_view(), name="change-answers"),
    path("subjects/<int:pk>/failure/", views.RecordFailure.as_view(), name="screen-failure"),
    path("subjects/<int:pk>/rescreen/", views.Rescreen.as_view(), name="rescreen"),
    path("subjects/<int:pk>/deviation/", views.RequestDeviation.as_view(), name="ask-deviation"),
    path(
        "deviations/<int:pk>/approve/",
        views.ApproveDeviation.as_view(),
        name="approve-deviation",
    ),
]
