"""The roles of people who use the site, as Django groups: what each may do.

They are made, and put right, after every migration. Groups of your own stay as they are.
"""

from typing import Any

from django.apps import AppConfig
from django.apps import apps as current_apps
from django.apps.registry import Apps
from django.contrib.auth.management import create_permissions

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


def make_roles(*, app_config: AppConfig | None = None, apps: Apps = current_apps, **_: Any) -> None:
    """Make the groups and give them what they may do, as far as it is known yet.

    Args:
        app_config: The app that was migrated last; Django makes its permissions only after this.
        apps: The models as they were migrated, which may be some of them only.
    """
    if app_config is not None:
        create_permissions(app_config, verbosity=0, apps=apps)
    try:
        groups, permissions = apps.get_model("auth", "Group"), apps.get_model("auth", "Permission")
    except LookupError:
        return
    known = {
        f"{app}.{codename}": pk
        for pk, app, codename in permissions.objects.values_list(
            "pk", "content_type__app_label", "codename"
        )
    }
    # In few queries, for tests that empty the database come by here each time.
    groups.objects.bulk_create([groups(name=name) for name in ROLES], ignore_conflicts=True)
    made = dict(groups.objects.filter(name__in=ROLES).values_list("name", "pk"))
    wanted = {
        (made[name], known[one]) for name, role in ROLES.items() for one in role if one in known
    }
    grants = groups.permissions.through.objects
    given = set(grants.filter(group__in=made.values()).values_list("group_id", "permission_id"))
    grants.bulk_create(
        [grants.model(group_id=group, permission_id=one) for group, one in wanted - given],
        ignore_conflicts=True,
    )
    for group, one in given - wanted:
        grants.filter(group_id=group, permission_id=one).delete()
