"""Addresses of the audiences' pages."""

from django.urls import path

from audience.pages import lists, views

urlpatterns = [
    path("", views.audiences, name="audiences"),
    path("new/", views.begin, name="audience-new"),
    path("new/list/", lists.begin_list, name="audience-list-new"),
    path("new/count/", views.count_live, name="audience-count"),
    path("new/compare/", views.compare_live, name="audience-compare"),
    path("of/<slug:key>/", views.audience, name="audience"),
    path("of/<slug:key>/list/", lists.one_list, name="audience-list"),
    path("of/<slug:key>/members.csv", views.members, name="audience-members"),
    path("of/<slug:key>/delete/", views.delete, name="audience-delete"),
]
