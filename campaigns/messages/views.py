"""The pages on which a campaign's messages are written, looked at and tried."""

from django.contrib import messages
from django.contrib.admin.views.decorators import staff_member_required
from django.contrib.auth.decorators import permission_required
from django.core.exceptions import PermissionDenied, ValidationError
from django.db import transaction
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.views.decorators.clickjacking import xframe_options_sameorigin
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_POST, require_safe

from audience.models import Customer
from campaigns.channels.base import Draft, Refused, Unsure
from campaigns.lifecycle.status import lock_campaign
from campaigns.messages.forms import (
    MailForm,
    ReaderForm,
    StepForm,
    WebhookForm,
    make_form,
    to_initial,
)
from campaigns.models import UNSTARTED, Campaign, Message, Status, Step
from campaigns.sending.showing import find_reader, send_test, write_for
from campaigns.sending.step_conditions import describe_steps
from campaigns.templating.templates import Unrenderable

# A preview is somebody's HTML: it runs nothing, and nobody else's page shows it.
PREVIEW_POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; img-src 'self' https: data:; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'self'; sandbox"
)
CHANGE = "campaigns.change_campaign"
EDITABLE = {*UNSTARTED} - {Status.IN_REVIEW}
SAMPLE_CUSTOMERS = 10
NOWHERE = "nobody@example.com"


@staff_member_required
@permission_required("campaigns.view_campaign", raise_exception=True)
@transaction.atomic
def steps(request: HttpRequest, key: str) -> HttpResponse:
    """Show a campaign's messages one after the other, and take a further one."""
    campaign = _find(key)
    if request.method == "POST":
        if not _has_right(request):
            raise PermissionDenied
        campaign = lock_campaign(campaign)
    may_edit = _may_edit(request, campaign)
    form = StepForm(request.POST or None)
    if request.method == "POST" and may_edit and form.is_valid():
        return redirect("message", key=key, step_id=form.write(campaign).pk)
    context = {
        "campaign": campaign,
        "steps": describe_steps(campaign),
        "form": form,
        **_permission(request, campaign),
    }
    return render(request, "campaigns/messages.html", context)


@staff_member_required
@permission_required(CHANGE, raise_exception=True)
@transaction.atomic
def step_settings(request: HttpRequest, key: str, step_id: int) -> HttpResponse:
    """Let somebody say when a message is sent and to whom."""
    step = _find_step(key, step_id, is_changed=request.method == "POST")
    form = StepForm(request.POST or None, instance=step)
    may_save = request.method == "POST" and _may_edit(request, step.campaign)
    if may_save and form.is_valid() and form.is_current():
        form.write(step.campaign)
        return redirect("messages", key=key)
    context = {
        "campaign": step.campaign,
        "step": step,
        "form": form,
        **_permission(request, step.campaign),
    }
    return render(request, "campaigns/message_settings.html", context)


@staff_member_required
@permission_required(CHANGE, raise_exception=True)
@transaction.atomic
def remove(request: HttpRequest, key: str, step_id: int) -> HttpResponse:
    """Take a message out of its campaign, with all that is written, once somebody said so twice."""
    step = _find_step(key, step_id, is_changed=request.method == "POST")
    if not _may_edit(request, step.campaign):
        label = step.campaign.get_status_display().lower()
        messages.error(request, f"“{step.name}” stays: the campaign is {label} by now.")
        return redirect("messages", key=key)
    if request.method != "POST":
        context = {"campaign": step.campaign, "step": step, "written": step.messages.count()}
        return render(request, "campaigns/message_remove.html", context)
    step.delete()
    messages.success(request, f"“{step.name}” is taken out.")
    return redirect("messages", key=key)


@staff_member_required
@permission_required(CHANGE, raise_exception=True)
@transaction.atomic
def edit(request: HttpRequest, key: str, step_id: int) -> HttpResponse:
    """Let somebody write what a step says in one language."""
    step = _find_step(key, step_id, is_changed=request.method == "POST")
    language = request.GET.get("language", "")[:16]
    message = step.messages.filter(language=language).first()
    initial = to_initial(message) if message is not None else {}
    form = make_form(step.campaign.placement.channel, request.POST or None, initial=initial)
    may_edit = _may_edit(request, step.campaign)
    if request.method == "POST" and may_edit and form.is_valid() and form.is_current():
        saved = message or Message(step=step, language=language)
        _write(saved, form.draft)
        if error := _language_error(saved):
            messages.error(request, error)
        else:
            saved.save()
            messages.success(request, "The message is saved.")
            return redirect(f"{request.path}?language={language}" if language else request.path)
    context = {
        "campaign": step.campaign,
        "step": step,
        "form": form,
        "is_mail": isinstance(form, MailForm),
        "message": message,
        "language": language,
        "languages": sorted({*step.messages.values_list("language", flat=True), language, ""}),
        "reader": ReaderForm(initial={"to": getattr(request.user, "email", "")}),
        "customers": Customer.objects.filter(merged_into=None)[:SAMPLE_CUSTOMERS],
        **_permission(request, step.campaign),
    }
    return render(request, "campaigns/message.html", context)


@require_POST
@staff_member_required
@permission_required(CHANGE, raise_exception=True)
def preview(request: HttpRequest, key: str, step_id: int) -> HttpResponse:
    """Take a draft that is not saved, and answer with a frame that shows it, or what is wrong."""
    step = _find_step(key, step_id)
    form = make_form(step.campaign.placement.channel, request.POST)
    if not form.is_valid():
        return render(request, "campaigns/_preview.html", {"errors": _errors_of(form)})
    reader = find_reader(request.POST.get("as_customer", "").strip())
    if reader is None:
        errors = ["There is no such customer."]
        return render(request, "campaigns/_preview.html", {"errors": errors})
    try:
        to = str(reader[1].get("email") or NOWHERE)
        outgoing = write_for(
            step, form.draft, customer_key=reader[0], attributes=reader[1], to=to,
            now=timezone.now(),
        )  # fmt: skip
    except (Unrenderable, Refused) as error:
        return render(request, "campaigns/_preview.html", {"errors": [str(error)]})
    number = int(request.session.get("preview_number", 0)) + 1
    request.session["preview_number"] = number
    request.session["preview"] = outgoing.html
    context = {
        "campaign": step.campaign,
        "step": step,
        "number": number,
        "outgoing": outgoing,
        "subject": outgoing.subject.removeprefix("[Test] "),
        "json": "" if outgoing.html else outgoing.content.decode(),
    }
    return render(request, "campaigns/_preview.html", context)


@require_safe
@xframe_options_sameorigin
@staff_member_required
@permission_required(CHANGE, raise_exception=True)
def shown(request: HttpRequest, key: str, step_id: int) -> HttpResponse:
    """Answer with the mail that was last previewed, by itself."""
    answer = HttpResponse(request.session.get("preview", ""))
    answer.headers["Content-Security-Policy"] = PREVIEW_POLICY
    answer.headers["Cache-Control"] = "no-store"
    return answer


@require_POST
@staff_member_required
@permission_required(CHANGE, raise_exception=True)
def test(request: HttpRequest, key: str, step_id: int) -> HttpResponse:
    """Send a saved message to somebody who wants to see it."""
    step = _find_step(key, step_id)
    language = request.GET.get("language", "")[:16]
    message = get_object_or_404(Message, step=step, language=language)
    form = ReaderForm(request.POST)
    if not form.is_valid() or not form.cleaned_data["to"]:
        messages.error(request, "Write an e-mail address to send the test to.")
    else:
        try:
            send_test(
                message,
                to=form.cleaned_data["to"],
                as_customer=form.cleaned_data["as_customer"].strip(),
                now=timezone.now(),
            )
        except (ValueError, Refused, Unsure) as error:
            messages.error(request, f"The test was not sent: {error}")
        else:
            messages.success(request, f"A test is on its way to {form.cleaned_data['to']}.")
    target = redirect("message", key=key, step_id=step_id)
    if language:
        target["Location"] += f"?language={language}"
    return target


@csrf_exempt
def declining_test(request: HttpRequest, key: str) -> HttpResponse:
    """Say to who declines in a test that nothing was declined."""
    return render(request, "campaigns/declining_test.html", {})


def _find(key: str) -> Campaign:
    """Return a campaign that is sent."""
    campaign = get_object_or_404(
        Campaign.objects.select_related("placement", "experiment", "policy"), key=key
    )
    if not campaign.placement.is_sent:
        raise Http404
    return campaign


def _find_step(key: str, step_id: int, *, is_changed: bool = False) -> Step:
    """Return a message of a campaign; if it is changed, nobody starts or changes it meanwhile."""
    campaign = _find(key)
    if is_changed:
        campaign = lock_campaign(campaign)
    step = get_object_or_404(Step, pk=step_id, campaign=campaign)
    step.campaign = campaign
    return step


def _has_right(request: HttpRequest) -> bool:
    return bool(getattr(request.user, "has_perm", lambda _: False)(CHANGE))


def _may_edit(request: HttpRequest, campaign: Campaign) -> bool:
    return _has_right(request) and campaign.status in EDITABLE


def _permission(request: HttpRequest, campaign: Campaign) -> dict[str, bool]:
    """Tell a page whether it may be changed, whether what was sent is checked, or kept from it."""
    may_edit, is_sent = _may_edit(request, campaign), request.method == "POST"
    return {
        "may_edit": may_edit,
        "is_settled": campaign.status not in EDITABLE,
        "is_checked": is_sent and may_edit,
        "is_refused": is_sent and not may_edit,
    }


def _write(message: Message, draft: Draft) -> None:
    message.subject, message.preheader = draft.subject, draft.preheader
    message.body, message.text, message.html = draft.body, draft.text, draft.html


def _language_error(message: Message) -> str:
    try:
        message.clean_fields(exclude=["body", "text", "subject", "preheader", "html", "step"])
    except ValidationError as error:
        return " ".join(error.messages)
    return ""


def _errors_of(form: MailForm | WebhookForm) -> list[str]:
    return [
        str(error) if name == "__all__" else f"{form[name].label}: {error}"
        for name, errors in form.errors.items()
        for error in errors
    ]
