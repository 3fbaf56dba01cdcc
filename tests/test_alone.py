"""SMART, gradient surgery and the optimizer work where nothing but PyTorch and NumPy is installed."""

import subprocess
import sys
from importlib.metadata import packages_distributions, requires

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

BLOCK = """
import sys

def is_installed(name):
    room, _, module = name.partition(".")
    if room == "bertram":
        return not module or module.split(".")[0] in ("smart", "surgery", "optimizer")
    return room in INSTALLED or room.startswith("_sysconfigdata")

class Finder:
    def __init__(self, finder):
        self.finder = finder

    def __getattr__(self, name):
        return getattr(self.finder, name)

    def find_spec(self, name, path=None, target=None):
        return self.finder.find_spec(name, path, target) if is_installed(name) else None

sys.meta_path[:] = map(Finder, sys.meta_path)
"""
USE = """
import torch
from bertram import optimizer, smart, surgery

words, head = torch.nn.Embedding(50, 8), torch.nn.Linear(8, 3)
settings = smart.Settings().absolute(words.weight)
embeddings, labels = words(torch.randint(50, (4, 6))), torch.randint(3, (4,))
f = lambda offset: head((embeddings + offset).mean(1))
logits = f(torch.zeros_like(embeddings))
penalty, _ = smart.penalty(f, logits, smart.symmetric_kl, embeddings, settings)
losses = [torch.nn.functional.cross_entropy(logits, labels) + penalty, logits.square().mean()]
parameters = [*words.parameters(), *head.parameters()]
gradients = [torch.autograd.grad(loss, parameters, retain_graph=True) for loss in losses]
combined = surgery.combine(gradients, surgery.PCGrad(torch.Generator().manual_seed(0)))
before = [parameter.detach().clone() for parameter in parameters]
for parameter, gradient in zip(parameters, combined):
    parameter.grad = gradient
optimizer.AdamW(parameters).step()
assert penalty > 0
assert all((a != b).any() for a, b in zip(before, parameters))
try:
    surgery.weighting("upgrad")
except ValueError as error:
    print(error)
"""


def with_requirements(*names: str) -> set[str]:
    """The distributions and everything they require, by canonical name."""
    closure: set[str] = set()
    waiting = list(names)
    while waiting:
        name = canonicalize_name(waiting.pop())
        if name not in closure:
            closure.add(name)
            required = [Requirement(line) for line in requires(name) or []]
            waiting += [r.name for r in required if r.marker is None or r.marker.evaluate({"extra": ""})]
    return closure


@pytest.mark.slow
def test_the_techniques_need_nothing_but_pytorch_and_numpy() -> None:
    allowed = with_requirements("torch", "numpy")
    modules = {
        module for module, names in packages_distributions().items() if allowed & {canonicalize_name(n) for n in names}
    }
    modules |= sys.stdlib_module_names
    others = {"pydantic", "polars", "rich", "scipy", "tokenizers", "safetensors", "huggingface_hub", "torchjd"}
    assert not modules & others
    code = f"INSTALLED = {sorted(modules)!r}\n{BLOCK}{USE}"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    assert result.stdout == "surgery method upgrad needs torchjd: pip install 'bertram[surgery]'\n"
