"""Estimates by the Open Bandit Pipeline what a Thompson sampler earns, from random logs.

Run in an environment that has it: QUESTION ANSWERS, both JSON files (see `clients.py`). The answers
are its estimates, and the arrays that it made them from.
"""

# mypy: disable-error-code="import-not-found, import-untyped, unused-ignore, misc"

import json
import logging
import sys
import warnings
from pathlib import Path
from typing import Any

import numpy as np
from obp import ope
from obp.dataset import OpenBanditDataset
from obp.policy import BernoulliTS
from sklearn.linear_model import LogisticRegression

SEED = 12345
SLATES, PLACES, ITEMS = 2_000, 3, 4


def estimate(campaign: str, question: dict[str, Any]) -> dict[str, Any]:
    """Estimate from a campaign's random log in every way that we have too."""
    log = OpenBanditDataset(behavior_policy="random", campaign=campaign)
    rows = log.obtain_batch_bandit_feedback()
    on_policy = OpenBanditDataset(
        behavior_policy="bts", campaign=campaign
    ).obtain_batch_bandit_feedback()
    n, k, places = rows["n_rounds"], log.n_actions, log.len_list
    chances = BernoulliTS(
        n_actions=k,
        len_list=places,
        is_zozotown_prior=True,
        campaign=campaign,
        random_state=SEED,
    ).compute_batch_action_dist(n_sim=question["draws"], n_rounds=1)[0]  # (K, L)
    target = np.broadcast_to(chances, (n, k, places))
    model = ope.RegressionModel(
        n_actions=k, len_list=places, base_model=LogisticRegression(C=0.1, max_iter=200)
    )
    each, place, action = np.arange(n), rows["position"], rows["action"]
    logged = {"action": action, "reward": rows["reward"], "position": place}
    predicted = model.fit_predict(
        context=rows["context"],
        pscore=rows["pscore"],
        n_folds=3,
        random_state=SEED,
        **logged,
    )
    weighed = {**logged, "pscore": rows["pscore"], "action_dist": target}
    modelled = {**weighed, "estimated_rewards_by_reg_model": predicted}
    groups = np.arange(k) % question["groups"]
    estimators = {
        "ips": ope.InverseProbabilityWeighting(),
        "snips": ope.SelfNormalizedInverseProbabilityWeighting(),
        "direct": ope.DirectMethod(),
        "doubly_robust": ope.DoublyRobust(),
        "self_normalised": ope.SelfNormalizedDoublyRobust(),
        "switch": ope.SwitchDoublyRobust(lambda_=question["threshold"]),
        "shrunk": ope.DoublyRobustWithShrinkage(lambda_=question["shrinkage"]),
    }
    found = {name: each.estimate_policy_value(**modelled) for name, each in estimators.items()}
    tuned = ope.DoublyRobustWithShrinkageTuning(
        # One-sided there, two-sided here.
        lambdas=question["shrinkages"],
        tuning_method="slope",
        delta=0.025,
    )
    found["shrunk by SLOPE"] = tuned.estimate_policy_value_with_tuning(**modelled)
    found["mips"] = ope.MarginalizedInverseProbabilityWeighting(n_actions=k).estimate_policy_value(
        action_embed=groups[action][:, None],
        pi_b=np.full((n, k, places), 1.0 / k),
        p_e_a=np.eye(question["groups"])[groups][:, :, None],
        **{name: weighed[name] for name in ("reward", "action", "position", "action_dist")},
    )
    bootstrapped = {
        name: estimators[name].estimate_interval(**modelled, random_state=SEED)
        for name in ("ips", "doubly_robust")
    }
    at = (each, action, place)
    return {
        "estimates": found,
        "chosen": tuned.best_hyperparam,
        "bootstrapped": {
            name: [interval["95.0% CI (lower)"], interval["95.0% CI (upper)"]]
            for name, interval in bootstrapped.items()
        },
        "on_policy": [int(on_policy["reward"].sum()), len(on_policy["reward"])],
        "arrays": {
            "rewards": rows["reward"].tolist(),
            "action": action.tolist(),
            "position": place.tolist(),
            "logged": rows["pscore"].tolist(),
            "predicted_logged": predicted[at].tolist(),
            "predicted_target": (target * predicted).sum(axis=1)[each, place].tolist(),
            "chances": chances.tolist(),
        },
    }


def estimate_slates() -> dict[str, Any]:
    """Estimate the value of made-up slates, of which the arrays are told."""
    rng = np.random.default_rng(SEED)
    shape = (SLATES, PLACES)
    reward = rng.random(shape)
    logged = rng.uniform(0.3, 0.9, shape)
    # As chances of what was drawn should, weights average 1.
    target = (logged * rng.uniform(0.9, 1.1, shape)).clip(0.0, 1.0)
    action = rng.integers(ITEMS, size=shape)
    predicted = rng.random((*shape, ITEMS))
    choice = rng.dirichlet(np.ones(ITEMS), size=shape)
    common = {
        "slate_id": np.repeat(np.arange(SLATES), PLACES),
        "position": np.tile(np.arange(PLACES), SLATES),
        "reward": reward.ravel(),
    }
    down = [p.cumprod(axis=1) for p in (logged, target)]
    whole = [np.repeat(p[:, -1], PLACES) for p in down]
    cascade = {
        "pscore_cascade": down[0].ravel(),
        "evaluation_policy_pscore_cascade": down[1].ravel(),
    }
    found = {
        "standard": ope.SlateStandardIPS(len_list=PLACES).estimate_policy_value(
            pscore=whole[0], evaluation_policy_pscore=whole[1], **common
        ),
        "independent": ope.SlateIndependentIPS(len_list=PLACES).estimate_policy_value(
            pscore_item_position=logged.ravel(),
            evaluation_policy_pscore_item_position=target.ravel(),
            **common,
        ),
        "cascade": ope.SlateRewardInteractionIPS(len_list=PLACES).estimate_policy_value(
            **cascade, **common
        ),
        "doubly_robust": ope.SlateCascadeDoublyRobust(
            len_list=PLACES, n_unique_action=ITEMS
        ).estimate_policy_value(
            action=action.ravel(),
            q_hat=predicted.ravel(),
            evaluation_policy_action_dist=choice.ravel(),
            **cascade,
            **common,
        ),
    }
    at = np.take_along_axis(predicted, action[:, :, None], axis=2)[:, :, 0]
    return {
        "estimates": found,
        "arrays": {
            "rewards": reward.tolist(),
            "target": target.tolist(),
            "logged": logged.tolist(),
            "predicted_logged": at.tolist(),
            "predicted_target": (choice * predicted).sum(axis=2).tolist(),
        },
    }


def main(asked: Path, answered: Path) -> None:
    """Answer for both campaigns, and for slates."""
    # It warns that the sample is small, and pandas warns of how it asks.
    logging.disable(logging.WARNING)
    warnings.simplefilter("ignore")
    question = json.loads(asked.read_text())
    answers: dict[str, Any] = {name: estimate(name, question) for name in question["campaigns"]}
    answers["slates"] = estimate_slates()
    answered.write_text(json.dumps(answers))


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:3]))
