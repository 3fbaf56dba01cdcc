"""SMART: adversarial smoothness for fine-tuning, on any PyTorch model.

Jiang et al., SMART: Robust and Efficient Fine-Tuning for Pre-trained Natural Language Models through Principled
Regularized Optimization, ACL 2020. To the loss of a batch it adds lambda_s R_s, where R_s is the largest divergence
between the model's outputs on the word embeddings x and on x + delta, over all offsets delta within a small ball
(equation 1), sought by projected gradient ascent (Algorithm 1). The second part of the paper, the Bregman proximal
point, is `BregmanProximal`.

The model enters as a function f from an offset to outputs. Only the word embeddings move: whatever comes after them,
position embeddings and LayerNorm included, belongs inside f, once.

In a training loop of one's own, where one would have called ``SMARTLoss(eval_fn, kl_loss, sym_kl_loss)``:

    >>> import torch
    >>> from bertram import smart
    >>> words, head = torch.nn.Embedding(100, 16), torch.nn.Sequential(torch.nn.Dropout(0.1), torch.nn.Linear(16, 5))
    >>> optimizer = torch.optim.AdamW([*words.parameters(), *head.parameters()])
    >>> settings = smart.Settings(weight=1.0).absolute(words.weight)
    >>> for step in range(3):
    ...     tokens, real, labels = torch.randint(100, (8, 12)), torch.ones(8, 12).bool(), torch.randint(5, (8,))
    ...     embeddings = words(tokens)  # with transformers: model.get_input_embeddings()(tokens), and inputs_embeds=
    ...     f = smart.same_dropout(lambda offset: head((embeddings + offset).mean(1)))
    ...     logits = f(torch.zeros_like(embeddings))
    ...     loss = torch.nn.functional.cross_entropy(logits, labels)
    ...     penalty, perturbation = smart.penalty(f, logits, smart.symmetric_kl, embeddings, settings, mask=real)
    ...     (loss + penalty).backward()
    ...     optimizer.step()
    ...     optimizer.zero_grad()
    >>> bool(perturbation.radius <= settings.radius)
    True
"""

from bertram.smart.adversarial import Perturbation, adversarial_offset
from bertram.smart.divergences import bernoulli_symmetric_kl, coral_symmetric_kl, squared_difference, symmetric_kl
from bertram.smart.offset_function import check_offset_function, same_dropout
from bertram.smart.penalties import example_penalties, penalty
from bertram.smart.proximal import BregmanProximal
from bertram.smart.settings import Settings, SettingsError, embedding_rms

__all__ = [
    "BregmanProximal",
    "Perturbation",
    "Settings",
    "SettingsError",
    "adversarial_offset",
    "bernoulli_symmetric_kl",
    "check_offset_function",
    "coral_symmetric_kl",
    "embedding_rms",
    "example_penalties",
    "penalty",
    "same_dropout",
    "squared_difference",
    "symmetric_kl",
]
