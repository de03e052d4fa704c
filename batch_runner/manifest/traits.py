"""What a manifest needs to know of a provider."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Literal, Protocol

#: How params are given: values by node and field of a workflow, or by field.
ParamsShape = Literal["nodes", "flat"]


class ProviderTraits(Protocol):
    """How the manifests of one provider differ from others."""

    @property
    def own_server(self) -> bool:
        """Return whether its servers are the user's own, and workflows are files."""
        ...

    @property
    def params_shape(self) -> ParamsShape: ...

    @property
    def needs_workflow(self) -> bool: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class UsualTraits:
    """The traits of a hosted service with workflows, assumed where nothing is known."""

    own_server: bool = False
    params_shape: ParamsShape = "nodes"
    needs_workflow: bool = True


#: The names that `provider` may have, with or without the traits of each; None accepts any.
Providers = Mapping[str, ProviderTraits] | Collection[str] | None
