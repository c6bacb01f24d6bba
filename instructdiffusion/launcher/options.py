"""The one command line that is ours, `comfy --workflow FILE ...`: how it is told from comfy-cli's, and read."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .endpoint import TOKEN_VARIABLE, Endpoint, bearer, read_endpoint

DEFAULT_HOST, DEFAULT_PORT = "127.0.0.1", 8188
_TAKE_A_VALUE = {
    "--workflow", "--image", "--subject", "--set", "--output", "-o", "--workspace", "--host", "--port", "--timeout",
    "--server", "--token",
}  # fmt: skip

_DESCRIPTION = """\
Run a ComfyUI graph (saved from the canvas, or in API form) without a browser: on the server at --host and
--port where one answers, else on a ComfyUI that is started for it and stopped afterwards. The files that the
graph saves or previews are copied to --output, and their paths are printed."""

_EPILOG = """\
A picture of your own and words about it, for every graph that takes one picture:
  comfy --workflow workflows/segment.json --image photo.png --subject "the red star"

Any other widget is set by its node's id, title or type; a value is read as JSON where it parses, else as text. A
path to a picture, for an input that takes one, is uploaded first:
  comfy --workflow workflows/segment.json --set 3.color=blue --set LoadImage.image=photo.png

ComfyUI is looked for in --workspace, $COMFYUI_PATH, comfy-cli's default, the installation this package lies in,
comfy-cli's most recent one, and ~/comfy/ComfyUI. It runs with $COMFYUI_PYTHON, else with the workspace's own
environment (.venv or venv), else with this Python. Options for the server follow a lone --:
  comfy --workflow workflows/segment.json -- --cpu

A server elsewhere, behind https and with a token (which the variable keeps out of the list of processes):
  COMFYUI_TOKEN=... comfy --workflow workflows/segment.json --server https://comfy.example.org

The exit status is 0 only if the server says that the whole graph was executed, and 2 where the command line or the
graph leaves no place for what was given. Any other command line goes to
comfy-cli unchanged (comfy --help shows its help)."""


@dataclass(frozen=True)
class Options:
    """What the command line asks for; times in seconds, `port` None where none was given."""

    workflow: Path
    overrides: tuple[str, ...] = ()
    output: Path = Path("out")
    workspace: Path | None = None
    host: str = DEFAULT_HOST
    port: int | None = None
    timeout: float = 600.0
    server_arguments: tuple[str, ...] = ()
    image: Path | None = None
    subjects: tuple[str, ...] = ()
    server: Endpoint | None = None
    token: str | None = None

    @property
    def endpoint(self) -> Endpoint:
        """The server that is asked first."""
        if self.server is not None:
            return self.server
        port = DEFAULT_PORT if self.port is None else self.port
        return Endpoint(self.host, port, authorization=bearer(self.token))


def is_graph_run(arguments: Sequence[str]) -> bool:
    """Whether this is `comfy --workflow FILE ...`: the option is there and no command word stands before it."""
    skip = False
    for argument in arguments:
        if skip:
            skip = False
        elif argument == "--workflow" or argument.startswith("--workflow="):
            return True
        elif argument == "--" or not argument.startswith("-"):
            return False
        else:
            skip = argument in _TAKE_A_VALUE
    return False


def parse(arguments: Sequence[str]) -> Options:
    """Read the command line; prints the help or what is wrong and raises SystemExit, as argparse does."""
    arguments = list(arguments)
    split = arguments.index("--") if "--" in arguments else len(arguments)
    own, extra = arguments[:split], arguments[split + 1 :]
    parser = _parser()
    if "-h" in own or "--help" in own:  # also right after --workflow, where argparse would want a file
        parser.print_help()
        raise SystemExit(0)
    options = parser.parse_args(own)
    server = None
    try:
        bearer(options.token)
        if options.server is not None:
            server = read_endpoint(options.server, options.token)
    except ValueError as error:
        parser.error(f"argument --server or --token: {error}")
    if server is not None and (options.host != DEFAULT_HOST or options.port is not None):
        parser.error("argument --server: it names host and port already: leave --host and --port out")
    return Options(
        workflow=Path(options.workflow),
        overrides=tuple(options.overrides),
        output=Path(options.output),
        workspace=Path(options.workspace) if options.workspace is not None else None,
        host=options.host,
        port=options.port,
        timeout=options.timeout,
        server_arguments=tuple(extra),
        image=options.image,
        subjects=tuple(options.subjects),
        server=server,
        token=options.token,
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="comfy",
        usage="comfy --workflow FILE [--image FILE] [--subject WORDS ...] [--set NODE.INPUT=VALUE ...]\n"
        "             [--output DIR] [--workspace DIR] [--host HOST] [--port PORT] [--server URL]\n"
        "             [--token TOKEN] [--timeout SECONDS] [-- SERVER OPTIONS]",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    add = parser.add_argument
    add("--workflow", required=True, metavar="FILE", help="the graph, a .json file")
    add(
        "--image",
        type=_file,
        action=_Once,
        metavar="FILE",
        help="a picture of your own, in place of the graph's: for its Load Image node, else for its demo scene",
    )
    add(
        "--subject",
        dest="subjects",
        type=_words,
        action="append",
        default=[],
        metavar="WORDS",
        help="what to look for or to change in it; repeated: several, a line each",
    )
    add(
        "--set",
        dest="overrides",
        action="append",
        default=[],
        metavar="NODE.INPUT=VALUE",
        help="give a widget of a node another value; may be repeated",
    )
    add(
        "--output",
        "-o",
        default="out",
        metavar="DIR",
        help="where files go (default: out); none is overwritten",
    )
    add("--workspace", metavar="DIR", help="the ComfyUI to start where no server answers")
    add("--host", default=DEFAULT_HOST, help=f"of a running server (default: {DEFAULT_HOST})")
    add(
        "--port",
        type=_port,
        help=f"of a running server (default: {DEFAULT_PORT}); one is started there if none",
    )
    add(
        "--server",
        metavar="URL",
        help="a running server by its address, http or https, in place of --host and --port; none is started",
    )
    add(
        "--token",
        metavar="TOKEN",
        help=f"sent as Authorization: Bearer TOKEN (default: the variable {TOKEN_VARIABLE})",
    )
    add(
        "--timeout",
        type=_seconds,
        default=600.0,
        metavar="SECONDS",
        help="give up after this long without a sign of life (default: 600)",
    )
    add(
        "--wait", action="store_true", help=argparse.SUPPRESS
    )  # comfy run's word for what is always done here
    return parser


class _Once(argparse.Action):
    """An option that would silently win over itself."""

    def __call__(self, parser: Any, namespace: Any, values: Any, option_string: str | None = None) -> None:
        if getattr(namespace, self.dest) is not None:
            parser.error(f"argument {option_string}: given twice; a graph is run with one picture at a time")
        setattr(namespace, self.dest, values)


def _file(text: str) -> Path:
    path = Path(text).expanduser()
    if not path.is_file():
        raise argparse.ArgumentTypeError(f"there is no file {text}")
    from .overrides import check_picture

    try:
        check_picture(path)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error
    return path


def _words(text: str) -> str:
    if not text.strip():
        raise argparse.ArgumentTypeError("expected words, as in 'the red star', got none")
    return text.strip()


def _port(text: str) -> int:
    if not text.isdecimal() or not 0 < int(text) < 65536:
        raise argparse.ArgumentTypeError(f"expected a port from 1 to 65535, got {text!r}")
    return int(text)


def _seconds(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"expected a number of seconds above 0, got {text!r}")
    return value
