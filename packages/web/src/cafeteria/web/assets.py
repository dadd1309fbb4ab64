"""The files of the pages, and the headers that every server must send with them.

The edge serves the folder as it is: what is in the repository is what a browser loads, byte for byte. A test holds the
edge's own configuration against these headers.
"""

from pathlib import Path

SITE = Path(__file__).parent / "site"
PAGES = ("index.html", "kitchen.html", "board.html", "ops.html")

CSP = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; "
    "connect-src 'self'; manifest-src 'self'; worker-src 'self'; form-action 'self'; base-uri 'none'; "
    "frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types lit-html"
)
"""Own files alone, nothing inline. No text becomes markup but in the templates of lit-html, whose policy this is."""

HEADERS = {
    "Cache-Control": "no-cache",  # a browser asks each time, and gets 304 by the ETag
    "Content-Security-Policy": CSP,
    "Cross-Origin-Opener-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=()",
    "Referrer-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
}


def files() -> tuple[str, ...]:
    """Return all files that are served, as sorted paths below SITE with forward slashes."""
    return tuple(sorted(path.relative_to(SITE).as_posix() for path in SITE.rglob("*") if path.is_file()))
