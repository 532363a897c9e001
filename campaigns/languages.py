"""Which of the languages that something is said in a customer understands best."""

from collections.abc import Mapping, Sequence
from typing import Any


def choose_language(languages: Sequence[str], attributes: Mapping[str, Any]) -> str:
    """Return the language, of those there are, that a customer understands best.

    `language` or `locale` say which: its very variant, its language, any, the first.
    """
    said = attributes.get("language") or attributes.get("locale")
    wanted = said.replace("_", "-").lower() if isinstance(said, str) else ""
    by_name = {language.lower(): language for language in languages}
    while wanted:
        if wanted in by_name:
            return by_name[wanted]
        wanted = wanted.rpartition("-")[0]
    return by_name.get("", languages[0] if languages else "")


def lay_over(
    own: Mapping[str, Any], said: Mapping[str, Mapping[str, Any]]
) -> tuple[Mapping[str, Any], Mapping[str, Mapping[str, Any]]]:
    """Return what is read in any language, and what in each other one.

    Args:
        own: What is said where nothing else is.
        said: What is said besides, by language; the empty one is any.
    """
    anywhere = {**own, **said.get("", {})}
    others = {name: {**anywhere, **words} for name, words in said.items() if name}
    return anywhere, others
