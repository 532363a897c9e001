"""What people do about a customer on the customer's page: record consent, export, erase."""

import tempfile

from django.contrib import messages
from django.contrib.admin.views.decorators import staff_member_required
from django.contrib.auth.decorators import permission_required
from django.http import FileResponse, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.views.decorators.http import require_POST

from audience.consent.record import record_consent
from audience.customers.people import find_names
from audience.models import Channel, Consent, ConsentState
from audience.privacy.erasing import request_erasure
from campaigns.customers.views import find_customer
from campaigns.privacy import export_person


@require_POST
@staff_member_required
@permission_required("audience.change_consent", raise_exception=True)
def consent(request: HttpRequest, pk: int, consent_pk: int) -> HttpResponse:
    """Record what a customer said to somebody of ours."""
    person, ids = find_names(find_customer(pk))
    known = get_object_or_404(Consent, customer__in=ids, pk=consent_pk)
    state = ConsentState.OPTED_IN if request.POST.get("state") == "in" else ConsentState.OPTED_OUT
    record_consent(
        person,
        channel=Channel(known.channel),
        purpose=known.purpose,
        state=state,
        source="staff",
        evidence={"by": request.user.get_username()},
        now=timezone.now(),
    )
    messages.success(request, "The change is recorded, and counts from now on.")
    return redirect("customer", person.pk)


@require_POST
@staff_member_required
@permission_required("audience.export_customer", raise_exception=True)
def export(request: HttpRequest, pk: int) -> FileResponse:
    """Download all that is known of a customer."""
    person, _ = find_names(find_customer(pk))
    file = tempfile.TemporaryFile()  # noqa: SIM115 - the response closes it
    export_person(person, file)
    file.seek(0)
    return FileResponse(file, as_attachment=True, filename=f"customer-{person.pk}.zip")


@staff_member_required
@permission_required("audience.erase_customer", raise_exception=True)
def erase(request: HttpRequest, pk: int) -> HttpResponse:
    """Ask for the key, which nobody writes by mistake, and have a worker erase the customer."""
    person, _ = find_names(find_customer(pk))
    is_wrong = False
    if request.method == "POST":
        if request.POST.get("key", "") == person.external_key:
            request_erasure(person, by=request.user.get_username(), now=timezone.now())
            messages.success(request, "The customer is being erased; it takes about a minute.")
            return redirect("customer-search")
        is_wrong = True
    return render(request, "campaigns/erase.html", {"customer": person, "is_wrong": is_wrong})
