"""Sign in and out; included by both sites."""

from django.urls import path

from iwrs.accounts import views

urlpatterns = [
    path("sign-in/", views.sign_in, name="sign-in"),
    path("sign-out/", views.sign_out, name="sign-out"),
]
