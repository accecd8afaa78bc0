from django.apps import AppConfig


class EnrolmentConfig(AppConfig):
    name = "enrolment"

    def ready(self) -> None:
        from enrolment.letters import queue_letters
        from iwrs.accounts.events import recorded

        recorded.connect(queue_letters, dispatch_uid="enrolment.queue_letters")
