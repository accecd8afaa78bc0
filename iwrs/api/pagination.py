"""Lists in pages, cut by the number of the last object seen."""

from typing import TYPE_CHECKING, Any

from django.utils.encoding import iri_to_uri
from rest_framework import serializers
from rest_framework.pagination import BasePagination
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.utils.urls import replace_query_param

from iwrs.api.serializers import Strict

if TYPE_CHECKING:  # DRF's views import this module through the settings
    from rest_framework.views import APIView

DEFAULT_LIMIT = 100
MAX_LIMIT = 500


class Page(Strict):
    """The query parameters of a list."""

    after = serializers.CharField(
        required=False, max_length=12, help_text="Start behind the object with this number."
    )
    limit = serializers.IntegerField(
        required=False,
        default=DEFAULT_LIMIT,
        min_value=1,
        max_value=MAX_LIMIT,
        help_text="How many objects an answer holds at the most.",
    )


class ByNumber(BasePagination):
    """Objects with a `number`, in its order; `next` is the address of the following page.

    A page starts behind a number and not at a count, so that a subject who is added while an EDC
    system reads the list is neither skipped nor read twice. Two queries never become more.
    """

    def paginate_queryset(
        self, queryset: Any, request: Request, view: "APIView | None" = None
    ) -> list[Any]:
        asked = Page(data={k: v for k, v in request.query_params.items() if k in Page().fields})
        asked.is_valid(raise_exception=True)
        limit, after = asked.validated_data["limit"], asked.validated_data.get("after")
        if after:
            queryset = queryset.filter(number__gt=after)
        found = list(queryset.order_by("number")[: limit + 1])
        self.next = None
        if len(found) > limit:
            found = found[:limit]
            url = request.build_absolute_uri()
            self.next = iri_to_uri(replace_query_param(url, "after", found[-1].number))
        return found

    def get_paginated_response(self, data: Any) -> Response:
        return Response({"next": self.next, "results": data})
