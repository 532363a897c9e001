"""Write what the epochs of a training came to as event files, which TensorBoard shows."""

from pathlib import Path

from recommender.training.epochs import Epoch

MISSING = (
    "TensorBoard's event files were asked for, and tensorboard is not installed: "
    "pip install -r requirements-training.txt."
)


class EventFile:
    """The event file of one training, in a folder of its own."""

    def __init__(self, folder: Path) -> None:
        """Open a new file.

        Raises:
            ModuleNotFoundError: tensorboard is not installed.
        """
        try:
            # Here, because it is an extra that most sites go without.
            from torch.utils.tensorboard import SummaryWriter
        except ModuleNotFoundError as error:
            raise ModuleNotFoundError(MISSING) from error
        self._writer = SummaryWriter(folder)

    def add(self, epoch: Epoch) -> None:
        """Write an epoch, so that it can be seen at once."""
        for name in ("loss", "validation", "seconds"):
            self._writer.add_scalar(name, getattr(epoch, name), epoch.number)
        self._writer.flush()

    def close(self) -> None:
        """Close the file."""
        self._writer.close()
