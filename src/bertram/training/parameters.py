"""The trained parameters of a run by name, and the layer of the encoder that each belongs to."""

from torch import nn

from bertram.model.encoders import Encoder
from bertram.model.multitask import Multitask


def word_table(network: Multitask) -> str:
    """The name of the table of word embeddings."""
    return next(name for name, parameter in network.named_parameters() if parameter is network.encoder.word_embeddings)


def shared_parameters(network: Multitask) -> dict[str, nn.Parameter]:
    """The trained parameters of the encoder; the table of word embeddings stands last.

    The order decides the last bits of sums over parameters, such as a norm, and nothing else.
    """
    table = word_table(network)
    shared = _trained(network.encoder, "encoder")
    return {name: shared[name] for name in sorted(shared, key=lambda name: name == table)}


def head_parameters(network: Multitask, task: str) -> dict[str, nn.Parameter]:
    """The trained parameters of a task's head."""
    return _trained(network.head(task), f"heads.{task}")


def depths(encoder: Encoder) -> dict[str, int]:
    """The depth of each parameter of the encoder: 0 for embeddings, 1 for the first layer; the pooler is on top."""
    depth = {id(p): number for number, layer in enumerate(encoder.layers, start=1) for p in layer.parameters()}
    depth |= {id(p): len(encoder.layers) + 1 for p in encoder.top_parameters()}
    return {name: depth.get(id(p), 0) for name, p in encoder.named_parameters("encoder")}


def by_layer(network: Multitask) -> list[list[str]]:
    """Names of the shared parameters of each layer, the embeddings first."""
    depth = depths(network.encoder)
    layers: dict[int, list[str]] = {}
    for name in shared_parameters(network):
        layers.setdefault(depth[name], []).append(name)
    return [layers[number] for number in sorted(layers)]


def _trained(module: nn.Module, prefix: str) -> dict[str, nn.Parameter]:
    return {name: parameter for name, parameter in module.named_parameters(prefix) if parameter.requires_grad}
