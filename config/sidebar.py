"""What the admin's sidebar leads to, each for those who may see it."""

from typing import Any

from django.http import HttpRequest
from django.urls import reverse_lazy


def _lead(title: str, icon: str, name: str, *, seen_by: str) -> dict[str, Any]:
    """Make one entry: its title, its icon, the name of its address, and whose right it takes."""

    def may_see(request: HttpRequest) -> bool:
        return bool(request.user.has_perm(seen_by))

    return {"title": title, "icon": icon, "link": reverse_lazy(name), "permission": may_see}


def _list(title: str, icon: str, model: str) -> dict[str, Any]:
    """Make an entry for the admin's own list of a model, such as `campaigns.offer`."""
    app, _, name = model.partition(".")
    return _lead(title, icon, f"admin:{app}_{name}_changelist", seen_by=f"{app}.view_{name}")


_CAMPAIGNS, _EXPERIMENTS = "campaigns.view_campaign", "experiments.view_experiment"

NAVIGATION = [
    {
        "title": "Marketing",
        "items": [
            _list("Campaigns", "campaign", "campaigns.campaign"),
            _lead("Audiences", "groups", "audiences", seen_by="audience.view_audience"),
            _lead("To approve", "fact_check", "campaign-approvals", seen_by=_CAMPAIGNS),
            _list("Rankings", "format_list_numbered", "recommender.ranking"),
            _lead(
                "Calendar of campaigns",
                "calendar_month",
                "campaign-calendar",
                seen_by=_CAMPAIGNS,
            ),
            _list("Offers", "sell", "campaigns.offer"),
            _list("Placements", "dashboard_customize", "campaigns.placement"),
        ],
    },
    {
        "title": "Proof",
        "items": [
            _lead("Experiments", "science", "experiments", seen_by=_EXPERIMENTS),
            _lead("Calendar of experiments", "calendar_month", "calendar", seen_by=_EXPERIMENTS),
            _lead("Metrics", "monitoring", "metrics", seen_by="experiments.view_metric"),
            _lead("A/A replays", "replay", "replays", seen_by=_EXPERIMENTS),
            _lead("All campaigns", "join", "campaign-holdout", seen_by=_CAMPAIGNS),
            _lead("Programme", "trending_up", "programme", seen_by=_EXPERIMENTS),
            _list("Digest", "mail", "experiments.subscriber"),
            _list("Webhooks", "webhook", "experiments.endpoint"),
            _list("Policies", "psychology", "recommender.policy"),
            _list("Challengers", "swords", "recommender.challenger"),
        ],
    },
    {
        "title": "Data",
        "items": [
            _list("Customers", "group", "audience.customer"),
            _lead(
                "Find a customer",
                "person_search",
                "customer-search",
                seen_by="audience.view_customer",
            ),
            _list("Sources and keys", "key", "audience.source"),
            _list("Changes", "history", "audience.auditentry"),
            _list("Erasures", "person_off", "audience.erasure"),
            _list("Rejected events", "report", "audience.rejectedevent"),
            _list("Accounts", "manage_accounts", "auth.user"),
        ],
    },
]
