"""Load models of sentence-transformers, and refuse weights that no file has."""

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

from beir_hybrid.encoding.fingerprint import list_unread_modules
from beir_hybrid.encoding.model_files import ModelFiles
from beir_hybrid.encoding.options import EncoderOptions
from beir_hybrid.errors import BadData, BadOption, find_reason
from beir_hybrid.progress import hide_progress_bars

T = TypeVar("T")
_FROM_FILE = "_is_hf_initialized"  # the mark that transformers leaves on weights from files
_SHOWN_WEIGHTS = 3


def load_model(
    constructor: Callable[..., T],
    files: ModelFiles,
    options: EncoderOptions,
    kind: str = "model",
    *,
    has_new_weights: bool = False,
) -> T:
    """Load a model with a constructor of sentence-transformers.

    Parameters
    ----------
    has_new_weights
        Whether weights that the files lack are wanted: a head that is to be trained.

    Raises
    ------
    BadData
        If the files are damaged, or lack weights on which the outputs depend.
    """
    check_device(options.device)
    arguments = options.loading_arguments()
    try:
        # Weights that the files lack, such as those of a pooler that nothing reads, are random:
        # with a fixed seed they are the same each time, and a training saves the same bytes.
        with hide_progress_bars(), _fixed_seed():
            model = constructor(files.name, local_files_only=not files.is_reachable, **arguments)
    except Exception as error:  # libraries raise anything on damaged or hostile files
        raise BadData(f"cannot load the {kind} {files.name!r}: {find_reason(error)}") from error
    if names := [] if has_new_weights else list_random_weights(model):
        examples = ", ".join(names[:_SHOWN_WEIGHTS]) + ", ..." * (len(names) > _SHOWN_WEIGHTS)
        raise BadData(
            f"the files of {files.name!r} lack {len(names)} weights of this {kind}, which would be "
            f"random: {examples}; is it a {kind}, and is its folder complete?"
        )
    return model


@contextmanager
def _fixed_seed() -> Iterator[None]:
    """Seed torch's generator of the CPU for the block, and restore its state at the end."""
    import torch

    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(0)
        yield


def check_device(device: str | None) -> None:
    """Raise `BadOption` for a device that torch does not have here."""
    import torch

    try:
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        usable = f"cpu{' or cuda' if torch.cuda.is_available() else ''}"
        raise BadOption(
            f"device is {device!r}, which torch does not have here; leave it out, or say {usable}"
        ) from error


def list_random_weights(model: Any) -> list[str]:
    """List the weights of a newly loaded model that came from no file and change its outputs.

    Empty where transformers loaded no part of the model, or does not tell.
    """
    from transformers import PreTrainedModel

    unread = tuple(list_unread_modules(model))
    names = []
    for prefix, module in model.named_modules():
        if not isinstance(module, PreTrainedModel):
            continue
        weights = dict(module.named_parameters())
        if not any(getattr(tensor, _FROM_FILE, False) for tensor in weights.values()):
            continue
        ignored = module._keys_to_ignore_on_load_missing or ()  # noqa: SLF001 - there is no other
        names += [
            f"{prefix}.{name}"
            for name, tensor in weights.items()
            if tensor.requires_grad
            and not getattr(tensor, _FROM_FILE, False)
            and not any(re.search(pattern, name) for pattern in ignored)
            and not f"{prefix}.{name}".startswith(unread)
        ]
    return list(dict.fromkeys(names))
