"""What services and mail servers tell of messages after they took them: bounces and complaints."""

from dataclasses import dataclass
from datetime import datetime

from audience.consent.record import record_consent
from audience.consent.suppression import suppress
from audience.models import Channel, ConsentState, SuppressionReason
from campaigns.models import Delivery, DeliveryState


@dataclass(frozen=True, slots=True)
class Told:
    """One such message.

    Attributes:
        message_id: The name of the message that it is about, as it was sent or as it was given.
        address: Whose it was, where that is said.
        is_complaint: Whether its receiver complained, instead of its not having arrived.
        is_final: Whether the address never takes anything; else it only was not delivered now.
        words: What was said.
    """

    message_id: str
    address: str
    is_complaint: bool = False
    is_final: bool = True
    words: str = ""


def record_told(told: Told, *, now: datetime) -> bool:
    """Write down what was told; return whether it was of a message of ours.

    A bounce or a complaint of a message that we never sent suppresses nobody: whoever can tell us
    such things could silence anybody's address.
    """
    delivery = (
        Delivery.objects.filter(provider_id__in=_names(told.message_id))
        .exclude(provider_id="")
        .select_related("customer", "campaign")
        .first()
    )
    if delivery is None:
        return False
    address = str(delivery.customer.attributes.get("email") or told.address)
    if told.is_complaint:
        suppress(address, channel=Channel.EMAIL, reason=SuppressionReason.COMPLAINT, now=now)
        record_consent(
            delivery.customer,
            channel=Channel.EMAIL,
            purpose=delivery.campaign.purpose,
            state=ConsentState.OPTED_OUT,
            source="complaint",
            evidence={"delivery": delivery.pk},
            now=now,
        )
        return True
    Delivery.objects.filter(pk=delivery.pk).update(
        state=DeliveryState.BOUNCED, reason=told.words[:200]
    )
    if told.is_final:
        suppress(address, channel=Channel.EMAIL, reason=SuppressionReason.BOUNCE, now=now)
    return True


def _names(message_id: str) -> list[str]:
    """Return a name with and without the brackets that some leave out."""
    bare = message_id.strip().strip("<>")
    return [bare, f"<{bare}>"] if bare else []
