"""The endpoint by which applications subscribe an address, and the page that confirms it."""

import smtplib
from typing import Annotated

import msgspec
from django.core.exceptions import ValidationError
from django.core.validators import validate_email, validate_slug
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_http_methods, require_POST

from audience.consent.subscribing import ask_to_confirm, confirm, read_wish
from audience.incoming import KEY_LENGTH, Rejected, check_customer_key
from audience.models import Scope
from audience.refusing import refuse
from audience.sources.keys import find_source

BODY_BYTES = 4096
ADDRESS_LENGTH = 150


class Asked(msgspec.Struct, forbid_unknown_fields=True):
    """Who is to be asked whether they want what."""

    email: Annotated[str, msgspec.Meta(max_length=ADDRESS_LENGTH)]
    customer: Annotated[str, msgspec.Meta(max_length=KEY_LENGTH)] | None = None
    purpose: Annotated[str, msgspec.Meta(max_length=60)] = "marketing"


@csrf_exempt
@require_POST
def subscribe(request: HttpRequest) -> JsonResponse:
    """Ask the owner of an address to confirm; the answer never tells who is known."""
    scheme, _, key = request.headers.get("authorization", "").partition(" ")
    source = find_source(key.strip()) if scheme.lower() == "bearer" else None
    if source is None:
        return refuse(401, "Send the key of a source that may send events, as a Bearer token.")
    if Scope.EVENTS not in source.scopes:
        return refuse(403, "This key may not send events.")
    if len(request.body) > BODY_BYTES:
        return refuse(413, f"The body is larger than {BODY_BYTES} bytes.")
    try:
        asked = _read(request.body)
    except (msgspec.DecodeError, Rejected) as error:
        return refuse(422, str(error))
    try:
        ask_to_confirm(
            asked.email,
            key=asked.customer,
            purpose=asked.purpose,
            source=source.name,
            now=timezone.now(),
        )
    except (OSError, smtplib.SMTPException):
        return refuse(503, "No mail can be sent now; try again.")
    return JsonResponse({"status": "A mail asks the owner of the address to confirm."}, status=202)


def _read(body: bytes) -> Asked:
    """Return what is asked.

    Raises:
        msgspec.DecodeError: It is no JSON, or no such object.
        Rejected: A field is not what it should be.
    """
    asked = msgspec.json.decode(body, type=Asked)
    try:
        validate_email(asked.email)
        validate_slug(asked.purpose)
    except ValidationError as error:
        raise Rejected(" ".join(error.messages)) from error
    if asked.customer is not None:
        check_customer_key(asked.customer, what="customer")
    return asked


@csrf_exempt
@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def confirmation(request: HttpRequest, token: str) -> HttpResponse:
    """Ask, and confirm only what is posted: mail scanners follow links."""
    now = timezone.now()
    wish = read_wish(token, now=now)
    if wish is None:
        return render(request, "audience/bad_link.html", {"may_be_old": True}, status=404)
    is_done = request.method == "POST" and confirm(wish, now=now)
    context = {
        "wish": wish,
        "purpose": wish.purpose.replace("-", " ").replace("_", " "),
        "is_done": is_done,
        "is_gone": request.method == "POST" and not is_done,
    }
    return render(request, "audience/confirm.html", context)
