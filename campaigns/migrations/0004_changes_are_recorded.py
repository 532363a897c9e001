from django.db import migrations

from audience.audit import record_changes_of

# When an audience was last gone through is no change that anybody made.
UNWATCHED = {"campaign": ["enrolled_at"]}


class Migration(migrations.Migration):
    dependencies = [
        ("campaigns", "0003_approval"),
        ("audience", "0005_changes_are_recorded"),
    ]

    operations = [
        record_changes_of(f"campaigns_{name}", besides=UNWATCHED.get(name, []))
        for name in (
            "campaign",
            "campaignoffer",
            "cap",
            "message",
            "offer",
            "offercontent",
            "placement",
            "step",
        )
    ]
