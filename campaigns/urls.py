"""Addresses of the campaigns' pages."""

from django.urls import path

from campaigns import views

urlpatterns = [
    path("<slug:key>/", views.report, name="campaign-report"),
    path("<slug:key>/refresh/", views.refresh, name="campaign-refresh"),
    path("<slug:key>/<slug:verb>/", views.step, name="campaign-step"),
]
