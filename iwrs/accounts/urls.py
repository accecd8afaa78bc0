"""Sign in and out, set and change a password; included by both sites.

Names with an underscore are django-allauth's: it asks for its own pages by them.
"""

from django.urls import path

from iwrs.accounts import directory, passkeys, views
from iwrs.accounts import views_factors as factors

urlpatterns = [
    path("sign-in/", views.sign_in, name="sign-in"),
    path("sign-in/", views.sign_in, name="account_login"),
    path("sign-out/", views.sign_out, name="sign-out"),
    path("forgotten-password/", views.forgotten_password, name="forgotten-password"),
    path("set-password/", views.set_password_page, name="choose-password"),
    path("set-password/<str:who>/<str:token>/", views.take_link, name="set-password"),
    path("sign-in/code/", factors.SecondStep.as_view(), name="mfa_authenticate"),
    path("sign-in/with/<slug:provider_id>/", directory.to_directory, name="openid_connect_login"),
    path(
        "sign-in/with/<slug:provider_id>/back/",
        directory.from_directory,
        name="openid_connect_callback",
    ),
    path("sign-in/passkey/", passkeys.SignInByPasskey.as_view(), name="mfa_login_webauthn"),
    path("account/", factors.account_page, name="mfa_index"),
    path("account/sessions/", factors.sessions_page, name="sessions"),
    path("account/stay/", factors.stay, name="stay"),
    path("account/password/", views.change_password_page, name="change-password"),
    path("account/again/", factors.PasswordAgain.as_view(), name="account_reauthenticate"),
    path("account/again/code/", factors.CodeAgain.as_view(), name="mfa_reauthenticate"),
    path(
        "account/again/passkey/",
        passkeys.PasskeyAgain.as_view(),
        name="mfa_reauthenticate_webauthn",
    ),
    path("account/passkeys/new/", passkeys.AddPasskey.as_view(), name="mfa_add_webauthn"),
    path(
        "account/passkeys/<int:pk>/remove/",
        passkeys.RemovePasskey.as_view(),
        name="mfa_remove_webauthn",
    ),
    path("account/app/", factors.ActivateApp.as_view(), name="mfa_activate_totp"),
    path("account/app/remove/", factors.RemoveApp.as_view(), name="mfa_deactivate_totp"),
    path("account/codes/", factors.RecoveryCodes.as_view(), name="mfa_view_recovery_codes"),
    path(
        "account/codes/new/", factors.NewRecoveryCodes.as_view(), name="mfa_generate_recovery_codes"
    ),
]
