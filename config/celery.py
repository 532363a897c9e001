"""The Celery application: wakes workers up; the work itself lives in PostgreSQL."""

import os

from celery import Celery

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")

app = Celery("offerlab")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()
app.autodiscover_tasks(["campaigns.sending"])
# What was done is noted where the web finds it.
app.autodiscover_tasks(["config"], related_name="worked")
