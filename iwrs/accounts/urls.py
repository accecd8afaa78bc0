"""Sign in and out, set and change a password; included by both sites.

Names with an underscore are django-allauth's: it asks for its own pages by them.
"""

from django.urls import path

from iwrs.accounts import views

urlpatterns = [
    path("sign-in/", views.sign_in, name="sign-in"),
    path("sign-in/", views.sign_in, name="account_login"),
    path("sign-out/", views.sign_out, name="sign-out"),
    path("set-password/", views.set_password_page, name="choose-password"),
    path("set-password/<str:who>/<str:token>/", views.take_link, name="set-password"),
    path("account/password/", views.change_password_page, name="change-password"),
]
