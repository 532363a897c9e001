"""The step of when, how often and for how much; what is sent has hours of quiet too."""

from collections.abc import Mapping
from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.db import transaction

from campaigns.lifecycle.design import SENT_FIELDS
from campaigns.models import Campaign, Cap, CapWindow, Counted, Enrolment, Pacing
from campaigns.setup.base import Step

ON_SITE = ("priority", "hold_minutes")
ALWAYS = ("starts_at", "ends_at", "budget_pacing")
CAP_ROWS = 2


def _moment(label: str, help_text: str) -> forms.DateTimeField:
    widget = forms.DateTimeInput(attrs={"type": "datetime-local"}, format="%Y-%m-%dT%H:%M")
    return forms.DateTimeField(required=False, label=label, help_text=help_text, widget=widget)


def _clock(label: str, help_text: str = "") -> forms.TimeField:
    widget = forms.TimeInput(attrs={"type": "time"}, format="%H:%M")
    return forms.TimeField(required=False, label=label, help_text=help_text, widget=widget)


class ScheduleStep(Step):
    """When it runs, what it may cost, and how often a customer may get it."""

    title = "Schedule and limits"
    explanation = "When it runs, what it may cost, and how often one customer may get it."
    template = "campaigns/setup/schedule.html"

    starts_at = _moment("Starts", "In UTC. Empty: when somebody starts it.")
    ends_at = _moment("Ends", "In UTC. Empty: when somebody finishes it.")
    budget = forms.DecimalField(
        required=False,
        min_value=0,
        max_value=10**12,
        decimal_places=2,
        help_text="What the offers given out may cost together. Empty: no limit.",
    )
    budget_pacing = forms.ChoiceField(
        choices=Pacing.choices,
        label="The budget is spent",
        widget=forms.RadioSelect,
        help_text="Evenly: what is not spent in time is spent later, and nothing before its time. "
        "Where it earns most: offers that cost something, or are limited in total, go to those "
        "with whom they earn most, and last until the end.",
    )
    priority = forms.IntegerField(
        min_value=0,
        max_value=32_767,
        help_text="Among the campaigns of a placement, the lowest number decides.",
    )
    hold_minutes = forms.IntegerField(
        min_value=0,
        max_value=525_600,
        label="Minutes that an offer stays",
        help_text="For so long a customer sees the same offer again.",
    )
    enrolment = forms.ChoiceField(
        choices=Enrolment.choices, label="Is sent", widget=forms.RadioSelect
    )
    again_after_days = forms.IntegerField(
        required=False,
        min_value=1,
        max_value=32_767,
        label="Again after days",
        help_text="Who is in the audience then gets it again. Empty: nobody gets it twice.",
    )
    send_time = _clock(
        "Time of day", "Of each customer's own clock. Empty: as soon as it may be sent."
    )
    quiet_from = _clock("Nothing is sent from")
    quiet_until = _clock("until", "Of each customer's own clock.")
    stops_on_goal = forms.BooleanField(
        required=False, label="Who reached the goal gets no further message"
    )
    purpose = forms.SlugField(
        max_length=60, help_text="What customers agreed to be written to about."
    )

    def __init__(self, campaign: Campaign, data: Mapping[str, Any] | None = None) -> None:
        """Ask only what the placement needs."""
        super().__init__(campaign, data)
        for name in ON_SITE if campaign.placement.is_sent else SENT_FIELDS:
            del self.fields[name]
        for row in range(CAP_ROWS):
            self._add_cap(row)

    def _add_cap(self, row: int) -> None:
        """Ask for one more limit."""
        number = row + 1
        self.fields |= {
            f"cap{row}_limit": forms.IntegerField(
                required=False, min_value=1, max_value=10**9, label=f"Limit {number}: at most"
            ),
            f"cap{row}_counts": forms.ChoiceField(
                choices=Counted.choices, label=f"Limit {number}: what is counted"
            ),
            f"cap{row}_event": forms.CharField(
                required=False, max_length=255, label=f"Limit {number}: which other event"
            ),
            f"cap{row}_per": forms.ChoiceField(
                choices=[("customer", "per customer"), ("total", "in total")],
                label=f"Limit {number}: for whom",
            ),
            f"cap{row}_window": forms.ChoiceField(
                choices=CapWindow.choices, label=f"Limit {number}: over what time"
            ),
            f"cap{row}_hours": forms.IntegerField(
                required=False, min_value=1, max_value=8760, label=f"Limit {number}: how many hours"
            ),
        }

    @property
    def shown(self) -> list[forms.BoundField]:
        """All but the limits, which are rows of a table."""
        return [field for field in self if not field.name.startswith("cap")]

    @property
    def caps(self) -> list[list[forms.BoundField]]:
        """The rows of limits."""
        parts = ("limit", "counts", "event", "per", "window", "hours")
        return [[self[f"cap{row}_{part}"] for part in parts] for row in range(CAP_ROWS)]

    @classmethod
    def read(cls, campaign: Campaign) -> dict[str, Any]:
        """Return what the draft says."""
        found: dict[str, Any] = {
            name: getattr(campaign, name) for name in (*ALWAYS, *ON_SITE, *SENT_FIELDS)
        }
        cents = campaign.budget_cents
        found["budget"] = None if cents is None else f"{cents / 100:.2f}"
        for row, cap in enumerate(campaign.caps.order_by("pk")[:CAP_ROWS]):
            found |= {
                f"cap{row}_limit": cap.limit,
                f"cap{row}_counts": cap.counts,
                f"cap{row}_event": cap.event,
                f"cap{row}_per": "customer" if cap.is_per_customer else "total",
                f"cap{row}_window": cap.window,
                f"cap{row}_hours": cap.hours,
            }
        return found

    def clean(self) -> dict[str, Any]:
        """Refuse an end before the start, half of quiet hours and limits without their hours."""
        cleaned = super().clean() or {}
        starts, ends = cleaned.get("starts_at"), cleaned.get("ends_at")
        if starts and ends and ends <= starts:
            self.add_error("ends_at", "The end must come after the start.")
        self._check_pacing(cleaned)
        quiet = [cleaned.get("quiet_from"), cleaned.get("quiet_until")]
        if (quiet[0] is None) is not (quiet[1] is None) or (quiet[0] and quiet[0] == quiet[1]):
            self.add_error("quiet_until", "Quiet hours need a beginning and another end.")
        for row in range(CAP_ROWS):
            if cleaned.get(f"cap{row}_limit") is None:
                continue
            is_rolling = cleaned.get(f"cap{row}_window") == CapWindow.ROLLING
            if is_rolling and cleaned.get(f"cap{row}_hours") is None:
                self.add_error(f"cap{row}_hours", "Say of how many last hours.")
            is_other = cleaned.get(f"cap{row}_counts") == Counted.EVENT
            if is_other and not cleaned.get(f"cap{row}_event"):
                self.add_error(f"cap{row}_event", "Say which other event is counted.")
        return cleaned

    def _check_pacing(self, cleaned: Mapping[str, Any]) -> None:
        pacing, ends = cleaned.get("budget_pacing"), cleaned.get("ends_at")
        if pacing == Pacing.EVEN and (cleaned.get("budget") is None or not ends):
            words = "To be spent evenly, a budget needs an amount and the campaign's end."
            self.add_error("budget_pacing", words)
        if pacing == Pacing.DUAL and not ends:
            words = "To be spent where it earns most until the end, it needs the campaign's end."
            self.add_error("budget_pacing", words)

    def write(self) -> None:
        """Save it; the rows of limits are all that the campaign has."""
        cleaned, campaign = self.cleaned_data, self.campaign
        names = [name for name in (*ALWAYS, *ON_SITE, *SENT_FIELDS) if name in self.fields]
        for name in names:
            setattr(campaign, name, cleaned[name])
        budget = cleaned["budget"]
        campaign.budget_cents = None if budget is None else round(budget * 100)
        try:
            with transaction.atomic():
                campaign.save(update_fields=[*names, "budget_cents"])
                campaign.caps.all().delete()
                Cap.objects.bulk_create(self._caps())
        except OverflowError as error:
            raise ValidationError("A number is too large.") from error

    def _caps(self) -> list[Cap]:
        cleaned = self.cleaned_data
        return [
            Cap(
                campaign=self.campaign,
                limit=cleaned[f"cap{row}_limit"],
                counts=cleaned[f"cap{row}_counts"],
                event=(
                    cleaned[f"cap{row}_event"]
                    if cleaned[f"cap{row}_counts"] == Counted.EVENT
                    else ""
                ),
                is_per_customer=cleaned[f"cap{row}_per"] == "customer",
                window=cleaned[f"cap{row}_window"],
                hours=(
                    cleaned[f"cap{row}_hours"]
                    if cleaned[f"cap{row}_window"] == CapWindow.ROLLING
                    else None
                ),
            )
            for row in range(CAP_ROWS)
            if cleaned[f"cap{row}_limit"] is not None
        ]
