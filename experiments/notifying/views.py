"""The page on which somebody without an account leaves the digest."""

from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.utils import timezone
from django.views.decorators.csrf import csrf_exempt

from experiments.models import Subscriber


@csrf_exempt
def leave_digest(request: HttpRequest, token: str) -> HttpResponse:
    """Ask, and leave only when it is confirmed: mail scanners follow links, but send no forms.

    Mail programs post here with one click (RFC 8058), without our cookie: who knows the token may.
    """
    subscriber = get_object_or_404(Subscriber, token=token)
    if request.method == "POST" and subscriber.unsubscribed_at is None:
        subscriber.unsubscribed_at = timezone.now()
        subscriber.save(update_fields=["unsubscribed_at"])
    context = {"subscriber": subscriber, "is_gone": subscriber.unsubscribed_at is not None}
    return render(request, "experiments/digest/leave.html", context)
