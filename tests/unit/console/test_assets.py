"""The page's files."""

import gzip
import re

from console.assets import load_assets


def test_every_file_is_there_once_and_compressed() -> None:
    assets = load_assets()
    page = assets["index.html"]
    assert page.media_type == "text/html; charset=utf-8"
    assert gzip.decompress(page.compressed) == page.content
    assert len({asset.etag for asset in assets.values()}) == len(assets)


def test_the_page_names_only_files_that_are_there() -> None:
    assets = load_assets()
    for name, asset in assets.items():
        if name.startswith("vendor/"):
            continue
        text = asset.content.decode()
        wanted = re.findall(r'"/static/([^"#]+)"', text)
        wanted += re.findall(r'from "\./([^"]+)"', text)
        assert set(wanted) <= assets.keys(), name


def test_the_page_holds_no_code_and_no_style_of_its_own() -> None:
    for name in ("index.html", "login.html"):
        text = load_assets()[name].content.decode()
        assert "<style" not in text
        assert " style=" not in text
        assert not re.search(r"<script(?![^>]*\bsrc=)", text)
        assert not re.search(r"\son[a-z]+=", text)


def test_all_of_it_is_small() -> None:
    total = sum(len(asset.compressed) for asset in load_assets().values())
    assert total <= 150 * 1024


def test_what_is_not_ours_has_its_licence_beside_it() -> None:
    names = load_assets().keys()
    assert {name for name in names if name.startswith("vendor/")} == {
        "vendor/land-110m.json",  # world-atlas
        "vendor/uplot.min.css",
        "vendor/uplot.min.js",
    }
