"""The command line: ``warmline COMMAND``."""

import sys
from pathlib import Path
from typing import Annotated

import typer

__all__ = ["main"]

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_show_locals=False,
    help="Warmline: phone calls answered by the nearest warm AI voice.",
)

twilio = typer.Typer(no_args_is_help=True, help="What Twilio has to know.")
app.add_typer(twilio, name="twilio")

_Json = Annotated[bool, typer.Option("--json", help="JSON alone on stdout.")]
_Config = Annotated[Path, typer.Option(help="The deployment's configuration file.")]
_CheckConfig = Annotated[
    bool, typer.Option("--check-config", help="Print the effective settings and exit.")
]
_Voice = Annotated[
    bool, typer.Option("--voice", help="A real voice; needs warmline[voice].")
]
_Regions = Annotated[int, typer.Option(help="Number of regions.")]
_Agents = Annotated[int, typer.Option(help="Agents per region.")]
_Edges = Annotated[int, typer.Option(help="Number of edges.")]


def main() -> None:
    """Run the command line."""
    app()


@app.command()
def up(
    regions: _Regions = 3,
    agents: _Agents = 2,
    edges: _Edges = 2,
    config: Annotated[
        Path | None, typer.Option(help="Your numbers and profiles; else the example's.")
    ] = None,
    voice: _Voice = False,
    json: _Json = False,
) -> None:
    """Start the local fabric and leave it running until interrupted."""
    from lab.fabric_options import FabricOptions, example_config
    from lab.up import run_up

    options = FabricOptions(
        regions=regions,
        agents=agents,
        edges=edges,
        config=config or example_config(),
        cold_line=True,
        voice=voice,
    )
    raise typer.Exit(run_up(options, json=json))


@app.command()
def demo(
    calls: Annotated[int, typer.Option(help="Calls that are answered.")] = 20,
    calls_per_s: Annotated[
        float, typer.Option(help="How many of them begin in a second; 0: all at once.")
    ] = 5.0,
    regions: _Regions = 3,
    agents: _Agents = 2,
    edges: _Edges = 3,
    json: _Json = False,
    keep: Annotated[bool, typer.Option(help="Leave the fabric running.")] = False,
    greeting: Annotated[
        bool, typer.Option(help="Call the number whose profile has a greeting.")
    ] = True,
    outage: Annotated[
        bool, typer.Option(help="Then kill a region under live calls, and heal it.")
    ] = True,
) -> None:
    """Answer real spoken calls on this machine and print the figures."""
    from lab.demo import DemoOptions, run_demo

    options = DemoOptions(
        calls=calls,
        calls_per_s=calls_per_s,
        regions=regions,
        agents=agents,
        edges=edges,
        keep=keep,
        greeting=greeting,
        outage=outage,
    )
    raise typer.Exit(run_demo(options, json=json))


@app.command()
def call(
    edge: Annotated[str, typer.Option(help="Public URL of an edge.")],
    audio: Annotated[
        Path | None, typer.Option(help="What to say: raw mu-law or WAV, 8 kHz mono.")
    ] = None,
    caller: Annotated[str, typer.Option("--from")] = "+14155550123",
    called: Annotated[str, typer.Option("--to")] = "+14155550100",
    script: Annotated[
        Path | None, typer.Option(help="A conversation; it names both numbers.")
    ] = None,
    model_control: Annotated[
        str, typer.Option(help="Control URL of the model stand-in, for a script.")
    ] = "",
    save: Annotated[Path | None, typer.Option(help="Write what was heard.")] = None,
    json: _Json = False,
) -> None:
    """Place one stand-in call and print its timeline, or hold a conversation.

    Webhooks are signed with TWILIO_AUTH_TOKEN, or with the token of `warmline up`.
    """
    from lab.one_call import run_call, run_scripted_call

    if script is not None:
        code = run_scripted_call(
            edge, script=script, model_control=model_control, save=save, json=json
        )
        raise typer.Exit(code)
    code = run_call(
        edge,
        audio=audio,
        caller=caller,
        called=called,
        save=save,
        json=json,
    )
    raise typer.Exit(code)


@app.command()
def drill(
    name: Annotated[str, typer.Argument(help="Which one.")] = "",
    every: Annotated[bool, typer.Option("--all", help="Hold every drill.")] = False,
    calls: Annotated[int, typer.Option(help="Live calls; more than 60: rounds.")] = 0,
    short: Annotated[
        bool, typer.Option(help="Few calls; times are told, but not judged.")
    ] = False,
    lenient: Annotated[
        float, typer.Option(help="Times may be so many times as long.")
    ] = 1.0,
    json: _Json = False,
) -> None:
    """Break something under live calls on a local fabric, and judge what follows.

    Without a name: tells which drills there are.
    """
    from lab.drills.runner import DrillOptions, list_drills, run_drills

    if not name and not every:
        list_drills()
        raise typer.Exit(0)
    options = DrillOptions(calls=calls, short=short, leniency=lenient)
    raise typer.Exit(run_drills([name] if name else [], options, json=json))


@app.command()
def links(
    edge: Annotated[
        str, typer.Option(help="Admin URL of an edge; public URL in the local fabric.")
    ],
    json: _Json = False,
) -> None:
    """Show every link of an edge, live: its state, delay, loss, age and calls.

    The admin token is EDGE_ADMIN_TOKEN, or that of `warmline up`.
    """
    from lab.link_table import run_links

    raise typer.Exit(run_links(edge, json=json))


@app.command()
def console(
    edge: Annotated[
        list[str] | None, typer.Option(help="Admin URL of an edge; repeat.")
    ] = None,
    agent: Annotated[
        list[str] | None, typer.Option(help="Admin URL of an agent; repeat.")
    ] = None,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="0 picks one.")] = 0,
    trace_url: Annotated[
        str, typer.Option(help="Your collector's page of a trace, with {trace_id}.")
    ] = "",
) -> None:
    """Serve the operator's page: the fabric, its calls and its events, live.

    Without an edge or an agent it shows the running local fabric. Admin tokens are
    EDGE_ADMIN_TOKEN and REGION_AGENT_ADMIN_TOKEN; CONSOLE_TOKEN opens the page, or
    one that is made up and printed with the page's address.
    """
    from lab.console import run_console

    code = run_console(
        edges=edge or (), agents=agent or (), host=host, port=port, trace_url=trace_url
    )
    raise typer.Exit(code)


@app.command()
def edge(
    config: _Config,
    name: Annotated[str | None, typer.Option(help="The edge's name.")] = None,
    check_config: _CheckConfig = False,
) -> None:
    """Run one edge."""
    from edge.__main__ import main as run_edge

    arguments = ["--config", str(config)]
    arguments += ["--name", name] if name else []
    arguments += ["--check-config"] if check_config else []
    raise typer.Exit(run_edge(arguments))


@app.command()
def agent(config: _Config, check_config: _CheckConfig = False) -> None:
    """Run one region agent."""
    from region_agent.__main__ import main as run_agent

    arguments = ["--config", str(config)]
    arguments += ["--check-config"] if check_config else []
    raise typer.Exit(run_agent(arguments))


@app.command()
def pki(
    config: _Config,
    out: Annotated[
        Path | None, typer.Option(help="Directory; default: pki beside the file.")
    ] = None,
) -> None:
    """Issue a link certificate to every edge and region in the configuration."""
    from backhaul.errors import SettingsError
    from backhaul.pki import Role, create_authority, issue
    from backhaul.settings import read_deployment

    try:
        deployment = read_deployment(config)
        directory = out or deployment.directory / "pki"
        create_authority(directory)
        wanted = [(Role.EDGE, name) for name in deployment.edges]
        wanted += [(Role.REGION_AGENT, name) for name in deployment.regions]
        for role, name in wanted:
            sys.stdout.write(f"{issue(directory, role, name).certificate}\n")
    except SettingsError as exc:
        sys.stderr.writelines(f"{line}\n" for line in exc.problems)
        raise typer.Exit(2) from None


@app.command()
def doctor(
    config: _Config,
    running: Annotated[
        bool, typer.Option(help="Agents should accept connections already.")
    ] = False,
) -> None:
    """Check settings, certificates, reachability and the clock, one line each."""
    from lab.doctor import run_doctor

    raise typer.Exit(run_doctor(config, running=running))


@twilio.command()
def setup(
    config: _Config,
    url: Annotated[
        str, typer.Option(help="Where Twilio reaches the edges; else as configured.")
    ] = "",
    fallback: Annotated[
        str, typer.Option(help="Where it goes when that fails; else another edge.")
    ] = "",
    region: Annotated[
        list[str] | None,
        typer.Option(help="us1, ie1 or au1; repeat. Else as configured."),
    ] = None,
    egress: Annotated[
        list[str] | None,
        typer.Option(help="Where Twilio's requests leave it, in turn; repeat."),
    ] = None,
    retries: Annotated[int, typer.Option(min=0, max=5)] = 2,
    yes: Annotated[bool, typer.Option("--yes", help="Make the changes.")] = False,
    json: _Json = False,
    api: Annotated[
        str, typer.Option(help="Another address of Twilio's API, to rehearse.")
    ] = "",
) -> None:
    """Point the configured numbers at the edges; shows what would change first.

    Needs TWILIO_ACCOUNT_SID, and TWILIO_API_KEY with TWILIO_API_SECRET or
    TWILIO_AUTH_TOKEN. With a Region appended (TWILIO_API_KEY_IE1) they are that
    Region's.
    """
    from lab.number_setup import SetupOptions, run_setup

    options = SetupOptions(
        config,
        url=url,
        fallback_url=fallback,
        regions=tuple(region or ()),
        egress=tuple(egress or ()),
        retries=retries,
        yes=yes,
        json=json,
        api_url=api,
    )
    raise typer.Exit(run_setup(options))


if __name__ == "__main__":
    main()
