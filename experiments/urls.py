"""Addresses of the experiments' pages."""

from django.urls import path

from experiments import views
from experiments.export.api import results
from experiments.export.views import export
from experiments.metric_pages import views as metric_views
from experiments.notifying.views import leave_digest
from experiments.overview import views as overview
from experiments.replays import views as replay_views
from experiments.setup import views as setup

urlpatterns = [
    path("experiments/", overview.experiments, name="experiments"),
    path("calendar/", overview.calendar, name="calendar"),
    path("programme/", overview.programme, name="programme"),
    path("metrics/", overview.metrics, name="metrics"),
    path("experiments/<slug:key>/", views.report, name="experiment-report"),
    path("experiments/<slug:key>/refresh/", views.refresh, name="experiment-refresh"),
    path("experiments/<slug:key>/analyses/<int:pk>/", views.snapshot, name="experiment-snapshot"),
    path("experiments/<slug:key>/export.<slug:name>", export, name="experiment-export"),
    path("experiments/<slug:key>/do/<slug:verb>/", views.act, name="experiment-act"),
    path("api/v1/experiments/<slug:key>/results", results, name="experiment-results"),
    path("setup/", setup.begin, name="setup-begin"),
    path("setup/<slug:key>/", setup.review, name="setup-review"),
    path("setup/<slug:key>/planner/", setup.plan_live, name="setup-planner"),
    path("setup/<slug:key>/count/", setup.count_live, name="setup-count"),
    path("setup/<slug:key>/<slug:name>/", setup.step, name="setup-step"),
    path("replays/", replay_views.replays, name="replays"),
    path("replays/<int:pk>/", replay_views.replay, name="replay"),
    path("digest/leave/<slug:token>/", leave_digest, name="digest-leave"),
    path("metrics/new/", metric_views.choose_type, name="metric-new"),
    path("metrics/new/<slug:kind>/", metric_views.define, name="metric-define"),
    path("metrics/of/<slug:key>/", overview.metric, name="metric"),
]
