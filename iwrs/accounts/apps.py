from django.apps import AppConfig


class AccountsConfig(AppConfig):
    name = "iwrs.accounts"
    label = "accounts"

    def ready(self) -> None:
        from iwrs.accounts import checks  # noqa: F401
