"""Addresses of room 4."""

from django.urls import path

from assessments import views
from assessments.corrections import views as corrections

urlpatterns = [
    path("visits/<int:pk>/record/", views.RecordVisit.as_view(), name="record-visit"),
    path("visits/<int:pk>/miss/", views.MissVisit.as_view(), name="miss-visit"),
    path("subjects/<int:pk>/central-read/", views.RecordCentralRead.as_view(), name="central-read"),
    path("subjects/<int:pk>/event/<slug:kind>/", views.RecordEvent.as_view(), name="event"),
    path("subjects/<int:pk>/contact/", views.RecordContact.as_view(), name="contact"),
    path("subjects/<int:pk>/facts/", corrections.RecordedFacts.as_view(), name="facts"),
    path(
        "facts/<slug:fact>/<int:pk>/correct/",
        corrections.Correct.as_view(),
        name="correct",
    ),
    path(
        "central-reads/<int:pk>/correct/",
        corrections.CorrectCentralRead.as_view(),
        name="correct-central-read",
    ),
]
