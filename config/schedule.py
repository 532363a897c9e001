"""How often which task is woken up; what is due each of them finds out by itself."""

from typing import Any

SCHEDULE: dict[str, dict[str, Any]] = {
    "learn": {"task": "recommender.learn_due", "schedule": 5.0, "options": {"expires": 5.0}},
    "check-sums": {
        "task": "recommender.check_sums",
        "schedule": 3600.0,
        "options": {"expires": 3600.0},
    },
    "assess-challengers": {
        "task": "recommender.assess_challengers",
        "schedule": 600.0,
        "options": {"expires": 600.0},
    },
    "train-rankers": {
        "task": "recommender.train_rankers",
        "schedule": 30.0,
        "options": {"expires": 30.0},
    },
    "check-rankings": {
        "task": "recommender.check_rankings",
        "schedule": 1800.0,
        "options": {"expires": 1800.0},
    },
    "update-products": {
        "task": "recommender.update_products",
        "schedule": 30.0,
        "options": {"expires": 30.0},
    },
    "analyse": {"task": "experiments.analyse_due", "schedule": 5.0, "options": {"expires": 5.0}},
    "thin-analyses": {
        "task": "experiments.thin_analyses",
        "schedule": 3600.0,
        "options": {"expires": 3600.0},
    },
    # The clock begins anew with its process, so a site that restarts every day must not wait a day.
    "delete-expired": {
        "task": "audience.delete_expired",
        "schedule": 21_600.0,
        "options": {"expires": 21_600.0},
    },
    "deliver-notices": {
        "task": "experiments.deliver_notices",
        "schedule": 15.0,
        "options": {"expires": 15.0},
    },
    "replay": {"task": "experiments.replay_due", "schedule": 30.0, "options": {"expires": 30.0}},
    "write-digests": {
        "task": "experiments.write_digests",
        "schedule": 900.0,
        "options": {"expires": 900.0},
    },
    "evaluate": {
        "task": "campaigns.evaluate_due",
        "schedule": 60.0,
        "options": {"expires": 60.0},
    },
    "compute-results": {
        "task": "campaigns.compute_results",
        "schedule": 15.0,
        "options": {"expires": 15.0},
    },
    "refresh-audiences": {
        "task": "audience.refresh_audiences",
        "schedule": 30.0,
        "options": {"expires": 30.0},
    },
    "forget": {
        # Beat's clock begins anew with its process, so not once a day.
        "task": "campaigns.forget_old",
        "schedule": 21_600.0,
        "options": {"expires": 21_600.0},
    },
    "keep-schedule": {
        "task": "campaigns.keep_schedule",
        "schedule": 5.0,
        "options": {"expires": 5.0},
    },
    "erase": {
        "task": "campaigns.erase_due",
        "schedule": 30.0,
        "options": {"expires": 30.0},
    },
    "enrol": {"task": "campaigns.enrol_due", "schedule": 10.0, "options": {"expires": 10.0}},
    "send": {"task": "campaigns.send_due", "schedule": 5.0, "options": {"expires": 5.0}},
    "price": {
        "task": "campaigns.price_due",
        "schedule": 30.0,
        "options": {"expires": 30.0},
    },
    "assign": {
        "task": "campaigns.assign_audiences",
        "schedule": 15.0,
        "options": {"expires": 15.0},
    },
    "extend-lake": {
        "task": "audience.extend_lake",
        "schedule": 300.0,
        "options": {"expires": 300.0},
    },
}
