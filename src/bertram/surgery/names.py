"""Names of the surgery methods, and why a method cannot be used; needs no PyTorch."""

import difflib
from typing import Any

OWN = ("none", "pcgrad", "gradvac", "asymmetric", "config")
NASH_MTL = "nash-mtl"
TORCHJD: dict[str, tuple[str, dict[str, Any]]] = {  # its class, and values of arguments without a default
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
_COORDINATES = "it looks at every coordinate of the gradients, and only their Gramian is at hand"
_REFUSED = {
    "excess-mtl": _COORDINATES,
    "graddrop": _COORDINATES,
    "trimmed-mean": _COORDINATES,
    "cr-mogm": "it only smooths the weights of another rule",
    "pcd": "it keeps a state between steps that checkpoints do not hold",
    "modo": "it needs gradients of two independent batches",
    "sdmgrad": "it needs gradients of two independent batches",
    "random": "it draws from the global generator, so that a run could not be repeated",
}


def methods() -> tuple[str, ...]:
    """Names that `bertram.surgery.weighting` takes."""
    return (*OWN, NASH_MTL, *TORCHJD)


def why_not(method: str) -> str | None:
    """Reason why a method cannot be used, with the remedy; None for a method that can."""
    if method in _REFUSED:
        return f"{method} is not offered: {_REFUSED[method]}; choose one of {', '.join(methods())}"
    if method not in methods():
        near = difflib.get_close_matches(method, methods(), 1)
        hint = f"did you mean {near[0]}?" if near else f"choose one of {', '.join(methods())}"
        return f"unknown surgery method {method!r}; {hint}"
    return None
