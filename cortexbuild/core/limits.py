"""What a built model has to keep to before its view shows it."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from .amount import Bytes
from .digest import Plain, plain_number
from .document import Entry

Positive = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Share = Annotated[float, Field(ge=0, le=1)]


class Limits(Entry):
    """Limits of what `validate` measures; one that is left out is not looked at.

    Kullback-Leibler divergences are in nats per token, of what the built model predicts from what
    its source predicts; `min_top1` is the share of tokens for which both find the same one most
    likely; `max_ppl_ratio` is the perplexity of the built model over that of its source.
    """

    max_kl: Annotated[Positive | None, Field(description="mean divergence, nats per token")] = None
    max_kl_p99: Annotated[
        Positive | None, Field(description="divergence that 99% of the tokens are below")
    ] = None
    min_top1: Annotated[
        Share | None, Field(description="share of tokens with the same most likely next one")
    ] = None
    max_ppl_ratio: Annotated[Positive | None, Field(description="perplexity over the source's")] = (
        None
    )
    max_logit_error: Annotated[
        Positive | None, Field(description="largest difference of two scores")
    ] = None
    min_tokens_per_second: Annotated[
        Positive | None, Field(description="of greedy text, on the machine that measures")
    ] = None
    max_memory: Annotated[
        Bytes | None, Field(description="peak of the process that loads it and writes, as `8GiB`")
    ] = None

    def over(self, others: Limits) -> Limits:
        """These limits, and of the others those that are left out here."""
        return others.model_copy(update=self.model_dump(exclude_none=True))

    def plain(self) -> dict[str, Plain]:
        """For hashing: the limits that are set."""
        said = self.model_dump(exclude_none=True).items()
        return {name: plain_number(v) if isinstance(v, float) else v for name, v in said}
