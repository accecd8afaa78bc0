"""Addresses of room 4."""

from django.urls import path

from assessments import views

urlpatterns = [
    path("visits/<int:pk>/record/", views.RecordVisit.as_view(), name="record-visit"),
    path("visits/<int:pk>/miss/", views.MissVisit.as_view(), name="miss-visit"),
    path("subjects/<int:pk>/central-read/", views.RecordCentralRead.as_view(), name="central-read"),
    path("subjects/<int:pk>/event/<slug:kind>/", views.RecordEvent.as_view(), name="event"),
    path("subjects/<int:pk>/contact/", views.RecordContact.as_view(), name="contact"),
]
