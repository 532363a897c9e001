"""Addresses of the campaigns' pages."""

from django.urls import path

from campaigns import calendar_views, views
from campaigns.assigning import views as assigning
from campaigns.messages import deliveries as delivery_views
from campaigns.messages import views as message_views
from campaigns.offers import views as offer_views
from campaigns.results import epoch_views
from campaigns.setup import views as setup

urlpatterns = [
    path("new/campaign/", setup.begin, name="campaign-new"),
    path("new/count/", setup.count_live, name="campaign-count"),
    path("all/calendar/", calendar_views.calendar, name="campaign-calendar"),
    path("all/approvals/", calendar_views.approvals, name="campaign-approvals"),
    path("all/holdout/", epoch_views.epochs, name="campaign-holdout"),
    path("all/offers/<slug:key>/", offer_views.preview, name="offer-preview"),
    path("<slug:key>/", views.report, name="campaign-report"),
    path("<slug:key>/refresh/", views.refresh, name="campaign-refresh"),
    path("<slug:key>/setup/", setup.review, name="campaign-setup"),
    path("<slug:key>/setup/<slug:name>/", setup.step, name="campaign-setup-step"),
    path("<slug:key>/messages/", message_views.steps, name="messages"),
    path("<slug:key>/messages/<int:step_id>/", message_views.edit, name="message"),
    path(
        "<slug:key>/messages/<int:step_id>/settings/",
        message_views.step_settings,
        name="message-settings",
    ),
    path("<slug:key>/messages/<int:step_id>/remove/", message_views.remove, name="message-remove"),
    path("<slug:key>/messages/<int:step_id>/preview/", message_views.preview, name="preview"),
    path("<slug:key>/messages/<int:step_id>/shown/", message_views.shown, name="preview-shown"),
    path("<slug:key>/messages/<int:step_id>/test/", message_views.test, name="message-test"),
    path(
        "<slug:key>/messages/declining-test/",
        message_views.declining_test,
        name="message-unsubscribe-test",
    ),
    path("<slug:key>/progress/", delivery_views.progress, name="campaign-progress"),
    path("<slug:key>/in-doubt/", delivery_views.doubt, name="campaign-doubt"),
    path("<slug:key>/audience/", assigning.assignments, name="campaign-assignments"),
    path("<slug:key>/audience/<int:assignment_id>/", assigning.download, name="campaign-assigned"),
    path("<slug:key>/<slug:verb>/", views.step, name="campaign-step"),
]
