"""How a training set is cut into batches, as arithmetic. Imports no torch."""

from engine.errors import UserError


def check_batch_size(batch_size: int, count: int) -> None:
    """Make sure that ``count`` training samples fill a batch.

    Raises:
        UserError: the batch is larger than the training set.
    """
    if batch_size > count:
        raise UserError(
            f"train.batch_size = {batch_size}: larger than the training set; allowed here: at most {count}"
        )


def steps_per_epoch(count: int, batch_size: int) -> int:
    """Return the number of batches, without a last one of a single sample."""
    return count // batch_size + (count % batch_size > 1)
