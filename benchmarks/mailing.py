"""A site whose campaign is about to be sent to many, and the mail server that it is sent to."""

import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from benchmarks.serving import HOST, ROOT, free_port, run_in_shell, wait_for_port

# Eight offers, personal text, links that are followed: 8 kB of HTML.
SETUP = """
from django.db import connection
from django.utils import timezone
from campaigns.channels import CHANNELS
from campaigns.lifecycle.drafting import CampaignPlan, Split, add_offers, draft_campaign
from campaigns.lifecycle.status import start_campaign
from campaigns.models import Campaign, Message, Offer, Placement, Step
from campaigns.sending.writing import to_draft
from experiments.models import Metric

with connection.cursor() as cursor:
    cursor.execute('''
        INSERT INTO audience_customer (external_key, attributes)
        SELECT 'c' || n, jsonb_build_object(
            'email', 'reader' || n || '@mail.example', 'first_name', 'Reader ' || n,
            'points', n % 500, 'timezone', 'Europe/Berlin',
            'products', jsonb_build_array(
                jsonb_build_object('name', 'Lamp ' || n), jsonb_build_object('name', 'Chair')))
        FROM generate_series(1, COUNT) AS n''')
    cursor.execute('''
        INSERT INTO audience_consent (customer_id, channel, purpose, state)
        SELECT id, 'email', 'marketing', 'opted_in' FROM audience_customer''')
    cursor.execute('ANALYZE audience_customer, audience_consent')
goal = Metric.objects.create(
    key='c', name='Conversion', kind='conversion', params={'event': 'Order Completed'})
placement = Placement.objects.create(key='mails', name='Mails', channel='email')
campaign = draft_campaign(CampaignPlan(
    key='spring', name='Spring', placement=placement, goal=goal, planned_customers=1000,
    split=Split(holdout_percent=5)))
add_offers(campaign, [
    Offer.objects.create(key=f'o{i}', name=f'Offer {i}', headline=f'{i}0% off',
                         link='https://shop.example/offers/{i}') for i in range(8)])
Campaign.objects.filter(pk=campaign.pk).update(quiet_from=None, quiet_until=None)
paragraph = 'A paragraph as such mails have them, with some words about what is new. ' * 6
section = '<mj-section><mj-column>{}</mj-column></mj-section>'
body = '<mjml><mj-body>' + section.format(
    '<mj-text>Dear {{ customer.first_name | default("friend") }},</mj-text>'
    '<mj-text>{{ offer.headline }} for your {{ customer.points | default(0) }} points: '
    '{% for product in customer.products %}{{ product.name | default("") }} {% endfor %}</mj-text>'
    '<mj-button href="{{ offer.link }}">Take it</mj-button>'
    + ('<mj-text>' + paragraph + '</mj-text>') * 4
    + '<mj-button href="https://shop.example/new?from=mail">All that is new</mj-button>'
    + '<mj-text><a href="{{ message.unsubscribe_url }}">Unsubscribe</a></mj-text>'
) + '</mj-body></mjml>'
step = Step.objects.create(campaign=campaign, name='Mail')
message = Message(
    step=step, body=body, subject='{{ customer.first_name | default("Friend") }}, look at this')
message.html = CHANNELS['email'].check(to_draft(message))
message.save()
campaign.refresh_from_db()
start_campaign(campaign, by=None, now=timezone.now())
"""
ENROL = """
from django.utils import timezone
from campaigns.sending.enrolling import enrol_due
print(enrol_due(now=timezone.now()))
"""


def make_campaign(environment: Mapping[str, str], count: int) -> None:
    """Start a campaign for so many customers, and put them all down for it."""
    run_in_shell(environment, SETUP.replace("COUNT", str(count)))
    run_in_shell(environment, ENROL)


@contextmanager
def mail_sink(log: Path | None = None) -> Iterator[int]:
    """Run a mail server of its own process; yield its port."""
    port = free_port()
    words = [sys.executable, "-m", "benchmarks.mail_sink", str(port)]
    sink = subprocess.Popen([*words, *([] if log is None else [str(log)])], cwd=ROOT)
    try:
        wait_for_port(port)
        yield port
    finally:
        sink.kill()
        sink.wait()


def mailing(environment: Mapping[str, str], port: int) -> Mapping[str, str]:
    """Return an environment whose mails go to this port."""
    return {
        **environment,
        "EMAIL_HOST": HOST,
        "EMAIL_PORT": str(port),
        "EMAIL_TLS": "no",
        "EMAIL_FROM": "Shop <shop@shop.example>",
        "OFFERLAB_SITE_URL": "https://lab.example",
        "SECRET_KEY": "a key of this benchmark alone, of no use to anybody elsewhere",
    }
