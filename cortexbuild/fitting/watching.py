"""See what goes through the linear layers of a transformers model, forward and backward.

What is watched are the functions `linear` and `embedding`, and not modules: so a layer is found
by the memory of its weight, whichever module uses it, and a tied one is found in both roles.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch


@dataclass(slots=True)
class Use:
    """One use of a weight (rows, columns) for some tokens.

    `inputs` are (tokens, columns), or, where it was `looked_up`, the rows' numbers (tokens).
    `gradients` of its output come with the backward pass: (tokens, rows), or (tokens, columns)
    of a look-up; None where nothing of it reached the loss.
    """

    name: str
    looked_up: bool
    inputs: torch.Tensor
    gradients: torch.Tensor | None = None


@contextmanager
def watching(model: Any) -> Iterator[list[Use]]:
    """The uses of the model's matrices while this lasts, in their order.

    Parameters need no gradients: what is looked up begins the graph. A weight is called as in
    `named_parameters`, so a tied output layer has the embedding's name.
    """
    import torch
    from torch.overrides import TorchFunctionMode

    names = {
        parameter.data_ptr(): name
        for name, parameter in model.named_parameters()
        if parameter.ndim == 2
    }
    seen: list[Use] = []

    def keep(name: str, inputs: torch.Tensor, output: torch.Tensor, *, looked_up: bool) -> None:
        use = Use(name, looked_up, inputs)
        seen.append(use)

        def take(gradient: torch.Tensor) -> None:
            use.gradients = gradient.detach().reshape(-1, gradient.shape[-1])

        output.register_hook(take)

    class Watcher(TorchFunctionMode):  # type: ignore[misc]
        def __torch_function__(
            self, function: Callable[..., Any], _types: Any, args: Any = (), kwargs: Any = None
        ) -> Any:
            kwargs = kwargs or {}
            output = function(*args, **kwargs)
            if function is torch.nn.functional.linear:
                weight = args[1] if len(args) > 1 else kwargs["weight"]
                name = names.get(weight.data_ptr())
                if name is not None and output.requires_grad:
                    inputs = args[0].detach().reshape(-1, args[0].shape[-1])
                    keep(name, inputs, output, looked_up=False)
            elif function is torch.nn.functional.embedding:
                weight = args[1] if len(args) > 1 else kwargs["weight"]
                name = names.get(weight.data_ptr())
                if name is not None:
                    output = output.detach().requires_grad_()
                    keep(name, args[0].detach().reshape(-1), output, looked_up=True)
            return output

    with Watcher():
        yield seen
