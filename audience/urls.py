"""Addresses of the audiences' pages, and of those of people who get messages."""

from django.urls import path

from audience.consent import subscribe_views
from audience.consent import views as consent_views
from audience.pages import lists, views

urlpatterns = [
    path("audiences/", views.audiences, name="audiences"),
    path("audiences/new/", views.begin, name="audience-new"),
    path("audiences/new/list/", lists.begin_list, name="audience-list-new"),
    path("audiences/new/count/", views.count_live, name="audience-count"),
    path("audiences/new/compare/", views.compare_live, name="audience-compare"),
    path("audiences/of/<slug:key>/", views.audience, name="audience"),
    path("audiences/of/<slug:key>/list/", lists.one_list, name="audience-list"),
    path("audiences/of/<slug:key>/members.csv", views.members, name="audience-members"),
    path("audiences/of/<slug:key>/delete/", views.delete, name="audience-delete"),
    # Without a slash at the end: what is posted here is never sent elsewhere.
    path("u/<str:token>", consent_views.preferences, name="preferences"),
    path("confirm/<str:token>", subscribe_views.confirmation, name="subscription-confirm"),
    path("api/v1/subscribe", subscribe_views.subscribe, name="subscribe"),
]
