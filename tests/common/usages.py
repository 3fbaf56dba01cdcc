"""Made-up usages of words in two periods."""

from pathlib import Path

OLD = [
    "The farmer kept his {} beside the barn all winter.",
    "She carried the {} up the hill before noon.",
    "An old {} stood in the corner of the yard.",
    "They sold the {} at the market for two shillings.",
    "His grandfather had made the {} by hand.",
    "A broken {} lay under the oak.",
]
NEW = [
    "Open the {} and type your password again.",
    "The {} crashed while I was saving the file.",
    "You can share a {} with everyone online.",
    "My phone shows every {} twice on the screen.",
    "Update the {} before you install anything else.",
    "The {} runs in the cloud and costs nothing.",
]


def write_usages(path: Path, words: tuple[str, ...] = ("plough", "window"), sep: str = ",") -> Path:
    """A table with the columns word, period, text, start, end; `window` changes its company, `plough` does not."""
    lines = [sep.join(("word", "period", "text", "start", "end"))]
    for word in words:
        for period, sentences in (("1900", OLD), ("2000", NEW if word == "window" else OLD[::-1])):
            for sentence in sentences:
                text = sentence.format(word)
                start = text.index(word)
                lines.append(sep.join((word, period, f'"{text}"', str(start), str(start + len(word)))))
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path
