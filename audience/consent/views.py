"""The pages of people who get our messages: unsubscribe, and choose what they want."""

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_http_methods

from audience.consent.links import Link, choose, find_choices, find_receiver, read_link, unsubscribe
from audience.models import Channel

# How mail programs say that somebody clicked once (RFC 8058, section 3.1).
ONE_CLICK = ("List-Unsubscribe", "One-Click")


@csrf_exempt
@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def preferences(request: HttpRequest, token: str) -> HttpResponse:
    """Ask, and change something only when it is posted: mail scanners follow links.

    Whoever has the link may, without a cookie of ours: mail programs have none. Whatever is posted
    that is no choice of preferences unsubscribes, so that no mail program's spelling is too odd.
    """
    link = read_link(token)
    if link is None:
        return render(request, "audience/bad_link.html", status=404)
    done = ""
    if request.method == "POST":
        done = _post(request, link)
    choices = [
        {
            "name": f"{channel}.{purpose}",
            "purpose": purpose.replace("-", " ").replace("_", " ").capitalize(),
            "channel": Channel(channel).label,
            "is_on": is_on,
        }
        for channel, purpose, is_on in find_choices(link)
    ]
    context = {
        "done": done,
        "choices": choices,
        "is_known": find_receiver(link) is not None,
        "is_subscribed": any(
            one["is_on"] for one in choices if one["name"] == f"{link.channel.value}.{link.purpose}"
        ),
        "purpose": link.purpose.replace("-", " ").replace("_", " "),
    }
    return render(request, "audience/preferences.html", context)


def _post(request: HttpRequest, link: Link) -> str:
    """Do what was asked for and say what was done."""
    now = timezone.now()
    if request.POST.get("save") == "preferences":
        wanted = {
            (channel, purpose)
            for channel, _, purpose in (one.partition(".") for one in request.POST.getlist("want"))
        }
        choose(link, wanted, now=now)
        return "saved"
    name, value = ONE_CLICK
    source = "one-click" if request.POST.get(name) == value else "link"
    unsubscribe(link, source=source, now=now)
    return "unsubscribed"
