"""How often and for how much: caps, and the counters that hold what is used up."""

from django.core.validators import MinValueValidator
from django.db import models
from django.db.models.functions import Now, NullIf
from django.db.models.lookups import Exact

from audience.models import Channel
from campaigns.deciding.limits import say_window
from campaigns.models.campaigns import Campaign
from campaigns.models.offers import Offer, Placement


class Counted(models.TextChoices):
    """What a cap counts."""

    DECISION = "decision", "Given out"
    IMPRESSION = "impression", "Seen"
    CLICK = "click", "Clicked"
    EVENT = "event", "Led to another event"


class CapWindow(models.TextChoices):
    """Over what time a cap counts."""

    EVER = "ever", "Ever"
    ROLLING = "rolling", "The last hours"
    DAY = "day", "The day"
    WEEK = "week", "The week, from Monday"
    MONTH = "month", "The month"


class Cap(models.Model):
    """At most so often, of one offer, campaign, placement or channel.

    Days, weeks and months are those of the customer's own clock where it is per customer, and
    of the site's where it is in total.
    """

    offer = models.ForeignKey(
        Offer, null=True, blank=True, on_delete=models.CASCADE, related_name="caps"
    )
    campaign = models.ForeignKey(
        Campaign, null=True, blank=True, on_delete=models.CASCADE, related_name="caps"
    )
    placement = models.ForeignKey(
        Placement, null=True, blank=True, on_delete=models.CASCADE, related_name="caps"
    )
    channel = models.CharField(max_length=16, blank=True, choices=Channel.choices)
    limit = models.PositiveIntegerField("at most", validators=[MinValueValidator(1)])
    is_per_customer = models.BooleanField("per customer", default=True)
    counts = models.CharField(max_length=10, choices=Counted.choices, default=Counted.DECISION)
    event = models.CharField(
        max_length=255,
        blank=True,
        help_text="Which other event. It has to name the decision or the offer.",
    )
    window = models.CharField(max_length=7, choices=CapWindow.choices, default=CapWindow.ROLLING)
    hours = models.PositiveIntegerField(
        null=True,
        blank=True,
        validators=[MinValueValidator(1)],
        help_text="Of the last hours: how many.",
    )
    created_at = models.DateTimeField(db_default=Now(), editable=False)

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=models.Q(
                    Exact(
                        models.Func(
                            "offer",
                            "campaign",
                            "placement",
                            NullIf("channel", models.Value("")),
                            function="num_nonnulls",
                            output_field=models.IntegerField(),
                        ),
                        1,
                    )
                ),
                name="cap_is_of_one_thing",
                violation_error_message="Choose one thing that the limit is of.",
            ),
            models.CheckConstraint(
                condition=models.Q(window="rolling", hours__isnull=False)
                | (~models.Q(window="rolling") & models.Q(hours__isnull=True)),
                name="rolling_cap_has_hours",
                violation_error_message="Say of how many last hours, and only then.",
            ),
            models.CheckConstraint(
                condition=(models.Q(counts="event") & ~models.Q(event=""))
                | (~models.Q(counts="event") & models.Q(event="")),
                name="cap_on_an_event_names_it",
                violation_error_message="Say which other event is counted, and only then.",
            ),
        ]

    def __str__(self) -> str:
        said = [
            f"At most {self.limit} {self.get_counts_display().lower()}",
            f"“{self.event}”" if self.event else "",
            "per customer" if self.is_per_customer else "in total",
            say_window(self.window, hours=self.hours),
        ]
        return " ".join(filter(None, said))


class Counter(models.Model):
    """How much of a limit is used up: offers given out, or cents spent.

    It is counted in the transaction that logs the decision, so it is right whatever breaks.
    """

    name = models.CharField(max_length=80, primary_key=True)
    used = models.PositiveBigIntegerField(default=0)

    def __str__(self) -> str:
        return f"{self.name}: {self.used}"
