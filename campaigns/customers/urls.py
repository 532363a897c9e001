"""Addresses of the customers' pages."""

from django.urls import path

from campaigns.customers import acts as customer_acts
from campaigns.customers import views as customer_views

urlpatterns = [
    path("", customer_views.search, name="customer-search"),
    path("<int:pk>/", customer_views.customer, name="customer"),
    path("<int:pk>/more/", customer_views.more, name="customer-more"),
    path("<int:pk>/consent/<int:consent_pk>/", customer_acts.consent, name="customer-consent"),
    path("<int:pk>/export/", customer_acts.export, name="customer-export"),
    path("<int:pk>/erase/", customer_acts.erase, name="customer-erase"),
]
