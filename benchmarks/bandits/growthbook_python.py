"""Asks through GrowthBook's SDK for Python and sends what its callback is told.

Run in an environment that has the SDK: QUESTION ANSWERS, both JSON files (see `clients.py`).
"""

import asyncio
import base64
import json
import sys
import urllib.request
from pathlib import Path
from typing import Any

from growthbook import (  # type: ignore[import-not-found, unused-ignore]
    GrowthBookClient,
    Options,
    UserContext,
)

SENT_TOGETHER = 200
BANDIT = ("leafId", "banditVersion", "variationWeights")


async def ask(question: dict[str, Any]) -> dict[str, Any]:
    """Evaluate the campaign for every customer; return the offers and what was told."""
    views: list[dict[str, Any]] = []

    def note(experiment: Any, result: Any, user_context: Any) -> None:
        said = {"experimentId": experiment.key, "variationId": result.key}
        said |= {k: v for k in BANDIT if (v := getattr(result, k, None)) is not None}
        views.append({"customer": user_context.attributes["id"], "said": said})

    options = Options(
        api_host=question["url"],
        client_key=question["reading"],
        refresh_strategy=None,
        on_experiment_viewed=note,
    )
    offers = []
    async with GrowthBookClient(options) as client:
        for customer in question["customers"]:
            user = UserContext(attributes={**customer["attributes"], "id": customer["id"]})
            found = await client.eval_feature(question["campaign"], user)
            offers.append(found.value and found.value["key"])
    return {"offers": offers, "views": views}


def send(question: dict[str, Any], views: list[dict[str, Any]]) -> None:
    """Send who the customers are, and every view."""
    messages = [
        {"type": "identify", "userId": each["id"], "traits": each["attributes"]}
        for each in question["customers"]
    ]
    messages += [
        {
            "type": "track",
            "event": "Experiment Viewed",
            "userId": view["customer"],
            "timestamp": question["at"],
            "properties": view["said"],
        }
        for view in views
    ]
    key = base64.b64encode(f"{question['writing']}:".encode()).decode()
    headers = {"authorization": f"Basic {key}", "content-type": "application/json"}
    for first in range(0, len(messages), SENT_TOGETHER):
        body = json.dumps({"batch": messages[first : first + SENT_TOGETHER]}).encode()
        url = f"{question['url']}/v1/batch"
        urllib.request.urlopen(urllib.request.Request(url, body, headers)).close()


def main() -> None:
    """Read the question, send the views, and write the answers."""
    asked, answered = sys.argv[1:]
    question = json.loads(Path(asked).read_text())
    answers = asyncio.run(ask(question))
    send(question, answers["views"])
    Path(answered).write_text(json.dumps(answers))


if __name__ == "__main__":
    main()
