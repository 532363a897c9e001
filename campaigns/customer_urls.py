"""Addresses of the customers' pages."""

from django.urls import path

from campaigns import customer_views

urlpatterns = [
    path("", customer_views.search, name="customer-search"),
    path("<int:pk>/", customer_views.customer, name="customer"),
    path("<int:pk>/more/", customer_views.more, name="customer-more"),
]
