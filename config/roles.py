"""The roles of people who use the site, as Django groups: what each may do.

They are made, and put right, after every migration. Groups of your own stay as they are.
"""

from typing import Any

from django.apps import apps
from django.contrib.auth.management import create_permissions
from django.contrib.auth.models import Group, Permission

_SEE = (
    "audience.view_audience",
    "audience.view_consent",
    "audience.view_customer",
    "campaigns.view_campaign",
    "campaigns.view_campaignoffer",
    "campaigns.view_offer",
    "campaigns.view_placement",
    "experiments.view_experiment",
    "experiments.view_metric",
    "recommender.view_challenger",
    "recommender.view_policy",
    "recommender.view_policyversion",
    "recommender.view_publishinghold",
    "recommender.view_ranking",
)
_ANALYSE = (
    "experiments.peek_at_results",
    "experiments.add_metric",
    "experiments.change_metric",
    "experiments.add_replay",
    "experiments.analyse_experiment",
)
_MARKET = (
    "audience.add_audience",
    "audience.change_audience",
    "audience.delete_audience",
    "audience.view_source",
    "campaigns.add_campaign",
    "campaigns.change_campaign",
    "campaigns.add_campaignoffer",
    "campaigns.change_campaignoffer",
    "campaigns.delete_campaignoffer",
    "campaigns.add_offer",
    "campaigns.change_offer",
    "campaigns.add_placement",
    "campaigns.change_placement",
    "experiments.add_experiment",
    "experiments.change_experiment",
    "experiments.run_experiment",
    "experiments.add_metric",
    "experiments.analyse_experiment",
    "recommender.add_challenger",
    "recommender.add_ranking",
    "recommender.change_ranking",
)

_PRIVACY = (
    "audience.change_consent",
    "audience.erase_customer",
    "audience.export_customer",
    "audience.view_erasure",
)

_APPROVE = (
    "campaigns.approve_campaign",
    "experiments.approve_experiment",
    "recommender.pin_policyversion",
    "recommender.promote_challenger",
    "recommender.release_publishinghold",
)

ROLES: dict[str, tuple[str, ...]] = {
    "Viewer": _SEE,
    "Analyst": (*_SEE, *_ANALYSE),
    "Marketer": (*_SEE, *_MARKET),
    "Approver": (*_SEE, *_APPROVE),
    "Auditor": (*_SEE, "audience.view_auditentry", "audience.view_erasure"),
    "Privacy officer": (*_SEE, *_PRIVACY),
}
# An administrator is a superuser, who may do everything.


def make_roles(**_: Any) -> None:
    """Make the groups and give them what they may do, as far as it is known yet."""
    for app in apps.get_app_configs():
        # Each app's come with its own signal, which may follow this one.
        create_permissions(app, verbosity=0)
    known = {
        f"{permission.content_type.app_label}.{permission.codename}": permission
        for permission in Permission.objects.select_related("content_type")
    }
    for name, wanted in ROLES.items():
        group, _created = Group.objects.get_or_create(name=name)
        group.permissions.set([known[one] for one in dict.fromkeys(wanted) if one in known])
