"""Themes are files; a bad one is named and left out."""

from __future__ import annotations

from pathlib import Path

import pytest

from console.theming import VARIABLES, load_themes, read_theme, shipped_folders


def write(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def test_both_shipped_themes_say_everything_themselves() -> None:
    found = load_themes(shipped_folders())
    assert found.problems == ()
    assert {name: theme.dark for name, theme in found.themes.items()} == {"harbour": True, "paper": False}
    for theme in found.themes.values():
        assert set(theme.variables) == set(VARIABLES)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("name: x\ncolors: {primary: '#12'}\n", "colors.primary: '#12' is not a colour: write #rrggbb"),
        ("name: x\ncolors: {primary: '#112233', pirmary: red}\n", "colors.pirmary: Extra inputs are not permitted"),
        ("name: x\ncolors: {primary: red}\nvariables: {call-life: red}\n", "variables: 'call-life' is not one of"),
        ("name: [x\n", "line 2, column 1: not YAML"),
        ("- just\n- a list\n", "valid dictionary"),
        ("", "valid dictionary"),
    ],
)
def test_a_wrong_file_says_what_is_wrong_with_it(tmp_path: Path, text: str, sentence: str) -> None:
    write(tmp_path, "bad.yaml", text)
    found = load_themes([tmp_path])
    assert found.themes == {}
    assert found.problems[0].startswith("bad.yaml: ")
    assert sentence in found.problems[0]


def test_one_bad_file_does_not_spoil_the_others(tmp_path: Path) -> None:
    write(tmp_path, "a.yaml", "name: [")
    (tmp_path / "b.yaml").write_bytes(b"\xff\xfe\x00")
    write(tmp_path, "c.yaml", "name: mine\ncolors: {primary: '#336699'}\n")
    found = load_themes([tmp_path])
    assert list(found.themes) == ["mine"]
    assert len(found.problems) == 2


def test_an_operators_theme_may_replace_ours(tmp_path: Path) -> None:
    write(tmp_path, "harbour.yaml", "name: harbour\ncolors: {primary: '#336699'}\n")
    assert load_themes([*shipped_folders(), tmp_path]).themes["harbour"].primary == "#336699"


def test_a_missing_folder_is_no_problem(tmp_path: Path) -> None:
    assert load_themes([tmp_path / "nowhere"]).problems == ()


def test_a_theme_reads_back_with_its_variables(tmp_path: Path) -> None:
    path = write(tmp_path, "t.yaml", "name: t\ndark: false\ncolors: {primary: blue}\nvariables: {call-live: green}\n")
    assert read_theme(path).variables == {"call-live": "green"}
