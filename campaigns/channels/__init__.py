"""The channels by which messages are sent, each in a file of its own."""

from collections.abc import Mapping

from campaigns.channels.base import Channel
from campaigns.channels.email import EmailChannel
from campaigns.channels.webhook import WebhookChannel

# By the values of `audience.models.Channel`.
CHANNELS: Mapping[str, Channel] = {"email": EmailChannel(), "webhook": WebhookChannel()}
