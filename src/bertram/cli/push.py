"""``bertram push``."""

from pathlib import Path

from cyclopts import App

from bertram.cli.layout import Flag

EXAMPLES = """Examples:

  bertram export RUN --format transformers --task sst --out sst-model
  bertram push sst-model you/sst-model --private
"""

app = App(name="push", help_epilogue=EXAMPLES, help_format="plaintext")


@app.default
def push(
    directory: Path,
    repo: str,
    *,
    private: Flag = False,
    revision: str | None = None,
    message: str | None = None,
) -> None:
    """Upload an export to a model repository of the Hugging Face Hub, which is created if it is missing.

    The token is that of huggingface-hub: HF_TOKEN, or hf auth login. HF_ENDPOINT names another Hub.

    Parameters
    ----------
    directory
        Directory that bertram export has written.
    repo
        Repository: OWNER/NAME.
    private
        Make a new repository private.
    revision
        Branch, created if it is missing. Default: the main branch.
    message
        Commit message.
    """
    from bertram.cli.terminal import console, working  # noqa: PLC0415
    from bertram.export.push import push as upload  # noqa: PLC0415

    with working("uploading"):
        pushed = upload(directory, repo, private=private, revision=revision, message=message)
    console().print(f"{pushed.url}: {pushed.files} files, commit {pushed.commit[:12]}", soft_wrap=True)
