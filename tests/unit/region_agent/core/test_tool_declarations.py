"""What the model is told about its tools."""

from typing import Any

from backhaul.core.profile import Profile
from backhaul.core.tools import Tool, TransferTarget
from region_agent.core.tool_declarations import declared_tools

DESK = TransferTarget(to="+14155550100", description="For cakes.")
SHOP = TransferTarget(to="queue:shop")


def declared(profile: Profile) -> dict[str, dict[str, Any]]:
    return {tool["name"]: tool for tool in declared_tools(profile)}


def test_a_voice_may_have_no_tools() -> None:
    assert declared_tools(Profile(instructions="Talk.", may_hang_up=False)) == []


def test_hanging_up_is_possible_unless_it_is_not_wanted() -> None:
    assert declared(Profile(instructions="Talk.")).keys() == {"hang_up"}


def test_a_function_is_declared_as_the_profile_says() -> None:
    schema = {"type": "object", "properties": {"seats": {"type": "integer"}}}
    tools = (
        Tool("book", "Books a table.", "https://example.com", parameters=schema),
        Tool("now", "The time.", "https://example.com"),
    )
    found = declared(Profile(instructions="Talk.", tools=tools))
    assert found["book"] == {
        "type": "function",
        "name": "book",
        "description": "Books a table.",
        "parameters": schema,
    }
    assert found["now"]["parameters"] == {"type": "object", "properties": {}}
    assert "example.com" not in repr(found)


def test_known_destinations_are_all_there_is_to_choose_from() -> None:
    profile = Profile(instructions="Talk.", transfers={"desk": DESK, "shop": SHOP})
    parameters = declared(profile)["transfer"]["parameters"]
    assert parameters["required"] == ["destination"]
    assert parameters["properties"].keys() == {"summary", "destination"}
    destination = parameters["properties"]["destination"]
    assert destination["enum"] == ["desk", "shop"]
    assert destination["description"].endswith("desk: For cakes.; shop")
    assert "+1415" not in repr(parameters)


def test_any_number_can_be_asked_for_where_that_is_allowed() -> None:
    only = Profile(instructions="Talk.", may_dial_any_number=True)
    parameters = declared(only)["transfer"]["parameters"]
    assert parameters["properties"].keys() == {"summary", "number"}
    assert "required" not in parameters
    both = Profile(
        instructions="Talk.", may_dial_any_number=True, transfers={"desk": DESK}
    )
    parameters = declared(both)["transfer"]["parameters"]
    assert "required" not in parameters
    assert "no destination fits" in parameters["properties"]["number"]["description"]


def test_keys_are_described_as_they_are_checked() -> None:
    keys = declared(Profile(instructions="Talk.", may_send_dtmf=True))["send_dtmf"]
    digits = keys["parameters"]["properties"]["digits"]
    assert digits["pattern"] == "^[0-9*#w]{1,32}$"
