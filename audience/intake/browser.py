"""Tells Segment's browser library where to send, in place of Segment's own CDN.

A page that loads its settings from us sends its events to us: only `cdnURL` has to be changed.
The document's shape is `CDNSettings` of https://github.com/segmentio/analytics-next.
"""

import re
from collections.abc import Mapping
from typing import Any

from wire.messages import Problem, Request

# A name or an address, perhaps with a port: nothing that would point into somebody else's site.
HOST = re.compile(r"(?:[A-Za-z0-9.-]{1,253}|\[[0-9A-Fa-f:.]{2,45}\])(?::\d{1,5})?\Z")


def settings_document(request: Request, key: str) -> Mapping[str, Any]:
    """Write the settings of a page that sends with this key.

    Raises:
        Problem: The request does not say which host it was sent to (400).
    """
    host = request.headers.get("host", "")
    if not HOST.match(host):
        raise Problem(400, "The Host header is no host.")
    every = {"__default": {"enabled": True, "integrations": {}}}
    return {
        "integrations": {
            "Segment.io": {
                "apiKey": key,
                "apiHost": f"{host}/v1",
                "protocol": _scheme(request),
                "addBundledMetadata": False,
                "unbundledIntegrations": [],
                "maybeBundledConfigIds": {},
                "versionSettings": {"version": "4.4.7", "componentTypes": ["browser"]},
            }
        },
        "plan": {"track": every, "identify": every, "group": every},
        # The library would tell Segment how it does.
        "metrics": {"sampleRate": 0},
        "enabledMiddleware": {},
        "middlewareSettings": {},
        "remotePlugins": [],
        "edgeFunction": {},
        "analyticsNextEnabled": True,
        "legacyVideoPluginsEnabled": False,
    }


def _scheme(request: Request) -> str:
    """Return how the page reached us: what a proxy in front of us says, and else plain HTTP."""
    said = request.headers.get("x-forwarded-proto", "").partition(",")[0].strip().lower()
    return "https" if said == "https" else "http"
