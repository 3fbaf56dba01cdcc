"""Rules of gradient surgery by name: our own, and those of torchjd that need nothing but the Gramian."""

import importlib
from typing import Any, cast

import torch
from torch import Tensor

from bertram.surgery.names import TORCHJD, why_not
from bertram.surgery.rules import AsymmetricProjection, GradVac, PCGrad, Sum, Weighting


def weighting(
    method: str, *, generator: torch.Generator | None = None, main: int | None = None, **options: Any
) -> Weighting:
    """The weighting of a name, one of `methods`.

    Args:
        method: ``none`` (the sum), ``pcgrad``, ``gradvac``, ``asymmetric``, or a weighting of torchjd.
        generator: CPU generator of the rules that draw an order.
        main: index of the main task, for ``asymmetric``.
        options: further arguments of the rule, such as ``beta`` of gradvac or ``c`` of cagrad.

    Raises:
        ValueError: the method is unknown, cannot be used, or lacks a package or an argument.
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
                raise ValueError("surgery method asymmetric needs `main`, the index of the main task")
            return AsymmetricProjection(main, **options)
    return from_torchjd(method, **options)


def from_torchjd(name: str, **options: Any) -> Weighting:
    """Adapt a weighting of torchjd: any that is a function of the Gramian alone, without a state.

    Most of them average over the tasks where PCGrad adds up: their updates are about T times shorter.

    Args:
        name: name such as ``upgrad``, ``mgda``, ``cagrad``, ``imtl-g``, ``aligned-mtl`` or ``dualproj``.
        options: arguments of its class.

    Raises:
        ValueError: the weighting is unknown, needs more than the Gramian, lacks a package, or an option is wrong.
    """
    fault = why_not(name)
    if fault is None and name not in TORCHJD:
        fault = f"{name} is not a rule of torchjd; use `weighting`"
    if fault is not None:
        raise ValueError(f"surgery method: {fault}")
    kind, defaults = TORCHJD[name]
    try:
        solve = getattr(importlib.import_module("torchjd.aggregation"), kind)(**{**defaults, **options})
    except ModuleNotFoundError:
        raise ValueError(f"surgery method {name} needs torchjd: pip install 'bertram[surgery]'") from None
    except AttributeError:
        raise ValueError(f"surgery method {name} needs a newer torchjd: pip install -U 'bertram[surgery]'") from None
    except (ImportError, TypeError) as error:  # a solver is missing, or an option is wrong; torchjd says which
        raise ValueError(f"surgery method {name}: {error}") from None

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
