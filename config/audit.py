"""Tells the database who is at it, for the record of changes."""

from collections.abc import Callable

from django.http import HttpRequest, HttpResponse

from audience.audit import changing_as

SAFE = ("GET", "HEAD", "OPTIONS")


def audit_middleware(
    get_response: Callable[[HttpRequest], HttpResponse],
) -> Callable[[HttpRequest], HttpResponse]:
    """Name whoever is logged in while a request may change something."""

    def answer(request: HttpRequest) -> HttpResponse:
        if request.method in SAFE or not request.user.is_authenticated:
            return get_response(request)
        with changing_as(request.user.get_username()):
            return get_response(request)

    return answer
