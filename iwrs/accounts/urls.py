"""Sign in and out, set a password; included by both sites."""

from django.urls import path

from iwrs.accounts import views

urlpatterns = [
    path("sign-in/", views.sign_in, name="sign-in"),
    path("sign-out/", views.sign_out, name="sign-out"),
    path("set-password/<str:who>/<str:token>/", views.set_password_page, name="set-password"),
]
