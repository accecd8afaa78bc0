from django.apps import AppConfig


class EnrolmentConfig(AppConfig):
    name = "enrolment"

    def ready(self) -> None:
        from enrolment.letters import account_was_locked
        from iwrs.accounts.events import account_locked

        account_locked.connect(account_was_locked, dispatch_uid="enrolment.account_was_locked")
