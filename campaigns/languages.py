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
