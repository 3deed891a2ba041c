"""Namespaces from the panel, in a real Chromium on a real fabric: made where one is chosen, and removed."""

from collections.abc import Generator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from support.fabric_fixtures import deployed
from support.fabric_processes import Fabric
from support.panel_browser import Visit, visit

HELD = 'name = "web"\ncommand = ["sleep", "3600"]\nresources = { cpu = 0.01, memory = "8MiB" }\n'


@pytest.fixture(scope="module")
def inside(browser: Browser, shared: Fabric) -> Generator[Visit]:
    with deployed(shared, web=HELD), visit(browser, shared) as made:
        made.log_in()
        yield made


def names(fabric: Fabric) -> set[str]:
    return {one.name for one in fabric.client.namespaces()}


def make(dialog: Locator, name: str) -> None:
    dialog.get_by_label("Name").fill(name)
    dialog.get_by_role("button", name="Make it").click()


def by_palette(page: Page) -> Locator:
    page.keyboard.press("Control+k")
    page.get_by_role("combobox", name="Go to, or do").fill("new names")
    page.keyboard.press("Enter")
    dialog = page.get_by_role("dialog", name="New namespace")
    expect(dialog).to_be_visible()
    return dialog


def test_a_project_gets_a_namespace_of_its_own_where_it_is_imported(
    inside: Visit, shared: Fabric, tmp_path: Path
) -> None:
    page = inside.page
    file = tmp_path / "compose.yaml"
    file.write_text("name: shop\nservices:\n  web:\n    image: shop:1\n")
    inside.show("import")
    page.get_by_label("Compose files, and what they read").set_input_files(file)
    expect(page.get_by_text("give the project a namespace of its own")).to_be_visible()
    page.get_by_role("button", name="New namespace").click()
    dialog = page.get_by_role("dialog", name="New namespace")
    make(dialog, "Shop")
    expect(dialog).to_be_visible()
    assert "Shop" not in names(shared)
    dialog.get_by_label("Name").fill("shop")
    expect(dialog.locator(".copied code")).to_have_text("omnitide namespace create shop")
    assert {scheme: inside.flaws() for scheme in inside.themes()} == {"light": [], "dark": []}
    dialog.get_by_role("button", name="Make it").click()
    expect(dialog).to_have_count(0)
    expect(page.get_by_role("combobox", name="Namespace")).to_have_value("shop")
    assert "shop" in names(shared)
    expect(page.get_by_role("region", name="What would change")).to_contain_text("shop/web")
    expect(page.get_by_text("give the project a namespace of its own")).to_have_count(0)
    shared.client.delete_namespace("shop")


def test_what_an_import_has_to_have_first_is_named_where_it_goes_and_beside_the_button(
    inside: Visit, shared: Fabric, tmp_path: Path
) -> None:
    page = inside.page
    file = tmp_path / "compose.yaml"
    file.write_text(
        "name: front\nservices:\n  db:\n    image: db:1\n    secrets: [pw]\nsecrets:\n  pw:\n    file: ./pw.txt\n"
    )
    shared.client.create_namespace("front")
    inside.show("import")
    page.get_by_label("Compose files, and what they read").set_input_files(file)
    page.get_by_role("combobox", name="Namespace").select_option("front")
    first = page.get_by_role("region", name="Has to be there first")
    expect(first.locator("code")).to_have_text("omnitide secret set front/pw --from-file pw.txt")
    expect(page.get_by_text("secret front/pw is not there: what reads it waits")).to_be_visible()
    expect(page.get_by_role("button", name="Apply all")).to_be_enabled()
    expect(page.get_by_role("region", name="Where replicas would go")).not_to_contain_text("Nothing else stands")
    shared.cli("secret", "set", "front/pw", "--from-file", str(file))
    expect(page.get_by_text("is not there: what reads it waits")).to_have_count(0)
    shared.cli("secret", "rm", "front/pw")
    shared.client.delete_namespace("front")


def test_a_new_agent_goes_into_a_namespace_that_is_made_for_it(inside: Visit, shared: Fabric) -> None:
    page = inside.page
    inside.show("agents/new", width=360)
    page.get_by_role("button", name="New namespace").click()
    make(page.get_by_role("dialog", name="New namespace"), "team")
    expect(page.get_by_role("combobox", name="Namespace")).to_have_value("team")
    assert "team" in names(shared)
    assert not inside.runs_out_of_the_window()
    shared.client.delete_namespace("team")


def test_what_a_name_has_to_be_is_told_while_it_is_typed(inside: Visit) -> None:
    page = inside.page
    inside.show("settings")
    dialog = by_palette(page)
    field, rule = dialog.get_by_label("Name"), dialog.locator("#namespace-rule")
    expect(rule).to_have_text("Lower-case letters, digits and hyphens, 40 at most; a letter first, no hyphen last.")
    expect(field).to_have_attribute("aria-describedby", "namespace-rule")
    for name, right in (
        ("Team", False),
        ("team", True),
        ("4team", False),
        ("", True),
        ("a" * 41, False),
        ("t-4", True),
    ):
        field.fill(name)
        expect(field).to_have_attribute("aria-invalid", str(not right).lower())
        expect(rule).to_have_attribute("role", "note" if right else "alert")
    field.fill("Team")
    assert inside.flaws_in_both_themes() == {"light": [], "dark": []}
    dialog.get_by_role("button", name="Cancel").click()


def test_one_is_made_from_the_palette_and_removed_in_the_settings(inside: Visit, shared: Fabric) -> None:
    page = inside.page
    inside.show("settings")
    make(by_palette(page), "team")
    line = page.get_by_role("list", name="Namespaces").get_by_role("listitem")
    expect(line.filter(has_text="team")).to_contain_text("0 agents, 0 jobs")
    expect(line.filter(has_text="default")).to_contain_text("1 agent,")
    expect(page.get_by_role("button", name="Remove default")).to_have_count(0)

    dialog = by_palette(page)
    make(dialog, "team")
    expect(dialog.get_by_role("status").first).to_contain_text("'team' exists")
    dialog.get_by_role("button", name="Cancel").click()

    # What only Nexus knows of is told before it is asked for.
    shared.client.set_secret("team", "key", b"value")
    page.get_by_role("button", name="Remove team").click()
    dialog = page.get_by_role("dialog", name="Remove the namespace team")
    expect(dialog.get_by_role("status").first).to_contain_text("still holds 1 secret")
    expect(dialog.get_by_role("button", name="Remove")).to_be_disabled()
    dialog.get_by_role("button", name="Cancel").click()

    shared.client.remove_secret("team", "key")
    page.get_by_role("button", name="Remove team").click()
    expect(dialog.locator(".copied code")).to_have_text("omnitide namespace rm team")
    assert inside.flaws() == []
    dialog.get_by_role("button", name="Remove").click()
    expect(line.filter(has_text="team")).to_have_count(0)
    assert "team" not in names(shared)
