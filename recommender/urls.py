"""Addresses of the rankings' pages."""

from django.urls import path

from recommender.ranking import views

urlpatterns = [
    path("<slug:key>/", views.ranking, name="ranking"),
    path("<slug:key>/train/", views.train, name="ranking-train"),
    path("<slug:key>/serve/<int:number>/", views.serve, name="ranking-serve"),
]
