"""Upload of an export to the Hugging Face Hub."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bertram.errors import BertramError

MARK = "tags: [bertram"  # in the front matter of every card that `bertram export` writes


@dataclass(frozen=True)
class Pushed:
    """An upload.

    Attributes:
        url: address of the repository.
        commit: id of the commit.
        files: number of files of the export.
    """

    url: str
    commit: str
    files: int


def push(
    directory: Path, repo: str, *, private: bool = False, revision: str | None = None, message: str | None = None
) -> Pushed:
    """Upload an export to a model repository, which is created if it is missing.

    Token and address of the Hub are those of huggingface-hub: ``HF_TOKEN`` or ``hf auth login``, and ``HF_ENDPOINT``.
    Files of the repository that the export does not have stay.

    Args:
        directory: directory that `bertram export` has written.
        repo: id of the repository, ``OWNER/NAME``.
        private: make a new repository private.
        revision: branch; created if it is missing. None: the main branch.
        message: commit message.

    Raises:
        BertramError: the directory is no export, or the Hub refuses or does not answer.
    """
    files = _checked(directory)
    import huggingface_hub as hub  # noqa: PLC0415 - slow to import, and rarely needed
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalTokenNotFoundError  # noqa: PLC0415

    api = hub.HfApi()
    try:
        api.create_repo(repo, private=private, exist_ok=True)
        if revision is not None:
            api.create_branch(repo, branch=revision, exist_ok=True)
        commit = api.upload_folder(
            repo_id=repo,
            folder_path=directory,
            revision=revision,
            commit_message=message or f"Upload of {directory.resolve().name} by bertram push",
        )
    except HFValidationError:
        raise BertramError(f"{repo!r} is not the id of a model repository; it looks like owner/name") from None
    except LocalTokenNotFoundError:
        raise BertramError("the Hub needs a token to write: set HF_TOKEN, or log in by hf auth login") from None
    except HfHubHTTPError as error:
        raise BertramError(_refusal(repo, error)) from None
    except Exception as error:  # the network libraries below have error classes of their own
        raise BertramError(f"{repo}: {hub.constants.ENDPOINT} does not answer: {_first_line(error)}") from error
    return Pushed(f"{hub.constants.ENDPOINT}/{repo}", commit.oid, len(files))


def _checked(directory: Path) -> list[Path]:
    """The files of an export.

    Raises:
        BertramError: the directory is missing, a run, or nothing that `bertram export` has written.
    """
    if not directory.is_dir():
        raise BertramError(f"{directory}: there is no such directory")
    if (directory / "record.json").is_file():
        raise BertramError(f"{directory}: a run; write an export of it by bertram export, and push that")
    try:
        card = (directory / "README.md").read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        card = ""
    if MARK not in card:
        raise BertramError(f"{directory}: not written by bertram export: it has no model card of ours")
    return [path for path in directory.rglob("*") if path.is_file()]


def _refusal(repo: str, error: Any) -> str:
    status = None if error.response is None else error.response.status_code
    reasons = {
        401: "the token is missing or unknown; set HF_TOKEN, or log in by hf auth login",
        403: "the token may not write there; it needs the right to write to this owner",
        404: "there is no such repository, or the token may not see it",
    }
    said = _server_words(error)
    return f"{repo}: the Hub refuses ({status}): {reasons.get(status or 0, said)}"


def _server_words(error: Any) -> str:
    try:
        words = json.loads(error.response.text)["error"]
    except (ValueError, KeyError, TypeError, AttributeError):
        words = error
    return _first_line(words)


def _first_line(error: object) -> str:
    text = str(error).strip() or type(error).__name__
    return text.splitlines()[0]
