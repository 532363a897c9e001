"""Keeps what somebody typed in a form that came too late: a log-in had ended, or another began."""

from urllib.parse import urlencode

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.cache import add_never_cache_headers
from django.views.csrf import csrf_failure

# The name of the input that Django writes into each form.
CSRF_INPUT = "csrfmiddlewaretoken"


def offer_again(request: HttpRequest, *, status: int, page: str = "") -> HttpResponse | None:
    """Answer with a page that sends the same once more; None if there is nothing to keep.

    Files cannot be kept, and passwords are not written into a page.

    Args:
        request: What came too late.
        status: The answer's status.
        page: Where to go after a log-in, if somebody has to log in first.
    """
    entries = [
        (name, value)
        for name, values in request.POST.lists()
        if name != CSRF_INPUT
        for value in values
    ]
    if not entries or request.FILES or any("password" in name for name, _ in entries):
        return None
    login = f"{settings.LOGIN_URL}?{urlencode({'next': page})}" if page else ""
    answer = render(request, "kept.html", {"entries": entries, "login": login}, status=status)
    add_never_cache_headers(answer)
    return answer


def too_old(request: HttpRequest, reason: str = "") -> HttpResponse:
    """Answer a form whose token is not of this log-in: with its entries, if it is a form of ours.

    A browser says where a form comes from, and no page elsewhere can make it say something else.
    A live part of a page that is still there keeps what was typed by itself.
    """
    ours = f"{request.scheme}://{request.get_host()}"
    is_ours = request.headers.get("Origin") == ours and "HX-Request" not in request.headers
    if is_ours and settings.CSRF_COOKIE_NAME in request.COOKIES:
        kept = offer_again(request, status=403)
        if kept is not None:
            return kept
    return csrf_failure(request, reason)
