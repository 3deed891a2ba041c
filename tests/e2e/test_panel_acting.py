"""Acting from the panel, in a real Chromium on a real fabric: agents written, planned and applied, Compose files
imported, and what would come of it told before it is done."""

import json
import re
from collections.abc import Generator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Locator, Page, Route, expect

from omnitide.model.normalise import read
from omnitide.model.spec import AgentSpec
from support.fabric_fixtures import deployed
from support.fabric_processes import Fabric, until
from support.panel_browser import WITHIN_MS, Visit, visit

SHOTS = Path(__file__).parents[2] / ".pytest_cache" / "acting"
"""What a person looks at; no test reads it."""


@pytest.fixture(scope="module")
def inside(browser: Browser, shared: Fabric) -> Generator[Visit]:
    with deployed(shared), visit(browser, shared) as made:
        made.log_in()
        yield made
        # What is not there, and what is refused, the browser tells too.
        assert [told for told in made.console if "the server responded with a status of 4" not in told] == []


def deploy(fabric: Fabric, name: str, *, replicas: int = 1, seconds: int = 3600, **more: object) -> None:
    """Something that sleeps; and it runs."""
    fields: dict[str, object] = {"resources": {"cpu": 0.01, "memory": "8MiB"}, "stop": {"grace": "1s"}, **more}
    spec = read({"command": ["sleep", str(seconds)], **fields}, AgentSpec)
    made = fabric.client.deploy_agent(name, spec, replicas=replicas)
    assert made.agent is not None
    version = made.agent.version

    def runs() -> bool:
        now = fabric.client.get_agent(name)
        return now.version == version and now.rollout is None and now.running == replicas

    until(runs, f"{name} runs")


def code(page: Page) -> Locator:
    return page.locator(".cm-content")


def written(page: Page) -> str:
    return "\n".join(line.strip("\n\u200b") for line in page.locator(".cm-line").all_inner_texts())


def write(page: Page, text: str) -> None:
    """In place of all that is there."""
    code(page).focus()
    page.keyboard.press("Control+a")
    page.keyboard.insert_text(text)


def section(page: Page, title: str) -> Locator:
    return page.get_by_role("region", name=title)


def shot(page: Page, name: str) -> None:
    SHOTS.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=str(SHOTS / f"{name}.png"))


def test_an_agent_is_written_with_the_schemas_help_planned_and_applied_by_the_keyboard_alone(
    inside: Visit, shared: Fabric
) -> None:
    page = inside.page
    inside.show("overview")
    press = page.keyboard.press
    press("g")
    press("w")
    expect(page.get_by_role("heading", level=1)).to_have_text("New agent")
    expect(code(page)).to_be_focused()
    expect(section(page, "What would change")).to_contain_text("a new agent", timeout=WITHIN_MS)
    press("Control+a")
    page.keyboard.type("name: clock\n")
    page.keyboard.type("comm")
    expect(page.get_by_role("option", name="command")).to_be_visible()
    # It takes no key for what has just come up: that was meant for the text.
    page.evaluate("new Promise(done => setTimeout(done, 100))")
    press("Enter")
    page.keyboard.insert_text(' [sleep, "3600"]\nreplica: 2\n')
    faults = section(page, "1 fault")
    expect(faults).to_contain_text("line 3")
    expect(faults).to_contain_text("did you mean 'replicas'?")
    expect(page.locator(".cm-lintRange-error")).to_have_text("replica: 2")
    shot(page, "fault")
    press("ArrowUp")
    press("End")
    press("ArrowLeft")
    press("ArrowLeft")
    press("ArrowLeft")
    page.keyboard.type("s")
    expect(section(page, "What would change")).to_contain_text("default/clock", timeout=WITHIN_MS)
    expect(section(page, "Where replicas would go")).to_contain_text("2 replicas would start")
    expect(page.locator(".copied code")).to_have_text("omnitide apply -f clock.yaml")
    shot(page, "plan")
    press("Control+Enter")
    expect(page.get_by_role("heading", name="It is done")).to_be_visible(timeout=WITHIN_MS)
    assert shared.client.get_agent("clock").running == 2
    shot(page, "done")


def test_what_is_under_way_and_waits_says_for_what(inside: Visit, shared: Fabric) -> None:
    page = inside.page
    inside.show("agents/new")
    # More than half of a node each, and there are two nodes.
    cpu = max(node.cpu_milli for node in shared.client.nodes()) * 0.7 / 1000
    write(page, f"name: roomy\ncommand: [sleep, '3600']\nreplicas: 3\nresources: {{cpu: {cpu:.2f}}}\n")
    expect(section(page, "What would change")).to_contain_text("a new agent", timeout=WITHIN_MS)
    page.keyboard.press("Control+Enter")
    under_way = section(page, "Under way")
    expect(under_way).to_contain_text("2 of 3 running, 1 pending", timeout=WITHIN_MS)
    expect(under_way).to_contain_text("cpu")
    shot(page, "under-way")
    shared.client.delete_agent("roomy")


def test_a_new_agent_begins_with_a_name_that_none_has_and_says_if_it_would_change_one(
    inside: Visit, shared: Fabric
) -> None:
    page = inside.page
    deploy(shared, "hello")
    inside.show("agents/new")
    expect(code(page)).to_contain_text("name: hello-2")
    expect(section(page, "What would change")).to_contain_text("default/hello-2", timeout=WITHIN_MS)
    write(page, written(page).replace("hello-2", "hello"))
    expect(page.locator(".notice")).to_contain_text("There is an agent default/hello already: this would change it.")
    page.get_by_role("button", name="Start over").click()
    expect(code(page)).to_contain_text("name: hello-2")
    shared.client.delete_agent("hello")
    until(lambda: not [one for one in shared.client.agents() if one.name == "hello"], "it is gone")


def test_what_was_typed_comes_back_and_what_others_did_meanwhile_is_not_overwritten(
    inside: Visit, shared: Fabric
) -> None:
    page = inside.page
    deploy(shared, "tide")
    inside.show("agents/default/tide")
    page.keyboard.press("e")
    expect(code(page)).to_contain_text("3600")
    write(page, written(page).replace("3600", "3601"))
    differences = section(page, "What would change").locator(".differences")
    expect(differences).to_contain_text("3601")
    expect(section(page, "What would change").locator(".losses")).to_contain_text("1 instance has in memory is gone")
    # A stray click.
    page.get_by_role("link", name="Overview").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Overview")
    page.go_back()
    expect(code(page)).to_contain_text("3601")
    expect(page.get_by_text("is back. It was not applied")).to_be_visible()
    # Somebody else.
    deploy(shared, "tide", seconds=5000)
    conflict = page.get_by_role("alert").filter(has_text="Somebody else has changed it meanwhile")
    expect(conflict).to_contain_text("tide is at v2", timeout=WITHIN_MS)
    expect(conflict.locator(".differences")).to_contain_text("5000")
    apply = page.get_by_role("button", name="Apply")
    expect(apply).to_be_disabled()
    page.keyboard.press("Control+Enter")
    shot(page, "conflict")
    assert inside.flaws() == []
    conflict.get_by_role("button", name="Take theirs").click()
    expect(code(page)).to_contain_text("5000")
    code(page).focus()
    page.keyboard.press("Control+z")
    expect(code(page)).to_contain_text("3601")
    expect(differences).to_contain_text("5000")
    expect(apply).to_be_enabled()
    apply.click()
    expect(page.get_by_role("heading", name="It is done")).to_be_visible(timeout=WITHIN_MS)
    agent = shared.client.get_agent("tide")
    assert (agent.version, agent.spec.command) == (3, ("sleep", "3601"))
    expect(page.get_by_role("alert")).to_have_count(0)


def test_the_plan_says_what_runs_meanwhile_and_that_what_is_set_aside_is_no_limit(
    inside: Visit, shared: Fabric
) -> None:
    page = inside.page
    deploy(shared, "shoal", replicas=3)
    inside.show("agents/default/shoal/edit")
    expect(code(page)).to_contain_text("3600")
    write(page, written(page).replace("3600", "3601"))
    notes = section(page, "What would change").locator("li > p.soft")
    expect(notes).to_have_count(2, timeout=WITHIN_MS)
    expect(notes.nth(0)).to_have_text(
        "one replica at a time stops before its successor starts: at least 2 of 3 run meanwhile; "
        "a new one counts once it has run for 1 s (update.min_healthy)"
    )
    expect(notes.nth(1)).to_contain_text("8 MiB of memory is set aside for each replica and holds none to it")


def test_between_plan_and_apply_nothing_is_overwritten_either(inside: Visit, shared: Fabric) -> None:
    page = inside.page
    deploy(shared, "reef")
    inside.show("agents/default/reef/edit")
    expect(code(page)).to_contain_text("3600")
    write(page, written(page).replace("3600", "77"))
    apply = page.get_by_role("button", name="Apply")
    expect(apply).to_be_enabled(timeout=WITHIN_MS)

    # Another's change comes while ours is on its way.
    def late(route: object, request: object) -> None:
        if request.method == "PUT" and "dry_run" not in request.url:  # type: ignore[attr-defined]
            shared.client.scale_agent("reef", 2)
        route.continue_()  # type: ignore[attr-defined]

    page.route("**/agents/reef*", late)
    apply.click()
    expect(section(page, "It is not as the text says")).to_contain_text("changed by somebody else since it was planned")
    assert shared.client.get_agent("reef").spec.command == ("sleep", "3600")
    inside.console.clear()


def test_the_text_outlives_a_nexus_that_cannot_be_reached(inside: Visit, shared: Fabric) -> None:
    page = inside.page
    inside.show("agents/new")
    expect(code(page)).to_be_visible()
    page.context.set_offline(True)
    try:
        write(page, 'name: later\ncommand: [sleep, "1"]\n')
        expect(page.get_by_text("Nexus cannot be reached").first).to_be_visible(timeout=WITHIN_MS)
        expect(code(page)).to_contain_text("name: later")
    finally:
        page.context.set_offline(False)
    expect(section(page, "What would change")).to_contain_text("default/later", timeout=WITHIN_MS)
    page.reload()
    expect(code(page)).to_contain_text("name: later")
    page.get_by_role("button", name="Start over").click()
    expect(code(page)).to_contain_text("name: hello")
    inside.console[:] = [told for told in inside.console if "ERR_INTERNET_DISCONNECTED" not in told]


def test_a_text_is_yaml_or_toml_and_hostile_words_in_it_do_nothing(inside: Visit, shared: Fabric) -> None:
    page = inside.page
    inside.show("agents/new")
    write(page, "name: shell\ncommand: [echo, <img src=x onerror=window.hacked=1>]\nlabels: {tier: front}\n")
    expect(section(page, "What would change")).to_contain_text("default/shell", timeout=WITHIN_MS)
    page.get_by_label("Format").select_option("toml")
    expect(code(page)).to_contain_text('name = "shell"')
    expect(code(page)).to_contain_text('command = ["echo", "<img src=x onerror=window.hacked=1>"]')
    expect(page.locator(".copied code")).to_have_text("omnitide apply -f shell.toml")
    code(page).focus()
    page.keyboard.press("Control+End")
    page.keyboard.type("plac")
    page.get_by_role("option", name="placement").click()
    page.keyboard.type("p")
    page.get_by_role("option", name="pack").click()
    expect(code(page)).to_contain_text('placement = "pack"')
    page.keyboard.insert_text('\n"<img src=x onerror=window.hacked=1>" = 1\n')
    expect(section(page, "1 fault")).to_contain_text("<img src=x onerror=window.hacked=1>: unknown field")
    assert page.evaluate("window.hacked") is None
    page.locator(".cm-line").first.locator("span").first.hover()
    expect(page.locator(".cm-tooltip-hover")).to_contain_text("required")
    large = "# " + "x" * 400_000
    write(page, large)
    expect(page.get_by_text("Nexus takes files of 256 KiB at most")).to_be_visible()
    page.get_by_role("button", name="Start over").click()


def test_a_compose_file_is_imported_with_the_losses_that_the_command_line_tells(
    inside: Visit, shared: Fabric, tmp_path: Path
) -> None:
    page = inside.page
    folder = tmp_path / "shop"
    folder.mkdir()
    (folder / "compose.yaml").write_text(
        "services:\n"
        "  web: {image: nginx:1, depends_on: [db], cpu_percent: 3, env_file: [web.env]}\n"
        "  db: {image: postgres, secrets: [word], security_opt: [seccomp=x]}\n"
        "secrets: {word: {file: word.txt}}\n"
    )
    (folder / "web.env").write_text("MODE=fast\n")
    (folder / "word.txt").write_text("open-sesame")
    said = json.loads(
        shared.cli("-o", "json", "import", "compose", str(folder / "compose.yaml"), "--name", "shop").stdout
    )
    inside.show("agents")
    page.get_by_role("link", name="Import", exact=True).click()
    page.get_by_label("Compose files, and what they read").set_input_files(
        [folder / "compose.yaml", folder / "web.env", folder / "word.txt"]
    )
    given = section(page, "What is given")
    expect(given.get_by_role("checkbox")).to_have_count(1)
    expect(given).to_contain_text("Read where a Compose file names them: web.env, word.txt")
    # Files that came without their folder do not say what the project is called.
    expect(page.get_by_text("What is the project called?")).to_be_visible()
    page.get_by_role("textbox", name="Project").fill("shop")
    expect(section(page, "Project shop")).to_contain_text("2 agents", timeout=WITHIN_MS)
    losses = page.get_by_role("region", name="Not carried over", exact=True)
    expect(losses.get_by_role("listitem")).to_have_count(len(said["losses"]))
    for one in said["losses"]:
        told = f"compose.yaml:{one['line']} {one['key']}: {one['message']}"
        expect(losses.get_by_role("listitem").filter(has_text=told)).to_have_count(1)
    expect(section(page, "Has to be there first")).to_contain_text("its value is in what you gave")
    # No node here has an engine.
    outlook = section(page, "Where replicas would go")
    expect(outlook).to_contain_text("2 replicas would fit nowhere and wait", timeout=WITHIN_MS)
    shot(page, "import")
    assert inside.flaws() == []


def test_a_drain_shows_what_moves_where_and_what_would_not_fit(inside: Visit, shared: Fabric) -> None:
    page = inside.page
    # One on each node, and no node has room for two.
    half = max(one.cpu_milli for one in shared.client.nodes()) * 6 // 10
    deploy(shared, "bulky", replicas=2, resources={"cpu": f"{half}m", "memory": "8MiB"})
    deploy(shared, "nimble", replicas=2)
    inside.show("nodes/beta")
    page.get_by_role("button", name="Drain").click()
    dialog = page.get_by_role("dialog")
    foreseen = dialog.locator(".foreseen")
    expect(foreseen).to_contain_text("1 replica would fit on no other node and stay", timeout=WITHIN_MS)
    stays = foreseen.get_by_role("listitem").filter(has_text="stays on beta")
    expect(stays).to_contain_text("bulky")
    expect(stays).to_contain_text("cpu")
    expect(foreseen.get_by_role("listitem").filter(has_text="nimble")).to_contain_text("beta → alpha")
    expect(dialog.locator(".losses")).to_contain_text("in memory does not move")
    shot(page, "drain")
    found = inside.flaws_in_both_themes()
    assert found == {"light": [], "dark": []}
    page.keyboard.press("Escape")
    assert {one.scheduling for one in shared.client.nodes()} == {"open"}
    # Once it is so, its page says what stays, and why.
    shared.client.drain_node("beta")
    why = section(page, "Why it is as it is")
    expect(why).to_contain_text("It is being drained since", timeout=WITHIN_MS)
    expect(why).to_contain_text("nothing new is placed there, and bulky-", timeout=WITHIN_MS)
    expect(why).to_contain_text("stays, which fits nowhere else")
    expect(why).not_to_contain_text("moves as each agent")
    shared.client.uncordon_node("beta")
    shared.client.delete_agent("bulky")


def test_a_look_ahead_that_nexus_has_no_time_for_is_asked_again_by_the_dialog(inside: Visit, shared: Fabric) -> None:
    page = inside.page
    deploy(shared, "looked")
    inside.show("agents/default/looked")
    asked: list[str] = []

    def busy_first(route: Route) -> None:
        asked.append(route.request.url)
        if len(asked) > 1:
            route.continue_()
            return
        told = {"code": "busy", "detail": "2 looks ahead are under way", "retry_after_s": 1}
        route.fulfill(status=429, content_type="application/problem+json", body=json.dumps(told))

    page.route("**/v1/foreseen", busy_first)
    page.get_by_role("button", name="Restart").click()
    foreseen = page.get_by_role("dialog").locator(".foreseen")
    expect(foreseen).to_contain_text("Nexus looks ahead for others first; it is asked again in a moment")
    expect(foreseen).to_contain_text("1 replica would", timeout=WITHIN_MS)
    assert len(asked) == 2
    page.unroute("**/v1/foreseen")
    page.keyboard.press("Escape")


def test_all_restart_within_a_budget_and_a_rollout_is_held_and_goes_on_where_it_is_shown(
    inside: Visit, shared: Fabric
) -> None:
    page = inside.page
    deploy(shared, "calm-a", replicas=4, update={"min_healthy": "30s"})
    deploy(shared, "calm-b", replicas=2, update={"min_healthy": "30s"})
    inside.show("agents?q=calm")
    page.get_by_role("button", name="Restart all").click()
    dialog = page.get_by_role("dialog", name="Restart 2 agents")
    foreseen = dialog.locator(".foreseen")
    expect(foreseen).to_contain_text("6 replicas would", timeout=WITHIN_MS)
    expect(dialog.locator(".losses")).to_contain_text("calm-a: What 4 instances have in memory is gone")
    dialog.get_by_label("away at once").fill("3")
    expect(dialog.locator(".copied")).to_contain_text("omnitide restart calm-a --max-unavailable 3")
    shot(page, "restart-all")
    dialog.get_by_role("button", name="Restart", exact=True).click()
    until(
        lambda: len([one for one in shared.client.instances(agent="calm-a") if one.version == 2]) == 3,
        "three of them are new, and no more as long as those have not been well for long enough",
    )
    inside.show("agents/default/calm-a")
    rollout = page.get_by_role("region", name="Rollout of v2")
    rollout.get_by_role("button", name="Pause").click(timeout=WITHIN_MS)
    page.get_by_role("dialog").get_by_role("button", name="Pause rollout").click()
    expect(page.get_by_role("region", name="Rollout of v2: paused")).to_be_visible(timeout=WITHIN_MS)
    rollout.get_by_role("button", name="Resume").click()
    page.get_by_role("dialog").get_by_role("button", name="Resume rollout").click()
    expect(rollout.get_by_role("button", name="Pause")).to_be_visible(timeout=WITHIN_MS)
    for name in ("calm-a", "calm-b"):
        shared.client.delete_agent(name)


def test_what_is_lost_of_many_is_summed_up_and_the_buttons_stay_in_sight(inside: Visit, shared: Fabric) -> None:
    page = inside.page
    names = [f"many-{number}" for number in range(1, 11)]
    for name in names:
        deploy(shared, name)
    inside.show("agents?q=many")
    page.set_viewport_size({"width": 1280, "height": 420})
    page.get_by_role("button", name="Restart all").click()
    dialog = page.get_by_role("dialog", name="Restart 10 agents")
    losses = dialog.locator(".losses")
    expect(dialog.locator(".foreseen")).to_contain_text("would be made anew, on ", timeout=WITHIN_MS)
    expect(losses).to_contain_text("What 10 instances of 10 agents have in memory is gone.")
    expect(losses.get_by_text("many-3: What 1 instance has in memory is gone.")).to_be_hidden()
    losses.locator("summary").click()
    expect(losses.get_by_text("many-3: What 1 instance has in memory is gone.")).to_be_visible()
    # Of all of them, and not of the first few.
    commands = dialog.locator(".copied code").inner_text().splitlines()
    assert sorted(commands) == sorted(f"omnitide restart {name}" for name in names)
    middle = dialog.locator(".dialog-middle")
    assert middle.evaluate("one => one.scrollHeight > one.clientHeight"), "there is more than fits"
    middle.evaluate("one => { one.scrollTop = 0 }")
    for shown in (dialog.get_by_role("heading"), *dialog.locator(".dialog-foot button").all()):
        expect(shown).to_be_in_viewport(ratio=1)
    shot(page, "restart-many")
    found = inside.flaws_in_both_themes()
    assert found == {"light": [], "dark": []}
    dialog.get_by_role("button", name="Cancel").click()
    for name in names:
        shared.client.delete_agent(name)


def test_a_halted_rollout_looks_like_one_and_going_back_comes_first(inside: Visit, shared: Fabric) -> None:
    page = inside.page
    deploy(shared, "stuck", replicas=3)
    one_by_one = {"max_unavailable": 1, "max_surge": 0, "on_failure": "halt"}
    broken = {"command": ["/no/such/program"], "resources": {"cpu": 0.01, "memory": "8MiB"}, "update": one_by_one}
    shared.client.deploy_agent("stuck", read(broken, AgentSpec), replicas=3)
    inside.show("agents/default/stuck")
    rollout = page.get_by_role("region", name="Rollout of v2: halted")
    bar = rollout.get_by_role("img", name="0 of 3 replicas at v2")
    expect(bar).to_be_visible(timeout=WITHIN_MS)
    far = "0 of 3 replicas at v2; 2 of 3 available (running and ready), in whichever version."
    expect(rollout).to_contain_text(far)
    said = page.get_by_role("region", name="Why it is as it is")
    held = shared.client.get_agent("stuck").rollout
    assert held is not None
    expect(said.get_by_role("listitem").filter(has_text=held.halted)).to_have_count(1)
    # Once: neither beside its name nor above the buttons as well.
    expect(page.locator(".detail-head")).to_contain_text("rollout halted")
    inside.until(lambda: page.locator("main").inner_text().count(held.halted) == 1, "why is told once")
    grown = "one => [...one.children].map(part => [part.className, Number(part.style.flexGrow)])"
    assert bar.evaluate(grown) == [["tone-bad", 0], ["tone-bad", 0], ["rest", 3]]
    buttons = rollout.get_by_role("button")
    expect(buttons).to_have_text(["Roll back", "Pause"])
    expect(buttons.first).to_be_enabled()
    expect(buttons.last).to_be_disabled()
    expect(buttons.last).to_have_attribute("title", "its rollout is halted: nothing goes on that could be held")
    shot(page, "halted")
    found = inside.flaws_in_both_themes()
    assert found == {"light": [], "dark": []}
    shared.client.delete_agent("stuck")


def test_axe_finds_nothing_and_nothing_runs_over_the_side(inside: Visit, shared: Fabric) -> None:
    page = inside.page
    found: dict[str, object] = {}
    for name in ("agents/default/clock/edit", "import"):
        inside.show(name)
        if name != "import":
            expect(section(page, "What would change")).to_be_visible(timeout=WITHIN_MS)
        for width in (360, 2560, 1280):
            page.set_viewport_size({"width": width, "height": 800})
            if inside.runs_out_of_the_window():
                found[f"{name} {width}"] = "runs over the side"
            if width == 360:
                shot(page, f"narrow-{name.replace('/', '-')}")
        found.update(inside.flaws_in_both_themes(name))
        shot(page, f"dark-{name.replace('/', '-')}")
    assert {name: flaws for name, flaws in found.items() if flaws} == {}


def test_a_compose_file_alone_calls_its_project_by_itself_where_it_can(inside: Visit, tmp_path: Path) -> None:
    page = inside.page
    services = "services:\n  web: {image: nginx:1}\n"
    for file, text, project in (
        ("compose.yaml", f"name: named\n{services}", "named"),
        ("till.yaml", services, "till"),
        ("till.compose.yml", services, "till"),
    ):
        (tmp_path / file).write_text(text)
        inside.show("import")
        page.get_by_label("Compose files, and what they read").set_input_files(tmp_path / file)
        expect(section(page, f"Project {project}")).to_contain_text("1 agent", timeout=WITHIN_MS)
        expect(page.get_by_text("What is the project called?")).to_have_count(0)
    (tmp_path / "compose.yaml").write_text(services)
    inside.show("import")
    page.get_by_label("Compose files, and what they read").set_input_files(tmp_path / "compose.yaml")
    expect(page.get_by_text("What is the project called?")).to_be_visible()


def test_a_manifest_that_is_dropped_on_a_page_is_opened(inside: Visit, shared: Fabric) -> None:
    page = inside.page
    inside.show("nodes")
    page.evaluate(
        """text => {
            const data = new DataTransfer();
            data.items.add(new File([text], "agent.toml"));
            const about = { bubbles: true, cancelable: true, dataTransfer: data };
            document.body.dispatchEvent(new DragEvent("drop", about));
        }""",
        'name = "dropped"\ncommand = ["sleep", "1"]\n',
    )
    expect(page.get_by_role("heading", level=1)).to_have_text("New agent")
    expect(code(page)).to_contain_text('name = "dropped"')
    expect(page.get_by_label("Format")).to_have_value("toml")
    page.get_by_role("button", name="Start over").click()


def test_a_rollback_goes_to_the_version_that_is_chosen(inside: Visit, shared: Fabric) -> None:
    page = inside.page
    for seconds in (3600, 3601, 3602):
        deploy(shared, "thrice", seconds=seconds)
    inside.show("agents/default/thrice")
    page.get_by_role("group", name="Actions for agent thrice").get_by_role("button", name="Roll back").click()
    dialog = page.get_by_role("dialog", name="Roll back thrice")
    choice = dialog.get_by_label("To version")
    # Not the one that runs; the newest of the others is what Nexus would take by itself.
    options = choice.get_by_role("option")
    expect(options).to_have_text([re.compile("^v2: the newest .*"), re.compile("^v1 · .* ago · deployed$")])
    expect(choice).to_have_value("0")
    expect(choice).to_be_focused()
    expect(dialog).to_contain_text("The spec of v2 rolls out as v4.")
    command = dialog.locator(".copied code")
    expect(command).to_have_text("omnitide rollback thrice")
    choice.select_option("1")
    expect(dialog).to_contain_text("The spec of v1 rolls out as v4.")
    expect(command).to_have_text("omnitide rollback thrice --to 1")
    dialog.get_by_role("button", name="Roll back", exact=True).click()
    expect(dialog).to_have_count(0)
    until(lambda: shared.client.get_agent("thrice").version == 4, "it went back")
    assert shared.client.get_agent("thrice").spec.command == ("sleep", "3600")
    shared.client.delete_agent("thrice")
