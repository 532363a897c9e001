"""Says numbers on the audiences' pages."""

from django.template import Library

register = Library()


@register.filter
def negative(number: int) -> int:
    """Turn fewer into more."""
    return -number
