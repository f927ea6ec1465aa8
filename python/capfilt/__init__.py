"""CapFilt's results in Python: the tables of a job, and a loader for training.

    import capfilt

    capfilt.files("s3://bucket/jobs/x")          # URLs of the tables that count
    capfilt.open("s3://bucket/jobs/x")           # the same as a pyarrow dataset
    capfilt.CapFiltDataset("s3://bucket/jobs/x", batch_size=64)  # batches for PyTorch

The program itself is the command `capfilt`.
"""

from capfilt.program import ProgramError, run
from capfilt.tables import files, open, to_hf  # noqa: A004 `capfilt.open` reads like `PIL.Image.open`

__all__ = ["CapFiltDataset", "CapFiltLoader", "ProgramError", "files", "open", "run", "to_hf"]
__version__ = "0.1.0"


def __getattr__(name):
    # The dataset imports torch, which takes seconds; the tables do not need it.
    if name in ("CapFiltDataset", "CapFiltLoader"):
        from capfilt import dataset

        return getattr(dataset, name)
    raise AttributeError(f"module 'capfilt' has no attribute {name!r}")
