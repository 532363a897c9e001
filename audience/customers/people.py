"""Finds all the customers that are one person: a customer and who turned out to be this one."""

from audience.models import Customer


def find_names(customer: Customer) -> tuple[Customer, list[int]]:
    """Return the person whom a customer is or turned out to be, and the ids of all their names."""
    person = customer.merged_into or customer
    visitors = Customer.objects.filter(merged_into=person).order_by("pk")
    return person, [person.pk, *visitors.values_list("pk", flat=True)]
