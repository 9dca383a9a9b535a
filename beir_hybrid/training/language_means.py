"""Running means of a training's vectors in each language, to take the language out of batches."""

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor
from torch import distributed as processes
from torch.nn import functional
from transformers import TrainerCallback, TrainerControl, TrainerState
from transformers.training_args import TrainingArguments

from beir_hybrid.errors import BadData
from beir_hybrid.files import atomic_file, explain_read_errors
from beir_hybrid.training.checkpoints import name_checkpoint

MEANS = "language_means.safetensors"  # in a checkpoint
Role = Literal["queries", "passages"]
ROLES: tuple[Role, Role] = ("queries", "passages")


class LanguageMeans:
    """Running means of unit vectors, one for each role, language and dimension.

    The rows X of a language in one batch, n of them, change its mean m, at a momentum p, into
    ``p^n m + (1 - p^n) mean(X)``: each row counts alike, in batches of one language and of many. A
    mean begins at zero, so nothing is taken out of a language that is new; after n rows it has the
    share 1 - p^n of the languages' mean. Several processes have the same means, those of all their
    rows.

    Attributes
    ----------
    values
        The means (dim,), by the role, the number of the language in labels, and dim.

    Examples
    --------
    >>> means = LanguageMeans(momentum=0.5)
    >>> vectors, languages = torch.tensor([[1.0, 0.0], [0.0, 1.0]]), torch.tensor([7, 7])
    >>> means.update("queries", vectors, languages)  # 0.25 * 0 + 0.75 * (0.5, 0.5)
    >>> means.take_out("queries", torch.tensor([[1.0, 0.0]]), torch.tensor([7]))
    tensor([[ 0.6250, -0.3750]])
    >>> means.take_out("passages", torch.tensor([[1.0, 0.0]]), torch.tensor([7]))
    tensor([[1., 0.]])
    """

    def __init__(self, momentum: float) -> None:
        self.momentum = momentum
        self.values: dict[tuple[Role, int, int], Tensor] = {}

    def take_out(self, role: Role, vectors: Tensor, languages: Tensor) -> Tensor:
        """Return vectors (n, dim) minus the means, without gradient, of their languages (n,)."""
        numbers, places = torch.unique(languages, return_inverse=True)
        dim = vectors.shape[1]
        zeros = vectors.new_zeros(dim)
        means = [self.values.get((role, n, dim), zeros).to(vectors) for n in numbers.tolist()]
        return vectors - torch.stack(means)[places]

    def update(self, role: Role, vectors: Tensor, languages: Tensor) -> None:
        """Let the rows of a batch change the means of their languages."""
        numbers, places = torch.unique(languages, return_inverse=True)
        vectors, dim = vectors.detach(), vectors.shape[1]
        # A product and no sum by index, whose order on a GPU is another each time.
        is_member = functional.one_hot(places, len(numbers)).to(vectors)  # (n, languages)
        sums = dict(zip(numbers.tolist(), is_member.T @ vectors, strict=True))
        counts = dict(zip(numbers.tolist(), is_member.sum(dim=0).tolist(), strict=True))
        for number, (total, count) in _add_over_processes(sums, counts).items():
            mean = self.values.get((role, number, dim), torch.zeros_like(total)).to(total)
            share = self.momentum**count
            self.values[role, number, dim] = share * mean + (1 - share) * total / count

    def centre_columns(
        self,
        columns: Sequence[Tensor],
        roles: Sequence[Role],
        languages: Sequence[Tensor],
        *,
        hard: Collection[int],
        is_training: bool,
    ) -> list[Tensor]:
        """Return the columns of a batch without the means; in training they change the means then.

        Parameters
        ----------
        columns
            (rows, dim) each, with a role each.
        languages
            Of the rows of each column.
        hard
            The places of the columns of hard negatives. These may be mined in other languages than
            their rows', so they change no mean.
        """
        centred_columns = list(columns)
        for role in ROLES:
            places = [place for place, name in enumerate(roles) if name == role]
            vectors = torch.cat([columns[place] for place in places])
            numbers = torch.cat([languages[place] for place in places])
            parts = torch.split(self.take_out(role, vectors, numbers), len(columns[0]))
            for place, part in zip(places, parts, strict=True):
                centred_columns[place] = part
            if is_training:
                certain_places = [place for place in places if place not in hard]
                self.update(
                    role,
                    torch.cat([columns[place] for place in certain_places]),
                    torch.cat([languages[place] for place in certain_places]),
                )
        return centred_columns

    def save(self, path: Path) -> None:
        """Write the means to a file."""
        tensors = {
            f"{role}.{number}.{dim}": value.cpu().contiguous()
            for (role, number, dim), value in self.values.items()
        }
        with atomic_file(path) as temporary:
            save_file(tensors, temporary)

    def load(self, path: Path) -> None:
        """Read the means that `save` wrote; raise `BadData` for anything else."""
        values: dict[tuple[Role, int, int], Tensor] = {}
        with explain_read_errors(path, "has no means of languages"):
            for name, value in load_file(path).items():
                role, number, dim = name.split(".")
                if role not in ROLES or value.shape != (int(dim),):
                    raise BadData(f"{path} has no means of languages: {name} is none")
                values[role, int(number), int(dim)] = value
        self.values = values


class LanguageMeansCallback(TrainerCallback):
    """Saves the means with each checkpoint, and loads them when a training goes on from one."""

    def __init__(self, means: LanguageMeans) -> None:
        self.means = means

    def on_train_begin(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,  # noqa: ARG002 - the trainer's
        **_context: Any,
    ) -> None:
        """Load the means of the checkpoint."""
        if state.global_step:
            self.means.load(name_checkpoint(args, state) / MEANS)

    def on_save(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,  # noqa: ARG002 - the trainer's
        **_context: Any,
    ) -> None:
        """Save the means in the first of the processes, which have the same."""
        if state.is_world_process_zero:
            self.means.save(name_checkpoint(args, state) / MEANS)


def _add_over_processes(
    sums: Mapping[int, Tensor], counts: Mapping[int, float]
) -> Mapping[int, tuple[Tensor, float]]:
    """Return the sum of a language's vectors in all processes, and their number."""
    totals = {number: (sums[number], counts[number]) for number in sums}
    if not processes.is_initialized():
        return totals
    parts: list[Any] = [None] * processes.get_world_size()
    processes.all_gather_object(
        parts, {number: (vector.cpu(), count) for number, (vector, count) in totals.items()}
    )
    totals = {}
    for number, (vector, count) in (item for part in parts for item in part.items()):
        other_vector, other_count = totals.get(number, (torch.zeros_like(vector), 0.0))
        totals[number] = other_vector + vector, other_count + count
    return totals
