from django.apps import AppConfig


class AccountsConfig(AppConfig):
    name = "iwrs.accounts"
    label = "accounts"
