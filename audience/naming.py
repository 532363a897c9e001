"""Finds keys that nothing has yet, for what people only name."""

from django.db import models


def free_key(stem: str, *kinds: type[models.Model]) -> str:
    """Return the stem itself, or with the lowest number from 2 on that none of these has as key."""
    taken = {
        key
        for kind in kinds
        for key in kind._default_manager.filter(key__startswith=stem).values_list("key", flat=True)
    }
    key, number = stem, 2
    while key in taken:
        key, number = f"{stem}-{number}", number + 1
    return key
