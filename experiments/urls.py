"""Addresses of the experiments' pages."""

from django.urls import path

from experiments import views

urlpatterns = [
    path("<slug:key>/", views.report, name="experiment-report"),
    path("<slug:key>/refresh/", views.refresh, name="experiment-refresh"),
]
