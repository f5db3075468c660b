"""Copies a sweep's page, data and notebooks into the published site and rebuilds the site's index.

Knows the site's layout: reports/index.html and reports/<sweep>/. Raw rows are copied as they are; paths of the machine
that measured are shortened in texts.
"""

from __future__ import annotations

import importlib
import re
import shutil
from pathlib import Path
from typing import Final

from markupsafe import Markup

from yapbench import store, traces
from yapbench.errors import UsageError
from yapbench.report import site
from yapbench.report.build import environment, look, render
from yapbench.report.gather import Gathered, gather, write_summaries
from yapbench.report.site import CARD
from yapbench.store import TrialData

_A_TRIAL: Final = r"runs/[\w.-]+/[\w.-]"
_IN_A_CHECKOUT: Final = re.compile(rf"(?<![\w.~/:-])(?P<root>(?:/[\w.+@%-]+)+?)/(?:{_A_TRIAL}|\.venv/bin/)")
"""A path whose beginning is a checkout of this project."""


def publish(folder: Path, reports_dir: Path) -> Path:
    """Publish runs/<sweep> as `reports_dir`/<sweep>/index.html with its data; returns that page.

    An older publication of the same sweep is replaced; one that is published from its own folder keeps its data and
    notebooks, and gets its page again. Raises UsageError when nothing finished, or when the target is
    a folder that is not a publication.
    """
    gathered = gather(folder)
    if not gathered.done:
        raise UsageError(f"{folder}: no finished trial to publish")
    target = reports_dir / gathered.name
    write_summaries(gathered)
    if target.exists() and target.samefile(folder):
        return _write_page(gathered, target, reports_dir)
    if target.exists():
        if not (target / CARD).exists():
            raise UsageError(f"{target} is there and was not published by yapbench; move it away")
        shutil.rmtree(target)
    target.mkdir(parents=True)
    if (folder / store.GRID).exists():
        shutil.copyfile(folder / store.GRID, target / store.GRID)
    for trial in gathered.trials:
        _copy(trial, target / trial.folder.name)
    return _write_page(gathered, target, reports_dir)


def _write_page(gathered: Gathered, target: Path, reports_dir: Path) -> Path:
    """The page, what the index says of it, and the index."""
    page = target / "index.html"
    text = render(gathered, notebook="notebook.html", publishing=True)
    page.write_text(portable(text, gathered.folder), encoding="utf-8")
    store.write_json(target / CARD, site.card(gathered))
    site.write_index(reports_dir)
    return page


def portable(text: str, sweep: Path | None = None) -> str:
    """`text` with each checkout as ".", runs/<sweep>/<trial> wherever they lie as such, and the home folder as "~": a
    published page names nobody's folders.

    A checkout elsewhere is known by the trials or the environment in it: what stands before /runs/<sweep>/<trial> or
    /.venv/bin in `text`. `sweep`: a folder of trials that may lie anywhere.
    """
    if sweep is not None:
        text = re.sub(re.escape(str(sweep.resolve())) + r"(?![\w.-])", f"runs/{sweep.name}", text)
    own, home = str(Path(__file__).resolve().parents[2]), str(Path.home())
    elsewhere = {found["root"] for found in _IN_A_CHECKOUT.finditer(text)} - {own}
    for root in (own, *sorted(elsewhere, key=len, reverse=True)):
        text = re.sub(rf"(?<![\w.~/-]){re.escape(root)}/(?={_A_TRIAL})", "", text)
        before = "" if root == own else r"(?<![\w.~-])"
        text = re.sub(rf"{before}{re.escape(root)}(?![\w.-])", ".", text)
    text = re.sub(rf"(?<![\w.~/:-])/(?={_A_TRIAL})", "", text)
    return re.sub(re.escape(home) + r"(?![\w.-])", "~", text) if len(home) > 1 else text


def notebook_page(notebook: Path, *, title: str, back: str) -> str:
    """An executed notebook as one offline page in the report's own style."""
    # Imported by name and on use: they take a second and have no types.
    nbconvert, nbformat = importlib.import_module("nbconvert"), importlib.import_module("nbformat")
    exporter = nbconvert.HTMLExporter(template_name="basic")
    body, _ = exporter.from_notebook_node(nbformat.read(notebook, as_version=4))
    body = re.sub(r"<script\b.*?</script>", "", body, flags=re.DOTALL | re.IGNORECASE)
    template = environment().get_template("notebook.html.j2")
    return template.render(
        **{k: v for k, v in look().items() if k != "policy"}, title=title, back=back, body=Markup(body)
    )


def _copy(trial: TrialData, target: Path) -> None:
    target.mkdir(parents=True)
    for name in (store.UTTERANCES_FILE, store.MACHINE_FILE, traces.FILE):
        if (trial.folder / name).exists():
            shutil.copyfile(trial.folder / name, target / name)
    for name in (store.TRIAL, "summary.json"):
        if (trial.folder / name).exists():
            text = (trial.folder / name).read_text(encoding="utf-8")
            (target / name).write_text(portable(text, trial.folder.parent), encoding="utf-8")
    notebook = trial.folder / "notebook.ipynb"
    if notebook.exists():
        title = f"{trial.info.get('notebook', 'notebook')} · {trial.info['trial_id']}"
        page = notebook_page(notebook, title=title, back="../index.html")
        (target / "notebook.html").write_text(portable(page, trial.folder.parent), encoding="utf-8")
