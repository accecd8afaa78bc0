"""Addresses of room 2."""

from django.urls import path

from randomization import (
    views,
    views_drill,
    views_marks,
    views_openings,
    views_procedure,
    views_reconciliation,
)

urlpatterns = [
    path("subjects/<int:pk>/code-break/", views.AskCodeBreak.as_view(), name="ask-code-break"),
    path(
        "subjects/<int:pk>/randomized-in-error/",
        views_marks.MarkInError.as_view(),
        name="mark-in-error",
    ),
    path("subjects/<int:pk>/stratum/", views_marks.VerifyStratum.as_view(), name="verify-stratum"),
    path("code-breaks/<int:pk>/", views.ShowCode.as_view(), name="code-break"),
    path(
        "studies/<slug:code>/code-breaks/",
        views_reconciliation.CodeBreaks.as_view(),
        name="code-breaks",
    ),
    path(
        "studies/<slug:code>/code-breaks/<int:pk>/assess/",
        views_reconciliation.Assess.as_view(),
        name="assess-code-break",
    ),
    path(
        "centres/<int:pk>/emergency-procedure/",
        views_procedure.EmergencyProcedure.as_view(),
        name="emergency-procedure",
    ),
    path(
        "centres/<int:pk>/pack/opening/",
        views_openings.RecordOpening.as_view(),
        name="record-opening",
    ),
    path("centres/<int:pk>/drill/", views_drill.StartDrill.as_view(), name="drill"),
    path("drills/<int:pk>/request/", views_drill.RequestDrill.as_view(), name="request-drill"),
    path("drills/<int:pk>/", views_drill.ShowDrill.as_view(), name="show-drill"),
]
