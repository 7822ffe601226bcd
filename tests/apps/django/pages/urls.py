"""A site of one page."""

from django.http import HttpRequest, JsonResponse
from django.urls import path


def root(_: HttpRequest) -> JsonResponse:
    return JsonResponse({"shop": "open"})


urlpatterns = [path("", root)]
