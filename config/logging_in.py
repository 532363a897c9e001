"""What becomes of a request whose log-in has ended, beside the way to a new one."""

from collections.abc import Callable
from urllib.parse import urlencode, urlsplit

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse

from config.kept_entries import offer_again

SAFE = ("GET", "HEAD")


def login_middleware(
    get_response: Callable[[HttpRequest], HttpResponse],
) -> Callable[[HttpRequest], HttpResponse]:
    """Lead back to a page, keep what was typed on one, and put no log-in into a part of one.

    A script would follow to the log-in and show it in the place of what it asked for.
    """

    def answer(request: HttpRequest) -> HttpResponse:
        response = get_response(request)
        login = str(settings.LOGIN_URL)
        if response.headers.get("Location", "").partition("?")[0] != login:
            return response
        if request.headers.get("HX-Request") == "true":
            return render(request, "logged_out.html", {"page": _page_of(request)}, status=401)
        if request.method not in SAFE:
            kept = offer_again(request, status=401, page=_page_of(request))
            if kept is not None:
                return kept
            response.headers["Location"] = f"{login}?{urlencode({'next': _page_of(request)})}"
        return response

    return answer


def _page_of(request: HttpRequest) -> str:
    """Return the address of the page of ours from which a request came, or of the first one."""
    page = urlsplit(request.headers.get("HX-Current-URL") or request.headers.get("Referer", ""))
    if page.netloc != request.get_host():
        return reverse("home")
    return f"{page.path}?{page.query}" if page.query else page.path
