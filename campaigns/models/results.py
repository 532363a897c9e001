"""What campaigns were worth, as it was last computed."""

from django.db import models

from campaigns.models.campaigns import Campaign


class CampaignResult(models.Model):
    """A campaign against its hold-out, by segment and by offer: numbers, and no customer."""

    campaign = models.OneToOneField(
        Campaign, primary_key=True, on_delete=models.CASCADE, related_name="result"
    )
    computed_at = models.DateTimeField()
    # The longer it took, the later it is computed again.
    rests_until = models.DateTimeField()
    report = models.JSONField()

    def __str__(self) -> str:
        return f"{self.campaign} as of {self.computed_at}"
