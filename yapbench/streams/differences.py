"""A transcript beside its reference as HTML: struck out what was said, underlined what was put in its place."""

from __future__ import annotations

import html

from yapbench.wer import Alignment


def marked(aligned: Alignment) -> str:
    """The words of both, escaped, in the order of the reference; <del> and <ins> around those that differ."""
    parts = []
    for edit in aligned.edits:
        said = html.escape(" ".join(aligned.reference[edit.ref_start : edit.ref_end]))
        heard = html.escape(" ".join(aligned.hypothesis[edit.hyp_start : edit.hyp_end]))
        if edit.kind == "equal":
            parts.append(said)
            continue
        parts += [f"<del>{said}</del>"] if said else []
        parts += [f"<ins>{heard}</ins>"] if heard else []
    return " ".join(parts)
