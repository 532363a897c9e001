"""What all pages say in the same way."""

import re
from pathlib import Path

from django.conf import settings

TIME = r'\|date:"[^"]*H:i[^"]*" \}\}'


def test_a_time_of_day_says_its_zone_on_every_page() -> None:
    """Next to it, or after the second of two."""
    for page in Path(settings.BASE_DIR / "templates").rglob("*.html"):
        text = page.read_text()
        said = re.sub(rf"{TIME} (?:to|and) [^|]+(?={TIME} UTC)", "", text)
        assert re.findall(rf"(?:{TIME})(?! UTC).*", said) == [], page
