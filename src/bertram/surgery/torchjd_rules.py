"""Rules of gradient surgery by name: our own, and those of torchjd that need nothing but the Gramian."""

import importlib
import warnings
from collections.abc import Callable
from functools import partial
from typing import Any, cast

import torch
from torch import Tensor

from bertram.surgery.names import TORCHJD, why_not
from bertram.surgery.rules import AsymmetricProjection, ConFIG, GradVac, PCGrad, Sum, Weighting

SHORTEST = frozenset({"cagrad", "mgda"})  # they look for the shortest mixture of gradients, which is 0 with a zero one


def weighting(
    method: str, *, generator: torch.Generator | None = None, main: int | None = None, **options: Any
) -> Weighting:
    """The weighting of a name, one of `methods`.

    Args:
        method: ``none`` (the sum), ``pcgrad``, ``gradvac``, ``asymmetric``, ``config``, ``nash-mtl``, or a weighting of
            torchjd.
        generator: CPU generator of the rules that draw an order.
        main: index of the main task, for ``asymmetric``.
        options: further arguments of the rule, such as ``beta`` of gradvac or ``c`` of cagrad.

    Raises:
        ValueError: the method is unknown, cannot be used, or lacks a package or an argument.
    """
    if method == "asymmetric" and main is None:
        raise ValueError("surgery method asymmetric needs `main`, the index of the main task")
    rules: dict[str, Callable[..., Weighting]] = {
        "none": Sum,
        "pcgrad": partial(PCGrad, generator),
        "gradvac": partial(GradVac, generator=generator),
        "asymmetric": partial(AsymmetricProjection, -1 if main is None else main),
        "config": ConFIG,
        "nash-mtl": NashMTL,
    }
    return rules[method](**options) if method in rules else from_torchjd(method, **options)


class NashMTL:
    """Nash-MTL: the update that the tasks would agree on as a bargain, by torchjd's solver.

    Navon et al., Multi-Task Learning as a Bargaining Game, ICML 2022, Algorithm 1. The solver takes a Jacobian; here it
    gets a root of the Gramian, [T, T], which has the same inner products and norms. It starts from the weights of the
    step before, so that it has a state.

    Args:
        max_norm: largest norm of the update; 0: no limit.
        iterations: largest number of iterations of the solver.

    Raises:
        ValueError: torchjd or the solver (cvxpy and ecos) is not installed.
    """

    def __init__(self, max_norm: float = 1.0, iterations: int = 20) -> None:
        self.max_norm, self.iterations = max_norm, iterations
        self._solver = self._new_solver(1)
        self._weights: Tensor | None = None

    def __call__(self, gramian: Tensor) -> Tensor:
        """Weights [T] from the Gramian [T, T]; keeps them for the next step."""
        if not bool(gramian.isfinite().all()) or not gramian.any():
            return gramian.new_ones(len(gramian))
        if self._solver.n_tasks != len(gramian):
            self._solver = self._new_solver(len(gramian))
        if self._weights is not None:
            self._solver.weighting.prvs_alpha = self._weights.numpy().copy()
        values, vectors = torch.linalg.eigh(gramian.double())
        root = vectors * values.clamp_min(0.0).sqrt()
        with warnings.catch_warnings():  # about its own program, and of no use to a caller
            warnings.filterwarnings("ignore", "You are solving a parameterized problem that is not DPP")
            weights = cast(Tensor, self._solver.weighting(root))
        self._weights = torch.as_tensor(self._solver.weighting.prvs_alpha).double().clone()
        return weights.to(gramian)

    def state_dict(self) -> dict[str, Tensor | None]:
        """State for a checkpoint."""
        return {"weights": self._weights}

    def load_state_dict(self, state: dict[str, Tensor | None]) -> None:
        """Restore the state of a checkpoint."""
        self._weights = state["weights"]

    def _new_solver(self, tasks: int) -> Any:
        try:
            module = importlib.import_module("torchjd.aggregation")
            return module.NashMTL(n_tasks=tasks, max_norm=self.max_norm, optim_niter=self.iterations)
        except ModuleNotFoundError:
            raise ValueError("surgery method nash-mtl needs torchjd: pip install 'bertram[nash-mtl]'") from None
        except ImportError:
            raise ValueError("surgery method nash-mtl needs cvxpy and ecos: pip install 'bertram[nash-mtl]'") from None
        except ValueError as error:
            raise ValueError(f"surgery method nash-mtl: {error}") from None


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
        # The solvers fail on a Gramian that is not finite. The sum is not finite either, so checks of it still work.
        if not bool(gramian.isfinite().all()):
            return gramian.new_ones(len(gramian))
        present = gramian.diagonal() > 0
        if name in SHORTEST and bool(present.any()) and not bool(present.all()):
            weights = torch.zeros_like(gramian.diagonal())
            weights[present] = weigh(gramian[present][:, present])
            return weights
        # torchjd treats a Gramian with a trace below 1e-4 as zero and would average small gradients without notice.
        # The result of all rules except FairGrad does not depend on the scale.
        scale = gramian.diagonal().mean()
        if scale > 0 and name != "fairgrad":
            gramian = gramian / scale
        return cast(Tensor, solve(gramian))

    return weigh
