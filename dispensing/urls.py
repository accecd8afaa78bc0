"""Addresses of room 3."""

from django.urls import path

from dispensing import views

urlpatterns = [
    path("dispensations/<int:pk>/assign/", views.AssignKit.as_view(), name="assign-kit"),
    path("dispensations/<int:pk>/hand-over/", views.HandOver.as_view(), name="hand-over"),
    path("subjects/<int:pk>/first-dose/", views.FirstDose.as_view(), name="first-dose"),
    path("subjects/<int:pk>/reduce/<slug:drug>/", views.ReduceDose.as_view(), name="reduce-dose"),
    path(
        "subjects/<int:pk>/reductions/<slug:level>/confirm/",
        views.ConfirmReduction.as_view(),
        name="confirm-reduction",
    ),
    path("subjects/<int:pk>/stop/<slug:drug>/", views.StopDrug.as_view(), name="stop-drug"),
]
