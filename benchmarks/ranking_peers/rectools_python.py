"""Times an epoch of RecTools' SASRec on the histories of a file, in CPU seconds.

Run in an environment that has it: QUESTION ANSWERS, both JSON files (see `clients.py`).
"""

# mypy: disable-error-code="import-not-found, import-untyped, unused-ignore"

import json
import logging
import sys
import time
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from pytorch_lightning import Trainer
from pytorch_lightning.callbacks import LambdaCallback
from rectools import Columns
from rectools.dataset import Dataset
from rectools.models import SASRecModel

# The first epoch warms up; the rest are timed.
EPOCHS = 2


def main(asked: Path, answered: Path) -> None:
    """Time SASRec with each loss that is asked for."""
    warnings.simplefilter("ignore")
    logging.getLogger("pytorch_lightning").setLevel(logging.ERROR)
    torch.set_num_threads(1)
    question = json.loads(asked.read_text())
    kept: Any = np.load(question["histories"])
    lengths = np.diff(kept["starts"])
    moments = pd.Timestamp("2020-01-01") + pd.to_timedelta(np.arange(lengths.sum()), unit="s")
    dataset = Dataset.construct(
        pd.DataFrame(
            {
                Columns.User: np.repeat(np.arange(len(lengths)), lengths),
                Columns.Item: kept["items"],
                Columns.Weight: 1.0,
                Columns.Datetime: moments,
            }
        )
    )
    found = {}
    for loss, negatives in question["losses"].items():
        ends: list[float] = []

        def trainer(ends: list[float] = ends) -> Trainer:
            end = LambdaCallback(on_train_epoch_end=lambda *_: ends.append(time.process_time()))
            return Trainer(
                max_epochs=EPOCHS + 1,
                accelerator="cpu",
                logger=False,
                enable_checkpointing=False,
                enable_progress_bar=False,
                enable_model_summary=False,
                callbacks=[end],
            )

        model = SASRecModel(
            n_factors=question["size"],
            n_blocks=question["blocks"],
            n_heads=question["heads"],
            session_max_len=question["length"],
            batch_size=question["batch"],
            loss=loss,
            n_negatives=negatives,
            dataloader_num_workers=0,
            get_trainer_func=trainer,
        )
        model.fit(dataset)
        found[loss] = (ends[-1] - ends[0]) / EPOCHS
    answered.write_text(json.dumps(found))


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:3]))
