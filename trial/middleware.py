"""What surrounds each request of a signed-in person."""

from collections.abc import Callable, Iterable
from datetime import UTC, datetime

from django.contrib.auth import logout
from django.contrib.auth.views import redirect_to_login
from django.http import HttpRequest, HttpResponse

from enrolment.access import studies_of
from iwrs import clock
from iwrs.accounts import sessions
from iwrs.models import Study
from iwrs.problems import Problem
from iwrs.views import problem_page

Answer = Callable[[HttpRequest], HttpResponse]
SIGNED_OUT_AFTER = 20 * 60  # seconds without a request


class BusinessClock:
    """Let the portal of a replayed study show the replay's present moment.

    A person who also works in a study at another time gets the real clock: what is recorded in a
    real study must never carry the moment of a replay.
    """

    def __init__(self, get_response: Answer) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        moment = moment_of(studies_of(request.user))
        if moment is None:
            return self.get_response(request)
        with clock.at(moment):
            return self.get_response(request)


def moment_of(studies: Iterable[Study]) -> datetime | None:
    """The replay's moment that all these studies share, or None: then the real clock counts."""
    moments = {each.replay_now for each in studies}
    return moments.pop() if len(moments) == 1 else None


class SignedInPages:
    """Keep pages of signed-in people out of caches, and end a session that nobody uses.

    However much it is used, it ends after `sessions.LONGEST`. Hospital computers are shared: the
    back button must not show the last person's subjects.
    """

    def __init__(self, get_response: Answer) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        if not request.user.is_authenticated:
            return self.get_response(request)
        if sessions.is_too_old(request.session):
            logout(request)
            return redirect_to_login(request.get_full_path())
        minute = f"{datetime.now(UTC):%Y-%m-%d %H:%M}"
        if request.session.get("minute") != minute:  # one write a minute, not one a request
            request.session["minute"] = minute
            request.session.set_expiry(SIGNED_OUT_AFTER)
        response = self.get_response(request)
        response.headers.setdefault("Cache-Control", "no-store, private")
        return response


class ProblemPages:
    """Show a refused act that no form caught as a page with its own status."""

    def __init__(self, get_response: Answer) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        return self.get_response(request)

    def process_exception(self, request: HttpRequest, exception: Exception) -> HttpResponse | None:
        if isinstance(exception, Problem):
            return problem_page(request, exception)
        return None
