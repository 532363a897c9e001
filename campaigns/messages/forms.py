"""The forms of a campaign's messages."""

from collections.abc import Collection
from typing import Any

from django import forms
from django.core.exceptions import ValidationError

from audience.models import Audience
from audience.overwriting import CarefulForm
from campaigns.channels import CHANNELS
from campaigns.channels.base import Draft
from campaigns.mail.starters import DESIGNS, Plain, read_plain, to_mjml
from campaigns.models import Campaign, Message, Step
from campaigns.sending.step_conditions import Condition, Kind, read_condition
from campaigns.templating.checks import BadTemplate

PLAIN, EXPERT = "plain", "expert"
# What is written in a design, and becomes the body.
WRITTEN = ("design", "headline", "text", "button", "link", "image", "footer")
SAMPLE_BODY = '{"customer": "{{ customer.key | default("") }}", "offer": "{{ offer.key }}"}'


class StepForm(CarefulForm, forms.ModelForm):  # type: ignore[type-arg]  # not generic at run time
    """When a message of a campaign is sent, and to whom."""

    condition = forms.ChoiceField(
        label="For whom",
        help_text="Who does not meet it skips the message and goes on to the next one.",
    )
    audience = forms.ModelChoiceField(
        Audience.objects.order_by("name"), required=False, to_field_name="key"
    )

    class Meta:
        model = Step
        fields = ["name", "wait_minutes"]

    def __init__(self, *args: Any, **options: Any) -> None:
        """Show what the step asks; a rule that cannot be shown can be kept."""
        super().__init__(*args, **options)
        asked = read_condition(self.instance) if self.instance.pk else Condition()
        kinds = [kind for kind in Kind if kind is not Kind.OTHER or asked.kind is Kind.OTHER]
        field = self.fields["condition"]
        assert isinstance(field, forms.ChoiceField)
        field.choices = [(kind.value, kind.label) for kind in kinds]
        self.initial.update(condition=asked.kind.value, audience=asked.audience)

    def clean(self) -> dict[str, Any]:
        """Refuse a condition about no audience."""
        cleaned = super().clean() or {}
        is_about_one = cleaned.get("condition") in {Kind.MEMBER, Kind.NO_MEMBER}
        if is_about_one and not cleaned.get("audience"):
            self.add_error("audience", "Choose the audience.")
        return cleaned

    def write(self, campaign: Campaign) -> Step:
        """Save the step of this campaign; a new one comes last."""
        step: Step = self.save(commit=False)
        if step.pk is None:
            last = campaign.steps.last()
            step.campaign, step.position = campaign, 0 if last is None else last.position + 1
        kind, audience = Kind(self.cleaned_data["condition"]), self.cleaned_data["audience"]
        if kind is not Kind.OTHER:
            key = "" if audience is None else audience.key
            step.only_if = Condition(kind, key).to_rule(campaign.key)
        step.save()
        return step


class MailForm(CarefulForm, forms.Form):
    """A mail: its text in a design, or its MJML."""

    subject = forms.CharField(
        max_length=200,
        help_text='A customer\'s own name: {{ customer.first_name | default("there") }}.',
    )
    preheader = forms.CharField(
        max_length=200, required=False, help_text="What an inbox shows beside the subject."
    )
    mode = forms.ChoiceField(
        choices=[(PLAIN, "Write text in a design"), (EXPERT, "Edit the MJML")],
        widget=forms.RadioSelect,
        initial=PLAIN,
        label="How do you write it?",
    )
    design = forms.ChoiceField(choices=list(DESIGNS.items()), required=False)
    headline = forms.CharField(max_length=300, required=False, initial="{{ offer.headline }}")
    text = forms.CharField(
        widget=forms.Textarea(attrs={"rows": 8}),
        required=False,
        initial='Dear {{ customer.first_name | default("customer") }},\n\n{{ offer.text }}',
        help_text="An empty line begins a new paragraph.",
    )
    button = forms.CharField(max_length=100, required=False, initial="Take the offer")
    link = forms.CharField(
        max_length=1000,
        required=False,
        initial="{{ offer.link }}",
        help_text="Where the button leads.",
    )
    image = forms.CharField(max_length=1000, required=False, help_text="Address of a picture.")
    footer = forms.CharField(
        max_length=300, required=False, help_text="Such as who you are and your postal address."
    )
    body = forms.CharField(
        widget=forms.Textarea(attrs={"rows": 20, "spellcheck": "false"}),
        required=False,
        label="MJML",
    )
    plain_text = forms.CharField(
        widget=forms.Textarea(attrs={"rows": 6}),
        required=False,
        label="Text for readers without pictures",
        help_text="Empty: made of the mail.",
    )

    def clean(self) -> dict[str, Any]:
        """See that it can be sent."""
        cleaned = super().clean() or {}
        if self.errors:
            return cleaned
        self.draft = _check("email", self._to_draft(cleaned))
        return cleaned

    def passed_over(self) -> Collection[str]:
        """Return what the chosen way of writing does not save."""
        return ["body"] if self.cleaned_data["mode"] == PLAIN else WRITTEN

    def _to_draft(self, cleaned: dict[str, Any]) -> Draft:
        body = cleaned["body"]
        if cleaned["mode"] == PLAIN:
            given = {name: cleaned[name] for name in WRITTEN[1:]}
            plain = Plain(cleaned["design"] or "letter", **given)
            body = to_mjml(plain)
        return Draft(cleaned["subject"], cleaned["preheader"], body, cleaned["plain_text"])


class WebhookForm(CarefulForm, forms.Form):
    """A webhook: where to, and its JSON."""

    subject = forms.CharField(max_length=200, label="Address", help_text="Begins with https://.")
    body = forms.CharField(
        widget=forms.Textarea(attrs={"rows": 12, "spellcheck": "false"}),
        initial=SAMPLE_BODY,
        label="JSON",
    )

    def clean(self) -> dict[str, Any]:
        """See that it can be sent."""
        cleaned = super().clean() or {}
        if not self.errors:
            self.draft = _check("webhook", Draft(cleaned["subject"], "", cleaned["body"]))
        return cleaned


class ReaderForm(forms.Form):
    """As whom a message is looked at, and where a test goes."""

    as_customer = forms.CharField(
        required=False, label="As customer", help_text="Empty: one of whom nothing is known."
    )
    to = forms.EmailField(required=False, label="Send a test to")


def make_form(channel: str, *args: Any, **options: Any) -> MailForm | WebhookForm:
    """Return the form of a channel's messages."""
    form: type[MailForm | WebhookForm] = MailForm if channel == "email" else WebhookForm
    return form(*args, **options)


def to_initial(message: Message) -> dict[str, Any]:
    """Return what a message's form shows."""
    values: dict[str, Any] = {
        "subject": message.subject,
        "preheader": message.preheader,
        "body": message.body,
        "plain_text": message.text,
        "mode": EXPERT,
    }
    plain = read_plain(message.body)
    if plain is not None:
        values |= {"mode": PLAIN, **{name: getattr(plain, name) for name in WRITTEN}}
    return values


def _check(channel: str, draft: Draft) -> Draft:
    try:
        html = CHANNELS[channel].check(draft)
    except BadTemplate as error:
        raise ValidationError(str(error)) from error
    return Draft(draft.subject, draft.preheader, draft.body, draft.text, html)
