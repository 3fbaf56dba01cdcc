"""The rows of the study as recipes: each function returns a complete configuration.

docs/experiments.md lists the decisions where the study is not specific.
"""

from bertram import options
from bertram.config import Config
from bertram.recipes import study_tasks
from bertram.tasks import SST


def e1() -> Config:
    """Row 1: constant answers without training: neutral, not a paraphrase, a random similarity."""
    return options.change(e4(), recipe="e1")


def e1_yes() -> Config:
    """Row 1 with the answer paraphrase, which gives the study's accuracy of .375."""
    return options.change(e1(), recipe="e1-yes")


def e2() -> Config:
    """Row 2: row 4 with a frozen encoder and only the sentiment head trained."""
    untrained = {"trained": False, "max_train_samples": None}
    return options.change(
        e4(), recipe="e2", model={"freeze_encoder": True}, tasks={"quora": untrained, "sts": untrained}
    )


def untouched() -> Config:
    """Similarity alone, as the cosine of two [CLS] vectors of the encoder before any training."""
    values = options.dump(e3())
    return options.make(values | {"recipe": "untouched", "tasks": {"sts": {**values["tasks"]["sts"], "trained": True}}})


def untouched_mean() -> Config:
    """The same with the means of the token vectors, as minilm and mpnet were pretrained."""
    return options.change(untouched(), recipe="untouched-mean", model={"pooling": "mean"})


def e3() -> Config:
    """Row 3: row 4 trained on sentiment and paraphrase only; similarity is the cosine itself."""
    return options.change(e4(), recipe="e3", tasks={"sts": {"trained": False, "loss": "cosine-mse"}})


def e4() -> Config:
    """Row 4: sentiment, paraphrase, similarity in turn, one pass over each per epoch; base of the other rows."""
    pair_tasks = study_tasks(encoding="bi", head="cosine")
    return options.make(
        {
            "recipe": "e4",
            "tasks": {
                "sst": SST,
                "quora": pair_tasks["quora"].model_copy(update={"max_train_samples": 8000}),
                "sts": pair_tasks["sts"].model_copy(update={"loss": "binary-cross-entropy"}),  # on score / 5
            },
            "model": {"pooling": "cls", "head_dropout": 0.3},
            "optimizer": {"lr": 1e-5, "weight_decay": 0.0, "embedding_update": "dense"},
            "sampling": {"order": "sequential", "batch_size": 8, "epochs": 10},
            "evaluation": {"max_interim_samples": 2000},
            "log": {"logging_steps": 50, "diagnostics_steps": 500},
        }
    )


def e5() -> Config:
    """Row 5: row 4 with CosineEmbeddingLoss (margin 0) on similarity."""
    return options.change(e4(), recipe="e5", tasks={"sts": {"loss": "cosine-embedding", "margin": 0.0}})


def e6() -> Config:
    """Row 6: row 4 with SMART on sentiment, including the Bregman proximal point with momentum."""
    return options.change(e4(), recipe="e6", smart={"tasks": ["sst"], "weight": 1.0, "bregman": "momentum"})


def e6_literal() -> Config:
    """Row 6 with the constants that the study states: ε = σ = 1e-5, absolute."""
    literal = {"unit": "absolute", "radius": 1e-5, "noise_std": 1e-5, "step_size": 1e-3}
    return options.change(e6(), recipe="e6-literal", smart=literal)


def e6_smart_pytorch() -> Config:
    """Row 6 as the package smart-pytorch computes SMART, at its defaults and without Bregman."""
    package = {"variant": "smart-pytorch", "bregman": "off", "unit": "absolute", "noise_std": 1e-5, "step_size": 1e-3}
    return options.change(e6(), recipe="e6-smart-pytorch", smart=package)


def e7() -> Config:
    """Row 7: row 6 with the task of the worst score last in each epoch."""
    return options.change(e6(), recipe="e7", sampling={"order": "worst-last"})


def e8() -> Config:
    """Row 8: row 6 with rotating order, one PCGrad update after each epoch, and 9,000 Quora pairs."""
    return options.change(
        e6(),
        recipe="e8",
        sampling={"order": "rotating"},
        surgery={"method": "pcgrad", "frequency": "epoch"},
        tasks={"quora": {"max_train_samples": 9000}},
    )


def e9() -> Config:
    """Row 9: row 11 in joint steps, with summed losses; the order of the tasks does not matter then."""
    return options.change(e11(), recipe="e9", sampling={"order": "joint"})


def e10() -> Config:
    """Row 10: row 8 with MSE on similarity, 8,000 Quora pairs and 20 epochs."""
    changed = {"quora": {"max_train_samples": 8000}, "sts": {"loss": "mse"}}
    return options.change(e8(), recipe="e10", sampling={"epochs": 20}, tasks=changed)


def e11() -> Config:
    """Row 11: row 10 with 10 epochs."""
    return options.change(e10(), recipe="e11", sampling={"epochs": 10})


def e12() -> Config:
    """Row 12: row 9 with PCGrad at each joint step and 6,040 examples of each task."""
    limits = {name: {"max_train_samples": 6040} for name in ("sst", "quora", "sts")}
    return options.change(e9(), recipe="e12", surgery={"frequency": "step"}, tasks=limits)


def e13() -> Config:
    """Row 13: the run of row 12, used for the test submission."""
    return options.change(e12(), recipe="e13")


def e14() -> Config:
    """Row 14: row 11 with the whole Quora training file."""
    return options.change(e11(), recipe="e14", tasks={"quora": {"max_train_samples": None}})


def sentiment() -> Config:
    """Row 4 without the pair tasks."""
    values = options.dump(e4())
    return options.make(values | {"recipe": "sentiment", "tasks": {"sst": values["tasks"]["sst"]}})


def rate(text: str) -> Config:
    """Side sweep: row 11 with another learning rate of the encoder."""
    return options.change(e11(), recipe=f"rate-{text}", optimizer={"lr": float(text)})


def dropout(text: str) -> Config:
    """Side sweep: row 11 with another dropout rate before the heads."""
    return options.change(e11(), recipe=f"dropout-{text}", model={"head_dropout": float(text)})


def epochs(text: str) -> Config:
    """Side sweep: row 11 with another number of epochs."""
    return options.change(e11(), recipe=f"epochs-{text}", sampling={"epochs": int(text)})


def smart_all() -> Config:
    """Future work of the study: row 9 with SMART on the sum of all losses, λ_s = 1, without Bregman."""
    return options.change(e9(), recipe="smart-all", smart={"tasks": ["all"], "bregman": "off"})


def smart_all_3() -> Config:
    """Future work of the study: SMART on the sum of all losses, λ_s = 3."""
    return options.change(smart_all(), recipe="smart-all-3", smart={"weight": 3.0})


def smart_all_5() -> Config:
    """Future work of the study: SMART on the sum of all losses, λ_s = 5."""
    return options.change(smart_all(), recipe="smart-all-5", smart={"weight": 5.0})


def smart_all_bregman() -> Config:
    """Future work of the study: SMART and Bregman on the sum of all losses, λ_s = 1."""
    return options.change(smart_all(), recipe="smart-all-bregman", smart={"bregman": "momentum"})


def as_published(config: Config) -> Config:
    """The configuration with the cosine itself as the paraphrase logit, as in the published code."""
    if "quora" not in config.tasks:
        return config
    return options.change(config, recipe=f"{config.recipe}-as-published", tasks={"quora": {"raw_cosine": True}})
