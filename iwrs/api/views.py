"""What every endpoint shares: the client's study, its clock, and answering once."""

from collections.abc import Callable
from contextlib import ExitStack
from typing import Any, ClassVar

from django.http import HttpResponseBase
from rest_framework.permissions import AllowAny
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.serializers import Serializer
from rest_framework.views import APIView

from iwrs import clock
from iwrs.actors import Actor
from iwrs.api.idempotency import Answer, answer_once
from iwrs.api.parsers import OneJsonObject
from iwrs.api.problems import ApiProblem
from iwrs.models import EdcClient, Study


class StudyView(APIView):
    """An endpoint of the client's own study. `scopes` maps each method to the scope it needs."""

    scopes: ClassVar[dict[str, str]] = {}
    parser_classes = [OneJsonObject]
    http_method_names = ["get", "head", "post"]

    @property
    def client(self) -> EdcClient:
        token: Any = self.request.auth
        client: EdcClient = token.application
        return client

    @property
    def study(self) -> Study:
        """The one study that the client sees."""
        return self.client.study

    @property
    def actor(self) -> Actor:
        return Actor.client(self.client)

    def dispatch(self, request: Any, *args: Any, **kwargs: Any) -> HttpResponseBase:
        with ExitStack() as self.until_answered:
            return super().dispatch(request, *args, **kwargs)

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        super().initial(request, *args, **kwargs)
        # A study that is being replayed lives in its own present.
        if request.auth is not None and self.study.replay_now:
            self.until_answered.enter_context(clock.at(self.study.replay_now))

    def query(self, serializer: type[Serializer[Any]]) -> dict[str, Any]:
        """The query parameters, checked. Raises a validation error that names each wrong one."""
        asked = serializer(data=self.request.query_params.dict())
        asked.is_valid(raise_exception=True)
        return dict(asked.validated_data)

    def body(self, serializer: type[Serializer[Any]]) -> dict[str, Any]:
        """The request's body, checked. Raises a validation error that names each wrong field."""
        sent = serializer(data=self.request.data)
        sent.is_valid(raise_exception=True)
        return dict(sent.validated_data)

    def once(self, serve: Callable[[], Answer], *, key_required: bool = False) -> Response:
        """Answer with `serve`, or with what was answered first under the same key."""
        return answer_once(self.request, self.client.client_id, serve, key_required=key_required)


class Nowhere(APIView):
    """Every other address under /api/: a 404 in the API's own format."""

    authentication_classes = []
    permission_classes = [AllowAny]
    metadata_class = None

    def dispatch(self, request: Any, *args: Any, **kwargs: Any) -> HttpResponseBase:
        self.http_method_names = [str(request.method).lower()]
        setattr(self, str(request.method).lower(), self.nothing)
        return super().dispatch(request, *args, **kwargs)

    def nothing(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        raise ApiProblem("not_found")
