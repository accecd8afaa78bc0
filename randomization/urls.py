"""Addresses of room 2."""

from django.urls import path

from randomization import views

urlpatterns = [
    path("subjects/<int:pk>/code-break/", views.AskCodeBreak.as_view(), name="ask-code-break"),
    path("code-breaks/<int:pk>/", views.ShowCode.as_view(), name="code-break"),
]
