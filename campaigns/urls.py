"""Addresses of the campaigns' pages."""

from django.urls import path

from campaigns import calendar_views, views
from campaigns.setup import views as setup

urlpatterns = [
    path("new/campaign/", setup.begin, name="campaign-new"),
    path("new/count/", setup.count_live, name="campaign-count"),
    path("all/calendar/", calendar_views.calendar, name="campaign-calendar"),
    path("all/approvals/", calendar_views.approvals, name="campaign-approvals"),
    path("<slug:key>/", views.report, name="campaign-report"),
    path("<slug:key>/refresh/", views.refresh, name="campaign-refresh"),
    path("<slug:key>/setup/", setup.review, name="campaign-setup"),
    path("<slug:key>/setup/<slug:name>/", setup.step, name="campaign-setup-step"),
    path("<slug:key>/<slug:verb>/", views.step, name="campaign-step"),
]
