"""The page at ``/``: one document with its style and script inside, which asks nobody but this server."""

import base64
import hashlib
from importlib.resources import files

from fastapi import FastAPI
from fastapi.responses import HTMLResponse


def document() -> str:
    """The whole page."""
    return _part("page.html").replace("/* style */", _part("style.css")).replace("/* script */", _part("script.js"))


def policy() -> str:
    """A content security policy under which the page's own style and script run, and nothing else does."""
    style, script = (_hash(_part(name)) for name in ("style.css", "script.js"))
    allowed = {
        "default-src": "'none'",
        "style-src": style,
        "script-src": script,
        "connect-src": "'self'",
        "img-src": "data:",
        "base-uri": "'none'",
        "form-action": "'none'",
        "frame-ancestors": "'none'",
    }
    return "; ".join(f"{name} {value}" for name, value in allowed.items())


def add(app: FastAPI) -> None:
    """Serve the page at ``/``."""
    content, headers = document(), {"Content-Security-Policy": policy(), "Cache-Control": "no-cache"}

    @app.get("/", include_in_schema=False)
    async def page() -> HTMLResponse:
        return HTMLResponse(content, headers=headers)


def _part(name: str) -> str:
    return (files(__package__) / name).read_text(encoding="utf-8")


def _hash(text: str) -> str:
    """A hash as the policy wants it, of text between a tag and its end."""
    return "'sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() + "'"
