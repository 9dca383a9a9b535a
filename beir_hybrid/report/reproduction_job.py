"""The job of reproducing results: the results, and the request that made them."""

from dataclasses import dataclass
from pathlib import Path

from beir_hybrid.errors import BadOption
from beir_hybrid.results.request import DatasetRequest, Request
from beir_hybrid.results.results import Results


@dataclass(frozen=True)
class Job:
    """Results to reproduce, the request behind them, and the folder for new files."""

    results: Results
    request: Request
    dataset: DatasetRequest
    folder: Path

    @property
    def owner(self) -> str:
        """The subject of error messages."""
        return _name_results(self.results)

    def find_calibration(self) -> str | None:
        """Return the folder or method of the results' calibration, or None if they have none."""
        if self.results.provenance.model.calibration is None:
            return None
        if self.request.calibration is None:
            raise BadOption(
                f"{self.owner} are of a calibration that was given as an object; evaluate with its "
                "folder or method"
            )
        return self.request.calibration


def open_job(results: Results, folder: Path) -> Job:
    """Return the job of results; raise `BadOption` if no command can name their data."""
    request = results.timing.request
    if request is None:
        raise BadOption(
            f"{_name_results(results)} do not say how model and data were named: timing.json is "
            "missing or of an earlier version; evaluate again"
        )
    if request.dataset is None:
        raise BadOption(
            f"{_name_results(results)} are on a collection that was given as an object; evaluate "
            "on one that bh.load or --dataset names, such as jsonl"
        )
    return Job(results, request, request.dataset, folder)


def _name_results(results: Results) -> str:
    return f"these results ({results.model!r} on {results.collection!r})"
