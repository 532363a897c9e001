"""The addresses of Django's pages; the hot paths are in `asgi.py`."""

from django.contrib import admin
from django.urls import include, path
from django.views.generic import RedirectView

from campaigns.results.api import results
from campaigns.sending import anymail_events

anymail_events.connect()

urlpatterns = [
    path("", RedirectView.as_view(pattern_name="admin:campaigns_campaign_changelist"), name="home"),
    path("admin/", admin.site.urls),
    path("", include("audience.urls")),
    path("", include("experiments.urls")),
    path("rankings/", include("recommender.urls")),
    path("campaigns/", include("campaigns.urls")),
    path("api/v1/campaigns/<slug:key>/results", results, name="campaign-results"),
    path("customers/", include("campaigns.customers.urls")),
    # Where mail services tell of bounces and complaints; each request carries a shared secret.
    path("mail-events/", include("anymail.urls")),
]
