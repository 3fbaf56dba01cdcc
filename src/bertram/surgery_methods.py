"""Rules of gradient surgery by name: our own, and those of torchjd that see nothing but the Gramian."""

import difflib
import importlib
from typing import Any, cast

import torch
from torch import Tensor

from bertram.errors import BertramError
from bertram.surgery_rules import AsymmetricProjection, GradVac, PCGrad, Sum, Weighting

_BUILT_IN = ("none", "pcgrad", "gradvac", "asymmetric")
_TORCHJD: dict[str, tuple[str, dict[str, Any]]] = {  # its class, and arguments that it leaves without a default
    "aligned-mtl": ("AlignedMTLWeighting", {}),
    "cagrad": ("CAGradWeighting", {"c": 0.4}),
    "dualproj": ("DualProjWeighting", {}),
    "fairgrad": ("FairGradWeighting", {"alpha": 1.0}),
    "imtl-g": ("IMTLGWeighting", {}),
    "krum": ("KrumWeighting", {"n_byzantine": 0}),
    "mean": ("MeanWeighting", {}),
    "mgda": ("MGDAWeighting", {}),
    "upgrad": ("UPGradWeighting", {}),
}
_JACOBIAN = "it needs the whole Jacobian, and only its Gramian is at hand"
_STATE = "it keeps a state between steps that a checkpoint could not hold"
_REFUSED = {
    "config": _JACOBIAN,
    "excess-mtl": _JACOBIAN,
    "graddrop": _JACOBIAN,
    "nash-mtl": _JACOBIAN,
    "trimmed-mean": _JACOBIAN,
    "cr-mogm": _STATE,
    "pcd": _STATE,
    "modo": "it needs gradients of two independent batches",
    "sdmgrad": "it needs gradients of two independent batches",
    "random": "it draws from the global generator, so that a run could not be repeated",
}


def methods() -> tuple[str, ...]:
    """The names that `weighting` knows."""
    return (*_BUILT_IN, *_TORCHJD)


def weighting(
    method: str, *, generator: torch.Generator | None = None, main: int | None = None, **options: Any
) -> Weighting:
    """Make the weighting of a name: one of `methods`.

    Args:
        method: ``none`` (the sum), ``pcgrad``, ``gradvac``, ``asymmetric``, or a weighting of torchjd.
        generator: a CPU generator for the rules that draw an order.
        main: index of the main task, for ``asymmetric``.
        options: further arguments of the rule, such as ``beta`` of gradvac or ``c`` of cagrad.

    Raises:
        BertramError: no such method, one that cannot work here, or one that needs a package or an argument.
    """
    match method:
        case "none":
            return Sum(**options)
        case "pcgrad":
            return PCGrad(generator, **options)
        case "gradvac":
            return GradVac(generator=generator, **options)
        case "asymmetric":
            if main is None:
                raise BertramError("surgery method asymmetric: say which task is the main one")
            return AsymmetricProjection(main, **options)
    return from_torchjd(method, **options)


def from_torchjd(name: str, **options: Any) -> Weighting:
    """Adapt a weighting of torchjd: any that is a function of the Gramian alone, without a state.

    Most of them average over the tasks where PCGrad adds up: their updates are about T times shorter.

    Args:
        name: such as ``upgrad``, ``mgda``, ``cagrad``, ``imtl-g``, ``aligned-mtl`` or ``dualproj``.
        options: arguments of its class.

    Raises:
        BertramError: no such weighting, one that needs more than the Gramian, a missing package or a wrong option.
    """
    if name in _REFUSED:
        raise BertramError(
            f"surgery method {name} is not offered: {_REFUSED[name]}; take one of {', '.join(methods())}"
        )
    if name not in _TORCHJD:
        near = difflib.get_close_matches(name, methods(), 1)
        hint = f"did you mean {near[0]}?" if near else f"known are {', '.join(methods())}"
        raise BertramError(f"surgery method {name}: there is none of that name; {hint}")
    kind, defaults = _TORCHJD[name]
    try:
        solve = getattr(importlib.import_module("torchjd.aggregation"), kind)(**{**defaults, **options})
    except ModuleNotFoundError:
        raise BertramError(f"surgery method {name} needs torchjd: pip install 'bertram[surgery]'") from None
    except AttributeError:
        raise BertramError(f"surgery method {name} needs a newer torchjd: pip install -U 'bertram[surgery]'") from None
    except (ImportError, TypeError) as error:  # a solver is missing, or an option is wrong; torchjd says which
        raise BertramError(f"surgery method {name}: {error}") from None

    def weigh(gramian: Tensor) -> Tensor:
        if not bool(gramian.isfinite().all()):  # the solvers fail on it; the sum carries it to whoever checks gradients
            return gramian.new_ones(len(gramian))
        # torchjd takes a Gramian with a trace below 1e-4 for zero, and would average small gradients in silence. All
        # rules but FairGrad are indifferent to the scale.
        scale = gramian.diagonal().mean()
        if scale > 0 and name != "fairgrad":
            gramian = gramian / scale
        return cast(Tensor, solve(gramian))

    return weigh
