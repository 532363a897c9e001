"""Finds keys that nothing has yet, for what people only name."""

from django.db import models
from django.utils.text import slugify

# So that a number still fits behind it.
LONGEST_STEM = 54


def has_letters(name: str) -> bool:
    """Tell whether a name says something: it has a letter or a digit, of whatever alphabet."""
    return any(character.isalnum() for character in name)


def to_stem(name: str, *, otherwise: str) -> str:
    """Return what a name's key begins with: another word if no letter of the name can be in one."""
    return slugify(name)[:LONGEST_STEM].strip("-_") or otherwise


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
